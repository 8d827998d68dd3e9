"""Web archives to records: every record once, with the exact place it can be fetched from again.

Whatever an archive holds comes out as a `Record`: damage too, with a `problem` instead of an exception, and reading
goes on behind it. Records are framed here rather than by fastwarc 2.0, which silently takes an unreadable Content-Length
as 0, a header with bare line feeds as endless and a cut record as a whole one. The speed is nearly the same
(tests/benchmarks/extract.py).
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from pipeline.extract.inputs.files import open_file
from pipeline.extract.inputs.stream import (
    GZIP_MAGIC,
    PADDING,
    File,
    GzipMember,
    Stream,
    file_stream,
    member_length,
    opening,
)

ARCHIVE_SUFFIXES = (".warc", ".warc.gz", ".arc", ".arc.gz", ".wet", ".wet.gz", ".wat", ".wat.gz")
_MAX_HEAD = 1 << 16  # bytes of a record's own header; real ones hold a long URL and a few lines
_MAX_LINE = 1 << 14  # bytes of an ARC header line
_WARC_LINE = rb"WARC/\d+\.\d+[ \t\r]*\n[A-Za-z-]+[ \t]*:"
_WARC_START = re.compile(_WARC_LINE)
_WARC_NEXT = re.compile(rb"(?=" + _WARC_LINE + rb")")
# URL, IP, 14 digits of date, content type (may be empty), in version 2 five fields more, length. URLs may hold spaces.
_ARC_LINE = rb"([A-Za-z][A-Za-z0-9+.-]*:[^\r\n]*) (\S+) (\d{14}) (\S*)(?: \S+){0,5}? (\d+)[ \t]*\r?\n"
_ARC_START = re.compile(_ARC_LINE)
_ARC_NEXT = re.compile(rb"\n(?=" + _ARC_LINE + rb")")
_BLANK_LINE = re.compile(rb"\r*\n\r*\n")  # \r\r\n: archives that went through a text-mode copy
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t]|\r|\n|$)")

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Record:
    """One record of an archive, or a stretch of it that is none.

    `offset` and `length` are bytes in the file as it lies on disk; reading just those gives the record back. In a .gz
    they span whole gzip members, and `inner_offset` is the record's place in the decompressed member (0 unless a member
    holds several). `body` is the payload without HTTP headers, its codings not undone. With a `problem` ("bad_gzip",
    "truncated", "bad_record", "too_large") the body is empty; what the header told is kept, and `record_type` is
    "unreadable" where there was none.
    """

    record_type: str
    offset: int = 0
    length: int = 0
    inner_offset: int = 0
    record_id: str | None = None
    url: str | None = None
    date: str | None = None
    content_type: str | None = None
    """The payload's: of the HTTP response, or of a record without HTTP."""
    http_status: int | None = None
    http_headers: Headers = field(default_factory=list)
    """Names in lower case."""
    body: bytes = b""
    text: str | None = None
    """Text that needs no extraction, and its title: of a document that was no web page."""
    title: str | None = None
    problem: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Format:
    """How records start and what their header says."""

    start: re.Pattern[bytes]
    next: re.Pattern[bytes]
    head: Callable[[Stream], tuple[Record, int] | None]
    """Takes the header off the stream: the record and its content's length; length -1 where it is not told."""


def read_records(
    path: Path | str, start: int = 0, end: int | None = None, *, max_record_bytes: int
) -> Iterator[Record]:
    """Yield every record that starts in bytes [start, end) of the file, in order.

    Ranges that tile a file yield each of its records exactly once wherever they are cut (unless a cut lies in a record
    that itself holds an archive, uncompressed): a range begins at the first record at or after `start`, and damage
    belongs to the range of the record before it. Memory stays within a few times `max_record_bytes`. A file that cannot
    be opened raises UserError.
    """
    with _open(path) as (file, form, zipped):
        reader = _gzip_records if zipped else _plain_records
        yield from reader(file, form, start, file.size if end is None else end, max_record_bytes)


def kind(path: Path | str) -> str:
    """What a file's beginning says of it: all that decides, beside a range's own bytes, what is read from the range."""
    with _open(path) as (_, form, zipped):
        return f"{'ARC' if form is _ARC else 'WARC'}{' in gzip' if zipped else ''}"


def cut(path: Path | str, part_bytes: int, *, max_record_bytes: int = 10_000_000) -> list[int]:
    """Offsets of records that divide the file into ranges of at least `part_bytes` (the last may be smaller): [0, ...].

    Found by seeking. A place only counts where the record there and the one behind it, if any, are whole, so that a page
    about archives, or damage, moves the cut and changes nothing that is read.
    """
    cuts = [0]
    with _open(path) as (file, form, zipped):
        find, reader = (_next_member, _gzip_records) if zipped else (_next_start, _plain_records)
        at = part_bytes
        while at < file.size and (at := find(file, form, at)) < file.size:
            two = [*islice(reader(file, form, at, file.size, max_record_bytes), 2)]
            if two[0].offset == at and not any(record.problem for record in two):
                cuts.append(at)
                at += part_bytes
            else:
                at += 1
    return cuts


@contextmanager
def _open(path: Path | str) -> Iterator[tuple[File, _Format, bool]]:
    """The file, how its records start, and whether it is made of gzip members."""
    name = str(path).lower()
    with open_file(path) as handle:
        file = File(handle)
        zipped = file.read(0, 3) == GZIP_MAGIC or (name.endswith(".gz") and _is_damaged_gzip(file))
        first = opening(file, 0, _MAX_LINE) if zipped else file.read(0, _MAX_LINE)
        arc = not _WARC.start.match(first) and (name.endswith((".arc", ".arc.gz")) or bool(_ARC.start.match(first)))
        yield file, _ARC if arc else _WARC, zipped


def header_block(block: bytes) -> Headers:
    """Name and value of each header line, names in lower case; folded lines joined; lines without a colon left out."""
    headers: Headers = []
    lines = block.decode("ascii").replace("\0", "") if block.isascii() else None  # nearly always, and many times faster
    for line in lines.split("\n") if lines is not None else map(_text, block.split(b"\n")):
        if line[:1] in (" ", "\t") and headers:
            if line.strip():
                name, value = headers[-1]
                headers[-1] = name, f"{value} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        if colon:
            headers.append((name.strip().lower(), value.strip()))
    return headers


def _text(raw: bytes) -> str:
    """Header bytes as text: UTF-8 as WARC has it, else Latin-1 as HTTP once had it. NUL never reaches a column."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", "")


def _warc_head(stream: Stream) -> tuple[Record, int] | None:
    for reach in (4096, _MAX_HEAD):
        ahead = stream.peek(reach)
        blank = _BLANK_LINE.search(ahead)
        if blank or len(ahead) < reach:
            break
    if blank is None:
        return None
    stream.take(blank.end())
    named: dict[str, str] = {}
    for name, value in header_block(ahead[: blank.start()]):
        named.setdefault(name, value)
    url = named.get("warc-target-uri")
    record = Record(
        record_type=named.get("warc-type", "unknown").lower(),
        record_id=named.get("warc-record-id"),
        url=url[1:-1] if url and url[0] == "<" and url[-1] == ">" else url,  # wget writes <http://...>
        date=named.get("warc-date"),
        content_type=named.get("content-type"),
    )
    length = named.get("content-length", "")
    return record, int(length) if length.isascii() and length.isdigit() and len(length) < 19 else -1


def _arc_head(stream: Stream) -> tuple[Record, int] | None:
    line = _ARC_START.match(stream.peek(_MAX_LINE))
    if line is None:
        return None
    stream.take(line.end())
    url, _, date, content_type, length = (_text(part).strip() for part in line.groups())
    day = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z"
    if url.startswith("filedesc:"):
        return Record(record_type="warcinfo", date=day, content_type=content_type or None), int(length)
    http = url.lower().startswith("http")
    kind = "application/http" if http else content_type or None
    return Record(record_type="response" if http else "resource", url=url, date=day, content_type=kind), int(length)


_WARC = _Format(_WARC_START, _WARC_NEXT, _warc_head)
_ARC = _Format(_ARC_START, _ARC_NEXT, _arc_head)


def _next_record(stream: Stream, form: _Format, limit: int) -> Record | None:
    """The record at the cursor, or what stands there instead of one; None at the end. The cursor moves behind it."""
    stream.skip_padding()
    start = stream.position
    if not stream.fill(1):
        return None
    if not stream.match(form.start, _MAX_LINE) or (head := form.head(stream)) is None:
        stream.skip(1)
        _resynchronise(stream, form)
        return _place(Record("unreadable", problem="bad_record", detail="no record starts here"), start, stream)
    record, length = head
    content = stream.position
    if length < 0:
        record.problem, record.detail = "bad_record", "no usable Content-Length"
        _resynchronise(stream, form)
        return _place(record, start, stream)
    body = stream.take(length) if length <= limit else b""
    found = len(body) if length <= limit else stream.skip(length)
    ahead = stream.peek(_MAX_LINE).lstrip(PADDING)
    if found < length or (ahead and not form.start.match(ahead)):
        # The length does not lead to a next record. If one starts before that, this record was cut there.
        stop = stream.position
        cut = form.next.search(body)
        if cut:
            stream.unread(body[cut.end() :])
            body = body[: cut.start()]
        elif length > limit and stream.back(content):
            _resynchronise(stream, form)
            if not content < stream.position < stop:
                stream.back(stop)
        if stream.position < stop:
            record.problem, record.detail = "truncated", f"another record starts within its {length:,} bytes"
        elif found < length:
            record.problem, record.detail = "truncated", f"{found:,} of {length:,} bytes are there"
    if length > limit:
        if record.problem is None:
            record.problem, record.detail = "too_large", f"{length:,} bytes; max_record_bytes is {limit:,}"
    else:
        _open_payload(record, body)
        if record.problem and _is_whole(record):
            record.problem, record.detail = None, f"Content-Length of the record is wrong: {record.detail}"
    if record.problem:
        record.body = b""
    line_ends = stream.peek(4)
    stream.skip(len(line_ends) - len(line_ends.lstrip(b"\r\n")))
    return _place(record, start, stream)


def _is_whole(record: Record) -> bool:
    """Whether a record that its own length calls cut holds all that HTTP announced."""
    announced = next((value for name, value in record.http_headers if name == "content-length"), "")
    return announced.isascii() and announced.isdigit() and len(record.body) >= int(announced[:18])


def _place(record: Record, start: int, stream: Stream) -> Record:
    record.inner_offset, record.length = start, stream.position - start
    return record


def _resynchronise(stream: Stream, form: _Format) -> None:
    """Move to the next place at which a record starts, or to the end."""
    while block := stream.peek(1 << 18):
        if found := form.next.search(block):
            stream.skip(found.end())
            return
        # A start may straddle the end of the block: keep a header line's worth of it, unless this is the end.
        stream.skip(max(len(block) - _MAX_LINE, 1) if len(block) == 1 << 18 else len(block))


def _open_payload(record: Record, block: bytes) -> None:
    """Divide the block into HTTP headers and body, where it is an HTTP response."""
    kind = (record.content_type or "").lower()
    if record.record_type not in ("response", "revisit") or not (kind.startswith("application/http") or not kind):
        record.body = block
        return
    if not (status := _STATUS.match(block)):
        record.body, record.content_type = block, None
        return
    blank = _BLANK_LINE.search(block)
    head, record.body = (block, b"") if blank is None else (block[: blank.start()], block[blank.end() :])
    record.http_status = int(status[1])
    record.http_headers = header_block(head.partition(b"\n")[2])
    record.content_type = next((value for name, value in record.http_headers if name == "content-type"), None)


def _plain_records(file: File, form: _Format, start: int, end: int, limit: int) -> Iterator[Record]:
    stream = file_stream(file, start)

    def on_record() -> bool:
        at = stream.position
        anchored = form is _WARC or at == 0 or file.read(at - 1, 1) == b"\n"  # the rest of an ARC line is like a line
        return anchored and stream.match(form.start, _MAX_LINE) is not None

    if start and not on_record():
        _resynchronise(stream, form)
    while True:
        stream.skip_padding()
        if stream.position >= end and on_record():
            return
        if (record := _next_record(stream, form, limit)) is None:
            return
        record.offset, record.inner_offset = record.inner_offset, 0
        yield record


def _next_start(file: File, form: _Format, offset: int) -> int:
    """Offset of the first record that starts at or after `offset` in an uncompressed archive; the size if none does."""
    stream = file_stream(file, offset)
    if not stream.match(form.start, _MAX_LINE):
        _resynchronise(stream, form)
    return stream.position


def _gzip_records(file: File, form: _Format, start: int, end: int, limit: int) -> Iterator[Record]:
    offset = _next_member(file, form, start) if start else 0
    while offset < file.size:
        if offset >= end and form.start.match(opening(file, offset, _MAX_LINE)):
            return
        if file.read(offset, 3) != GZIP_MAGIC:
            block = file.read(offset, 1 << 16)
            padding = len(block) - len(block.lstrip(b"\r\n\0"))
            if not padding:
                behind = _next_member(file, form, offset + 1)
                yield Record(
                    "unreadable", offset, behind - offset, problem="bad_gzip", detail="no gzip member starts here"
                )
                offset = behind
            offset += padding
            continue
        offset = yield from _member_records(file, form, offset, limit)


def _member_records(file: File, form: _Format, offset: int, limit: int) -> Generator[Record, None, int]:
    """The records of the member at `offset`; returns the offset at which to go on."""
    member = GzipMember(file, offset, limit)
    stream = Stream(member.more)
    length: int | None = None
    record = _next_record(stream, form, limit)
    while record is not None:
        stream.skip_padding()
        if not stream.fill(1):
            break
        if length is None:  # several records in this member: its end is far ahead, so it is looked for separately
            length = member_length(file, offset, limit) or _next_member(file, form, offset + 1) - offset
        record.offset, record.length = offset, length
        yield record
        record = _next_record(stream, form, limit)
    behind = member.end if member.end is not None else _next_member(file, form, offset + 1)
    if member.problem is not None:
        if record is None:
            record = Record("unreadable")
        record.body, record.problem, record.detail = b"", member.problem, member.detail
    if record is not None:
        record.offset, record.length = offset, behind - offset
        yield record
    return behind


def _next_member(file: File, form: _Format, offset: int) -> int:
    """Offset of the first gzip member at or after `offset` that starts like a record; the file's size if none does."""
    while block := file.read(offset, 1 << 18):
        at = block.find(GZIP_MAGIC)
        while at >= 0:
            if form.start.match(opening(file, offset + at, _MAX_LINE)):
                return offset + at
            at = block.find(GZIP_MAGIC, at + 1)
        offset += max(len(block) - 2, 1)
    return file.size


def _is_damaged_gzip(file: File) -> bool:
    """A .gz whose first bytes are neither gzip nor a record: its later members may be whole."""
    first = file.read(0, _MAX_LINE).lstrip(b"\r\n\0")
    return not (_WARC_START.match(first) or _ARC_START.match(first))
