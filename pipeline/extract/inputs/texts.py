"""Files of plain text and of HTML: a file is a document, or of plain text each of its paragraphs or lines."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path, PurePath
from typing import BinaryIO

from pipeline.errors import UserError
from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.compressed import BROKEN, compression_of, open_decompressed, problem_of, read_up_to
from pipeline.extract.options import TextUnit

_STEP = 1 << 20
_UTF8_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_file(path: Path | str, content_type: str, limit: int) -> Iterator[Record]:
    """The file as one record, whose text is decoded and extracted like a page's; "too_large" over `limit` bytes."""
    try:
        with open_decompressed(path) as file:
            body, length = read_up_to(file, limit)
    except BROKEN as error:
        yield _damage(0, error)
        return
    record = Record("document", length=length, content_type=content_type)
    if length > limit:
        record.problem, record.detail = "too_large", _too_large(length, limit)
    else:
        record.body, record.record_id = body, _id(path, 0, body)
    yield record


def read_units(path: Path | str, start: int, end: int | None, unit: TextUnit, limit: int) -> Iterator[Record]:
    """A record for each paragraph or line that starts in bytes [start, end); `start` is 0 or from `cut_units`.

    Paragraphs are separated by blank lines. `offset` and `length` are bytes of the decompressed file. A unit that is not
    UTF-8 is a "bad_record". Memory: one unit, of at most `limit` bytes.
    """
    with open_decompressed(path) as file:
        if start:
            file.seek(start)
        at, unit_at, length, lines = start, start, 0, list[bytes]()
        try:
            while True:
                line, line_length, blank = _line(file, limit)
                if not blank:
                    unit_at = unit_at if length else at
                    length += line_length
                    if length <= limit:
                        lines.append(line)
                at += line_length
                if length and (blank or unit == "line"):
                    yield _unit(path, unit_at, length, b"".join(lines), limit)
                    length, lines = 0, []
                if not line_length or (not length and end is not None and at >= end):
                    return
        except BROKEN as error:  # what has been read of the unit may be cut off
            yield _damage(unit_at if length else at, error)


def cut_units(path: Path | str, part_bytes: int, unit: TextUnit) -> list[int]:
    """Offsets of paragraphs or lines that divide an uncompressed file into ranges of about `part_bytes`; a compressed file, or
    one that is a single document, is one range."""
    cuts = [0]
    if unit == "file" or compression_of(str(path)):
        return cuts
    with open_decompressed(path) as file:
        size = file.seek(0, 2)
        while (at := cuts[-1] + part_bytes) < size:
            file.seek(at - 1)
            at += _line(file, 0)[1] - 1
            between = unit == "line"
            while True:
                _, length, blank = _line(file, 0)
                if not length:
                    return cuts
                if between and not blank:
                    break
                between = between or blank
                at += length
            cuts.append(at)
    return cuts


def check_text(path: Path | str, unit: TextUnit) -> None:
    """UserError for a file in UTF-16, whose lines cannot be told."""
    if unit == "file":
        return
    try:
        with open_decompressed(path) as file:
            mark = file.read(2)
    except BROKEN:
        return  # damage is counted when the file is read
    if mark in _WIDE_MARKS:
        name = Path(path).name
        raise UserError(
            f'{path}: UTF-16, which text_unit = "{unit}" does not read: iconv -f UTF-16 -t UTF-8 {name} > NEW.txt'
        )


def _line(file: BinaryIO, keep: int) -> tuple[bytes, int, bool]:
    """The first `keep` bytes of the next line, the length of the line, and whether it is blank; 0 bytes at the end."""
    piece = file.readline(_STEP)
    kept, length, blank = piece[:keep], len(piece), not piece.strip()
    while piece and not piece.endswith(b"\n") and (piece := file.readline(_STEP)):
        kept += piece[: keep - len(kept)]
        length += len(piece)
        blank = blank and not piece.strip()
    return kept, length, blank


def _unit(path: Path | str, offset: int, length: int, body: bytes, limit: int) -> Record:
    record = Record("document", offset=offset, length=length, content_type="text/plain; charset=utf-8")
    if length > limit:
        record.problem, record.detail = "too_large", _too_large(length, limit)
        return record
    record.record_id = _id(path, offset, body)
    try:
        record.text = (body if offset else body.removeprefix(_UTF8_MARK)).decode()
    except UnicodeDecodeError as error:
        record.problem, record.detail = "bad_record", f"not UTF-8: {error.reason} at byte {error.start:,}"
    return record


def _damage(offset: int, error: Exception) -> Record:
    return Record("unreadable", offset, problem=problem_of(error), detail=f"decompressing: {error}")


def _too_large(length: int, limit: int) -> str:
    return f"{length:,} bytes; max_record_bytes is {limit:,}"


def _id(path: Path | str, offset: int, body: bytes) -> str:
    """The id of a text or page: a hash of its place and content, since files in different folders often have one name."""
    head = f"{PurePath(path).name}\0{offset}\0".encode("utf-8", "surrogatepass")
    return blake2b(head + body, digest_size=16).hexdigest()
