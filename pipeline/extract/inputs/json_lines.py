"""JSON Lines as input: an object a line, cut at line ends."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.compressed import BROKEN, compression_of, open_decompressed, problem_of
from pipeline.extract.inputs.documents import check_columns, key_names, nested_keys, record_of, value_at
from pipeline.extract.options import Columns

_STEP = 1 << 20
_FIRST_LINES = 100
"""A file of lines is judged by this many; a key that is in none of them counts as missing."""


def read_lines(path: Path | str, start: int, end: int | None, columns: Columns, limit: int) -> Iterator[Record]:
    """A record for each line that starts in bytes [start, end), except blank lines.

    `offset` and `length` are bytes of the decompressed file. Memory: one line, of at most a little over twice `limit` bytes.
    """
    max_line = 2 * limit + 65_536  # escapes make a text longer, and the line has other keys too
    with open_decompressed(path) as lines:
        at = start
        if start:
            lines.seek(start - 1)
            at += len(lines.readline()) - 1
        while end is None or at < end:
            try:
                line = lines.readline(max_line)
                length = len(line)
                ended = length < max_line or line.endswith(b"\n")
                while not ended and (rest := lines.readline(max_line)):
                    length += len(rest)
                    ended = rest.endswith(b"\n")
            except BROKEN as error:
                yield Record("unreadable", at, problem=problem_of(error), detail=f"decompressing: {error}")
                return
            if not line:
                return
            if line.strip():
                record = _line_record(line, length, max_line, columns, limit)
                record.offset, record.length = at, length
                yield record
            at += length


def _line_record(line: bytes, length: int, max_line: int, columns: Columns, limit: int) -> Record:
    if length > max_line:
        return Record(
            "document", problem="too_large", detail=f"a line of {length:,} bytes; max_record_bytes is {limit:,}"
        )
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Record("unreadable", problem="bad_record", detail=f"not JSON: {error}"[:500])
    if not isinstance(values, dict):
        return Record("unreadable", problem="bad_record", detail=f"not a JSON object but {type(values).__name__}")
    return record_of(values, columns, limit)


def check_lines(path: Path | str, columns: Columns) -> list[str]:
    """`check_columns` of the keys in a file's first lines; a file whose first lines are no JSON objects is not judged."""
    names: dict[str, None] = {}
    nested: dict[str, str] = {}
    plain: set[str] = set()
    count = 0
    with open_decompressed(path) as lines:
        remaining = _STEP
        try:
            while count < _FIRST_LINES and remaining > 0 and (line := lines.readline(remaining)):
                remaining -= len(line)
                with suppress(ValueError, RecursionError):
                    values = json.loads(line)
                    if isinstance(values, dict):
                        found, tables = key_names(values), nested_keys(values)
                        names |= dict.fromkeys(found)
                        nested |= tables
                        plain |= {name for name in found if name not in tables and value_at(values, name) is not None}
                        count += 1
        except BROKEN:
            pass  # damage is counted when the file is read
    where = f"{path}, first {count:,} lines" if count > 1 else f"{path}, first line"
    only_nested = {name: kind for name, kind in nested.items() if name not in plain}
    return check_columns(where, list(names), columns, noun="key", nested=only_nested) if count else []


def cut_lines(path: Path | str, part_bytes: int) -> list[int]:
    """Offsets of lines that divide an uncompressed file into ranges of about `part_bytes`; a compressed file is one range."""
    cuts = [0]
    if compression_of(str(path)):
        return cuts
    with open_decompressed(path) as file:
        size = file.seek(0, 2)
        while (at := cuts[-1] + part_bytes) < size:
            file.seek(at - 1)
            while not file.readline(_STEP).endswith(b"\n") and file.tell() < size:
                pass
            if file.tell() >= size:
                break
            cuts.append(file.tell())
    return cuts
