"""CSV and TSV files: a row is a document, as in a Parquet file. Arrow parses them, a block at a time."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv

from pipeline.errors import UserError
from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.compressed import BROKEN, open_decompressed, problem_of
from pipeline.extract.inputs.documents import check_columns, record_of, wanted
from pipeline.extract.inputs.files import name_of
from pipeline.extract.options import Columns

_STEP = 1 << 20
_BATCH_ROWS = 256
_LARGEST_BLOCK = (1 << 31) - 1  # Arrow counts a block's bytes in 32 bits
_HEADER_ROWS = 1


def read_csv(path: Path | str, columns: Columns, limit: int) -> Iterator[Record]:
    """A record for each row behind the header. `offset` is the row's number, from 0; `length` is 0.

    A row with another number of fields than the header is a "bad_record". A row of more than twice `limit` bytes ends the
    file: one record stands for the rest. After damage the row before it is not trusted. Memory: a few times `limit`.
    """
    try:
        known = _header(path)
    except BROKEN as error:
        yield _damage(0, error)
        return
    if not known:
        return
    check_columns(str(path), known, columns)
    names = wanted(columns, known, known)
    block = min(2 * limit + _STEP, _LARGEST_BLOCK)
    with open_decompressed(path) as file:
        source = _UpToDamage(file)
        held: Record | None = None
        for record in _rows(source, _delimiter(path), names, columns, limit, block):
            if held:
                yield held
            held = record
        if source.error:
            at = held.offset if held else 0
            yield _damage(at, source.error)
        elif held:
            yield held


def column_names(path: Path | str) -> list[str]:
    """The names in the header; none in an empty or damaged file. UserError for a header that is not UTF-8."""
    try:
        return _header(path)
    except BROKEN:
        return []  # counted when the file is read


def _header(path: Path | str) -> list[str]:
    with open_decompressed(path) as file:
        first = True

        def lines() -> Iterator[str]:
            nonlocal first
            while line := file.readline(_STEP):
                yield line.decode("utf-8-sig" if first else "utf-8")
                first = False

        try:
            return next((row for row in csv.reader(lines(), delimiter=_delimiter(path)) if row), [])
        except UnicodeDecodeError:
            mend = f"iconv -f ENCODING -t UTF-8 {Path(path).name} > NEW{Path(path).suffix}"
            raise UserError(f"{path}: the header is not UTF-8: {mend}") from None
        except csv.Error as error:
            raise UserError(f"{path}: the header cannot be read ({error})") from None


def _rows(
    source: "_UpToDamage", delimiter: str, names: Sequence[str], columns: Columns, limit: int, block: int
) -> Iterator[Record]:
    wrong: deque[tuple[int, str]] = deque()

    def on_wrong(row: Any) -> str:
        detail = f"the header has {row.expected_columns:,} fields, this row {row.actual_columns:,}"
        wrong.append((row.number - 1 - _HEADER_ROWS, detail))  # Arrow counts from 1, and not the blank lines
        return "skip"

    number = 0

    def wrong_rows(before: int | None) -> Iterator[Record]:
        nonlocal number
        while wrong and (before is None or wrong[0][0] == number):
            yield Record("unreadable", number, problem="bad_record", detail=wrong.popleft()[1])
            number += 1

    try:
        batches = pa.csv.open_csv(
            pa.PythonFile(source, mode="r"),
            read_options=pa.csv.ReadOptions(block_size=block, use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_wrong
            ),
            convert_options=pa.csv.ConvertOptions(
                check_utf8=False,  # of a block; here of each value
                include_columns=list(names),
                column_types=dict.fromkeys(names, pa.binary()),
                strings_can_be_null=False,
            ),
        )
        for batch in batches:
            for start in range(0, len(batch), _BATCH_ROWS):
                fields = [column.to_pylist() for column in batch.slice(start, _BATCH_ROWS).columns]
                for values in zip(*fields, strict=True):
                    yield from wrong_rows(number)
                    record = _row(dict(zip(names, values, strict=True)), columns, limit)
                    record.offset = number
                    number += 1
                    yield record
        yield from wrong_rows(None)
    except (pa.ArrowException, ValueError) as error:
        yield from wrong_rows(None)
        if number or "Empty CSV" not in str(error):
            large = "straddling" in str(error)
            detail = f"a row of more than {block:,} bytes; is a quotation mark never closed?" if large else str(error)
            yield Record("unreadable", number, problem="too_large" if large else "bad_record", detail=detail[:500])


def _row(values: dict[str, bytes], columns: Columns, limit: int) -> Record:
    try:
        texts = {name: value.decode() or None for name, value in values.items()}
    except UnicodeDecodeError as error:
        return Record("unreadable", problem="bad_record", detail=f"not UTF-8: {error.reason}")
    return record_of(texts, columns, limit)


def _damage(row: int, error: Exception) -> Record:
    return Record("unreadable", row, problem=problem_of(error), detail=f"decompressing: {error}")


def _delimiter(path: Path | str) -> str:
    return "\t" if ".tsv" in name_of(str(path))[-8:] else ","


class _UpToDamage:
    """A file for Arrow: it ends where the compressed data are damaged, and says so in `error`."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file: Any = file  # read1 returns what was read before damage
        self.error: Exception | None = None

    def read(self, count: int) -> bytes:
        """At most `count` bytes; fewer only at the end."""
        pieces: list[bytes] = []
        try:
            while not self.error and count > 0 and (piece := self._file.read1(count)):
                pieces.append(piece)
                count -= len(piece)
        except BROKEN as error:
            self.error = error
        return b"".join(pieces)

    def close(self) -> None:
        """The file is closed by who opened it."""
