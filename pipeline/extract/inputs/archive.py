"""Web archives to records: every record once, with the exact position to read it from again.

Everything in an archive becomes a `Record`. So does damage, with a `problem` instead of an exception, and reading continues
after it. Records are framed here rather than by fastwarc 2.0, which silently takes an unreadable Content-Length as 0, a
header with bare line feeds as endless, and a truncated record as a whole one. The speed is nearly the same
(tests/benchmarks/extract.py).
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from operator import methodcaller
from pathlib import Path
from typing import NamedTuple

from pipeline.extract.inputs.files import name_of, open_file
from pipeline.extract.inputs.lz4 import LZ4_MAGIC, Lz4
from pipeline.extract.inputs.stream import (
    GZIP_MAGIC,
    PADDING,
    File,
    Gzip,
    Packing,
    Stream,
    file_stream,
    member_end,
)
from pipeline.extract.inputs.wacz import stored_archives
from pipeline.extract.inputs.zstd import DICTIONARY_MAGIC, ZSTD_MAGIC, Zstd

ARCHIVE_SUFFIXES = (".warc", ".warc.gz", ".warc.zst", ".warc.lz4", ".arc", ".arc.gz", ".wet", ".wet.gz", ".wacz")
_MAX_HEAD = 1 << 20  # bytes of a record's own header; nearly all have a few hundred, one with a data: URL many thousand
_MAX_LINE = 1 << 14  # bytes of an ARC header line
_WINDOW = 1 << 18  # bytes that are searched at once for the next record
_WARC_LINE = rb"WARC/\d+\.\d+[ \t\r]*\n[A-Za-z-]+[ \t]*:"
_WARC_START = re.compile(_WARC_LINE)
_WARC_NEXT = re.compile(rb"(?=" + _WARC_LINE + rb")")
# URL, IP, 14 digits of date, content type (may be empty), in version 2 five more fields, length. URLs may contain spaces.
_ARC_LINE = rb"([A-Za-z][A-Za-z0-9+.-]*:[^\r\n]*) (\S+) (\d{14}) (\S*)(?: \S+){0,5}? (\d+)[ \t]*\r?\n"
_ARC_START = re.compile(_ARC_LINE)
_ARC_NEXT = re.compile(rb"\n(?=" + _ARC_LINE + rb")")
# \r\r\n: archives that went through a text-mode copy. A match starts at the start of a run of \r only: a long run without \n
# would otherwise be read again from each of its bytes.
_BLANK_LINE = re.compile(rb"(?<!\r)\r*\n\r*\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t]|\r|\n|$)")
# Responses that another one follows: 100 Continue, 103 Early Hints, a proxy's answer to CONNECT. warcprox 2.13 and warcio 1.8
# write them into one record with the final response.
_INTERIM = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(?:1\d\d|200[ \t]+connection established)(?:[ \t]|\r|\n|$)", re.I)
_INTERIM_LIMIT = 16
_PLAIN = bytes({*range(32, 127)} | {*b"\t\r\n"})
_PARTS = methodcaller("partition", ":")
_RETURN = ord("\r")

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Record:
    """One record of an archive, or a range of bytes that is not a record.

    `offset` and `length` are bytes in the file on disk; reading those gives the record back. In a .gz they span whole gzip
    members, and `inner_offset` is the record's offset in the decompressed member (0 unless the member holds several). `body`
    is the payload without HTTP headers, still compressed. With a `problem` ("bad_gzip", "bad_zstd", "bad_lz4", "truncated",
    "bad_record", "too_large") the body is empty; the values of the header are kept, and `record_type` is "unreadable" if
    there is no header.
    """

    record_type: str
    offset: int = 0
    length: int = 0
    inner_offset: int = 0
    record_id: str | None = None
    url: str | None = None
    date: str | None = None
    content_type: str | None = None
    """The media type of the payload: of the HTTP response, or of a record without HTTP."""
    http_status: int | None = None
    http_headers: Headers = field(default_factory=list)
    """Names in lower case."""
    body: bytes = b""
    text: str | None = None
    """Text that needs no extraction: of a document that is not a web page. It may have a `title`."""
    title: str | None = None
    problem: str | None = None
    detail: str | None = None
    refers_to: str | None = None
    """Of a revisit: the date and URL of the record that has the page, or its URL alone."""
    is_segment: bool = False
    """Whether it is the first piece of a record that was cut into several."""
    kept: tuple[str | None, ...] = ()
    """Values of `input.keep_columns`, in this order; none of a record that is not a row of a table."""


@dataclass(frozen=True, slots=True)
class _Format:
    """How the records of a format start, and how their headers are read."""

    start: re.Pattern[bytes]
    next: re.Pattern[bytes]
    head: Callable[[Stream], tuple[Record, int] | None]
    """Reads the header from the stream: the record and the length of its content, -1 if unknown; None if it is not a header."""


def read_records(
    path: Path | str, start: int = 0, end: int | None = None, *, max_record_bytes: int
) -> Iterator[Record]:
    """Yield every record that starts in bytes [start, end) of the file, in order.

    Adjacent ranges yield each record of the file exactly once, wherever they meet, unless they meet inside a record that
    itself contains an uncompressed archive. A range begins at the first record at or after `start`, and damage belongs to the
    range of the record before it. Memory stays within a few times `max_record_bytes`. A file that cannot be opened raises
    UserError.
    """
    with _open(path) as archives:
        for archive in archives:
            first = max(start, archive.file.begin)
            behind = archive.file.end if end is None else min(end, archive.file.end)
            if first < behind or archive.file.begin == archive.file.end:
                yield from _records(archive, first, behind, max_record_bytes)


def is_archive(first: bytes) -> bool:
    """Whether these first bytes of a file, decompressed, begin a record."""
    first = first.lstrip(PADDING)
    return bool(_WARC_START.match(first) or _ARC_START.match(first))


def kind(path: Path | str) -> str:
    """The kind of an archive, from its first bytes. What is read from a range depends on this and the range's bytes only."""
    with _open(path) as archives:
        return ", ".join(
            f"{'ARC' if form is _ARC else 'WARC'}{f' in {packing.name}' if packing else ''}"
            for _, form, packing in archives
        )


def cut(path: Path | str, part_bytes: int, *, max_record_bytes: int = 10_000_000) -> list[int]:
    """Offsets of records that divide the file into ranges of at least `part_bytes` (the last may be smaller): [0, ...].

    They are found by seeking. An offset counts only if the record there and the next one, if any, are whole, so that a page
    about archives, or damage, moves the cut without changing what is read. After each failure the search goes on twice as far
    ahead, so that a file of broken records has few of them.
    """
    cuts = [0]
    with _open(path) as archives:
        for archive in archives:
            file, form, packing = archive
            at, step = max(cuts[-1] + part_bytes, file.begin), 1
            while at < file.end:
                at = _next_member(file, form, packing, at) if packing else _next_start(file, form, at)
                if at == file.end:
                    break
                records = [*islice(_records(archive, at, file.end, max_record_bytes), 2)]
                if records[0].offset == at and not any(record.problem for record in records):
                    cuts.append(at)
                    at, step = at + part_bytes, 1
                else:
                    at, step = at + step, step * 2
    return cuts


class _Archive(NamedTuple):
    """An archive: its bytes, how its records start, and how it is compressed, if it is."""

    file: File
    form: _Format
    packing: Packing | None


@contextmanager
def _open(path: Path | str) -> Iterator[list[_Archive]]:
    """The archives in a file: one, or those that are stored in a WACZ."""
    name = name_of(str(path))
    with open_file(path) as handle:
        if not name.endswith(".wacz"):
            yield [_opened(File(handle), name)]
            return
        yield [_opened(File(handle, begin, end), inner) for inner, begin, end in stored_archives(handle, str(path))]


def _opened(file: File, name: str) -> _Archive:
    packing = packing_of(file)
    if packing is None and name.endswith((".gz", ".zst", ".lz4")) and not is_archive(file.read(file.begin, _MAX_LINE)):
        # damaged at its start; later members may be whole
        packing = Gzip() if name.endswith(".gz") else Lz4() if name.endswith(".lz4") else Zstd(file)
    begin = packing.padding_end(file, file.begin) if packing else file.begin
    first = packing.opening(file, begin, _MAX_LINE) if packing else file.read(begin, _MAX_LINE)
    arc = not _WARC.start.match(first) and (name.endswith((".arc", ".arc.gz")) or bool(_ARC.start.match(first)))
    return _Archive(file, _ARC if arc else _WARC, packing)


def packing_of(file: File) -> Packing | None:
    """How a file is compressed, by its first bytes; None for one that is not, or in another way."""
    first = file.read(file.begin, 4)
    if first[:3] == GZIP_MAGIC:
        return Gzip()
    if first == LZ4_MAGIC:
        return Lz4()
    return Zstd(file) if first in (ZSTD_MAGIC, DICTIONARY_MAGIC) else None


def _records(archive: _Archive, start: int, end: int, limit: int) -> Iterator[Record]:
    file, form, packing = archive
    if packing:
        return _packed_records(file, form, packing, start, end, limit)
    return _plain_records(file, form, start, end, limit)


def header_block(block: bytes) -> Headers:
    """Name and value of each header line, names in lower case; folded lines are joined, lines without a colon skipped."""
    if block.isascii() and not block.translate(None, _PLAIN) and b"\n " not in block and b"\n\t" not in block:
        lines = map(_PARTS, block.decode("ascii").split("\n"))  # nearly always, and many times faster
        return [(name.strip().lower(), value.strip()) for name, colon, value in lines if colon]
    headers: list[tuple[str, list[str]]] = []
    for line in map(_text, block.split(b"\n")):
        if line[:1] in (" ", "\t") and headers:
            if folded := line.strip():
                headers[-1][1].append(folded)
            continue
        name, colon, value = line.partition(":")
        if colon:
            headers.append((name.strip().lower(), [value.strip()]))
    return [(name, " ".join(values)) for name, values in headers]


def _text(raw: bytes) -> str:
    """Header bytes as text: UTF-8 as in WARC, else Latin-1 as in old HTTP. NUL is removed, so that none reaches a column."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", "")


def _warc_head(stream: Stream) -> tuple[Record, int] | None:
    found = stream.head(4096) or stream.head(_MAX_HEAD)  # the first reads less ahead
    if found is None:
        return None
    head_length, end = found
    head = stream.take(end)[:head_length]
    named = dict(reversed(header_block(head)))  # the first of each name counts
    record = Record(
        record_type=named.get("warc-type", "unknown").lower(),
        record_id=named.get("warc-record-id"),
        url=_bare(named.get("warc-target-uri")),
        date=named.get("warc-date"),
        content_type=named.get("content-type"),
        is_segment="warc-segment-number" in named,
    )
    if record.record_type == "revisit":  # Wget names the record's id only, and revisits a page of the same URL only
        referred = _bare(named.get("warc-refers-to-target-uri")) or record.url or ""
        record.refers_to = f"{named.get('warc-refers-to-date', '')} {referred}".strip() or None
    length = named.get("content-length", "")
    return record, int(length) if length.isascii() and length.isdigit() and len(length) < 19 else -1


def _bare(url: str | None) -> str | None:
    """A URL without the angle brackets in which Wget writes it."""
    return url[1:-1] if url and url[0] == "<" and url[-1] == ">" else url


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
    """The record at the cursor, or an unreadable one for other bytes; None at the end. The cursor moves past it."""
    stream.skip_padding()
    start = stream.position
    if not stream.fill(1):
        return None
    if not stream.match(form.start, _MAX_LINE) or (head := form.head(stream)) is None:
        stream.skip(1)
        _resynchronise(stream, form)
        return _located(Record("unreadable", problem="bad_record", detail="no record starts here"), start, stream)
    record, length = head
    if length < 0:
        record.problem, record.detail = "bad_record", "no usable Content-Length"
        _resynchronise(stream, form)
        return _located(record, start, stream)
    if length > limit:
        _pass_content(stream, form, record, length)
        if record.problem is None:
            record.problem, record.detail = "too_large", f"{length:,} bytes; max_record_bytes is {limit:,}"
    else:
        _open_payload(record, *_take_content(stream, form, record, length))
        if record.problem and _is_whole(record):
            record.problem, record.detail = None, f"Content-Length of the record is wrong: {record.detail}"
    if record.problem:
        record.body = b""
    line_ends = stream.peek(4)
    stream.skip(len(line_ends) - len(line_ends.lstrip(b"\r\n")))
    return _located(record, start, stream)


# Neither of the next two copies or reads what lies before the place where the record is cut: it may be as long as the limit,
# while records that claim as much lie close together.


def _take_content(stream: Stream, form: _Format, record: Record, length: int) -> tuple[bytes, int, int]:
    """The content of a record, up to the next record if that starts before its end: bytes, and the range of it in them."""
    available = stream.fill(length)
    if available == length and _record_follows(form, stream.ahead(length, _MAX_LINE)):
        return stream.take_in_place(length)
    # A header's first lines may begin in the content and end behind it.
    if (cut := stream.search(form.next, length + _MAX_LINE)) and cut[1] <= length:
        body = stream.take(cut[0])
        stream.skip(cut[1] - cut[0])
        _truncate(record, length, None)
    else:
        body = stream.take(length)
        if available < length:
            _truncate(record, length, available)
    if record.problem and _counts_carriage_returns(body, length, ends=bool(cut) or stream.file is None):
        record.problem, record.detail = None, "Content-Length of the record counts carriage returns that are gone"
    return body, 0, len(body)


def _pass_content(stream: Stream, form: _Format, record: Record, length: int) -> None:
    """Skip the content of a record, up to the next record if that starts before its end and the source can go back."""
    if stream.file is None:
        available = stream.skip(length)
        if available < length:
            _truncate(record, length, available)
        return
    content = stream.position
    stop = min(content + length, stream.file.end)
    if stop < content + length or not _record_follows(form, stream.file.glance(stop, _MAX_LINE)):
        _resynchronise(stream, form)
        if content < stream.position < stop:
            _truncate(record, length, None)
            return
        if stop < content + length:
            _truncate(record, length, stop - content)
    stream.jump(stop)


def _record_follows(form: _Format, ahead: bytes) -> bool:
    """Whether a record or the end follows."""
    ahead = ahead.lstrip(PADDING)
    return not ahead or form.start.match(ahead) is not None


def _truncate(record: Record, length: int, available: int | None) -> None:
    found = "another record starts within its" if available is None else f"{available:,} of"
    record.problem, record.detail = (
        "truncated",
        f"{found} {length:,} bytes{' are there' if available is not None else ''}",
    )


def _is_whole(record: Record) -> bool:
    """Whether the body has at least the length that HTTP declares, or ends as HTML does, although the record's own length says
    otherwise."""
    if record.body[-64:].rstrip()[-7:].lower() == b"</html>":
        return True
    announced = next((value for name, value in record.http_headers if name == "content-length"), "")
    return announced.isascii() and announced.isdigit() and len(record.body) >= int(announced[:18])


def _counts_carriage_returns(body: bytes, length: int, *, ends: bool) -> bool:
    """Whether a length may count carriage returns that are gone: no more bytes are missing than there are bare line feeds.

    Where the file ends with the body, not only its member (`ends`), bytes may be missing: then the head's lines must end in
    bare line feeds, as in ClueWeb09.
    """
    first_line_end = body.find(b"\n")
    if not ends and body[first_line_end - 1 : first_line_end] in (b"", b"\r"):
        return False
    bare = body.count(b"\n") - body.count(b"\r\n")
    return length <= len(body) + bare


def _located(record: Record, start: int, stream: Stream) -> Record:
    record.inner_offset, record.length = start, stream.position - start
    return record


def _resynchronise(stream: Stream, form: _Format) -> None:
    """Move to the next start of a record, or to the end."""
    while size := stream.fill(_WINDOW):
        if found := stream.search(form.next, _WINDOW):
            stream.skip(found[1])
            return
        # A record may start across the end of the window, so keep the length of a header line, unless this is the end.
        stream.skip(max(size - _MAX_LINE, 1) if size == _WINDOW else size)


def _open_payload(record: Record, held: bytes, start: int, end: int) -> None:
    """Split the bytes of a block into HTTP headers and body if it is an HTTP response; otherwise all of it is the body."""
    kind = (record.content_type or "").lower()
    if record.record_type not in ("response", "revisit") or not (kind.startswith("application/http") or not kind):
        record.body = held[start:end]
        return
    if not (status := _STATUS.match(held, start, end)):
        record.body, record.content_type = held[start:end], None
        return
    head_end, body = _blank_line(held, start, end)
    for _ in range(_INTERIM_LIMIT):
        if not (_INTERIM.match(held, start, end) and (following := _STATUS.match(held, body, end))):
            break
        start, status = body, following
        head_end, body = _blank_line(held, start, end)
    record.body = held[body:end]
    record.http_status = int(status[1])
    record.http_headers = header_block(held[start:head_end].partition(b"\n")[2])
    # Several lines are one list, as in Fetch; the last valid entry counts.
    record.content_type = ", ".join([value for name, value in record.http_headers if name == "content-type"]) or None


def _blank_line(held: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the first empty line begins and ends; the end of the block, twice, if there is none."""
    line_end = held.find(b"\n\r\n", start, end)
    is_plain = line_end > start and held[line_end - 1] == _RETURN
    if is_plain and held.find(b"\n\n", start, line_end) < 0 and held.find(b"\r\r", start, line_end) < 0:
        return line_end - 1, line_end + 3  # nearly always, and many times faster
    blank = _BLANK_LINE.search(held, start, end)
    return (blank.start(), blank.end()) if blank else (end, end)


def _plain_records(file: File, form: _Format, start: int, end: int, limit: int) -> Iterator[Record]:
    stream = file_stream(file, start)

    def on_record() -> bool:
        at = stream.position
        anchored = (
            form is _WARC or at == file.begin or file.read(at - 1, 1) == b"\n"
        )  # the tail of an ARC line may look like a line
        return anchored and stream.match(form.start, _MAX_LINE) is not None

    if start > file.begin and not on_record():
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
    """Offset of the first record at or after `offset` in an uncompressed archive; the file's size if there is none."""
    stream = file_stream(file, offset)
    if not stream.match(form.start, _MAX_LINE):
        _resynchronise(stream, form)
    return stream.position


def _packed_records(file: File, form: _Format, packing: Packing, start: int, end: int, limit: int) -> Iterator[Record]:
    offset = _next_member(file, form, packing, start) if start > file.begin else start
    while offset < file.end:
        if offset >= end and form.start.match(packing.opening(file, offset, _MAX_LINE)):
            return
        if file.read(offset, len(packing.magic)) == packing.magic:
            offset = yield from _member_records(file, form, packing, offset, limit)
        elif (behind := packing.padding_end(file, offset)) > offset:
            offset = behind
        else:
            behind = _next_member(file, form, packing, offset + 1)
            detail = f"no {packing.unit} starts here"
            yield Record("unreadable", offset, behind - offset, problem=packing.problem, detail=detail)
            offset = behind


def _member_records(
    file: File, form: _Format, packing: Packing, offset: int, limit: int
) -> Generator[Record, None, int]:
    """The records of the member at `offset`; returns the offset at which to continue."""
    member = packing.member(file, offset, limit)
    stream = Stream(member.more)
    length: int | None = None
    record = _next_record(stream, form, limit)
    while record is not None:
        stream.skip_padding()
        if not stream.fill(1):
            break
        if length is None:  # several records in this member: find its end separately, since it may be far ahead
            end = member_end(packing, file, offset, limit) or _next_member(file, form, packing, offset + 1)
            length = end - offset
        record.offset, record.length = offset, length
        yield record
        record = _next_record(stream, form, limit)
    next_offset = member.end if member.end is not None else _next_member(file, form, packing, offset + 1)
    if member.problem is not None:
        if record is None:
            record = Record("unreadable")
        record.body, record.problem, record.detail = b"", member.problem, member.detail
    if record is not None:
        record.offset, record.length = offset, next_offset - offset
        yield record
    return next_offset


def _next_member(file: File, form: _Format, packing: Packing, offset: int) -> int:
    """Offset of the first member at or after `offset` that starts with a record; the file's size if there is none."""
    while block := file.read(offset, 1 << 18):
        at = block.find(packing.magic)
        while at >= 0:
            if form.start.match(packing.opening(file, offset + at, _MAX_LINE)):
                return offset + at
            at = block.find(packing.magic, at + 1)
        offset += max(len(block) - len(packing.magic) + 1, 1)
    return file.end


def dictionary_frame(path: Path | str, offset: int) -> bytes:
    """The frame with the dictionary of the archive in zstd that has the record at `offset`; empty if it has none."""
    with _open(path) as archives:
        for archive in archives:
            if archive.file.begin <= offset < archive.file.end and isinstance(archive.packing, Zstd):
                return archive.packing.dictionary
    return b""
