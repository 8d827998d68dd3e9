"""Records to rows: one row per record, with its text or with every reason why it has none."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from operator import attrgetter
from pathlib import Path

import pyarrow as pa

from pipeline.extract.inputs.archive import Record
from pipeline.extract.options import NOT_PAGES, ExtractOptions
from pipeline.extract.pages.charset import clean, decode
from pipeline.extract.pages.coding import undo, undo_undeclared
from pipeline.extract.pages.markup import extract_page
from pipeline.extract.pages.media_type import HTML_TYPES, media_type
from pipeline.extract.pages.published import published

REASONS = {
    "record_type": "a record of a type that is not in `extract.record_types`, such as a request",
    "revisit": "an unchanged page, which an earlier record has (a revisit); `refers_to` tells which",
    "segmented": "a piece of a record that was cut into segments (WARC-Segment-Number)",
    "recorder_data": "a recorder's own record, not a page: a URL that starts with `metadata:` or `urn:`, such as Wget's log",
    "http_status": "a response with another status than 200 or 203",
    "not_html": "neither HTML nor plain text, by its declared type or its first bytes",
    "empty_body": "the body is empty or white space only",
    "empty_text": "the page has no text, or the extractor found none",
    "too_large": "record, decoded body or number of tags over the limit (`extract.max_record_bytes`; 200,000 tags)",
    "too_deep": "elements nest deeper than `extract.max_depth`",
    "bad_coding": "the body's content coding could not be undone",
    "bad_gzip": "a broken gzip member, or bytes that are not a gzip member",
    "bad_zstd": "a broken zstd frame, or bytes that are not a zstd frame",
    "bad_lz4": "a broken LZ4 frame, or bytes that are not an LZ4 frame",
    "truncated": "the record is shorter than its declared length",
    "bad_record": "bytes that are not a record, a line that is not a JSON object, a row that does not fit its table, a broken "
    "row group, or text that is not UTF-8 where it must be",
    "extractor_failed": "the extractor raised an error; `detail` has it",
    "prescreen_language": "the plain text looks like a language that `language.keep` does not keep (`extract.prescreen`)",
    "crashed": "a worker died several times on this record, or on reading it and the rest of its row group, file or part",
}
"""Every reason for which this stage drops a record, besides those of filters/url.py."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("record_type", pa.string()),
        ("url", pa.string()),
        ("date", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("inner_offset", pa.int64()),
        ("http_status", pa.int32()),
        ("content_type", pa.string()),
        ("encoding", pa.string()),
        ("declared_encoding", pa.string()),
        ("encoding_from", pa.string()),
        ("title", pa.string()),
        ("published", pa.string()),
        ("text", pa.string()),
        ("text_from", pa.list_(pa.string())),
        ("html_bytes", pa.int64()),
        ("dropped", pa.list_(pa.string())),
        ("refers_to", pa.string()),
        ("detail", pa.string()),
    ]
)

COLUMNS = {
    "id": "a document's own id, else 32 hexadecimal digits: a hash of the record's id, URL, date, file and offset",
    "record_type": "WARC-Type; `document` for rows of tables, for texts and files of HTML; `unreadable` for damage",
    "url": "the page's URL, as in the record",
    "date": "when the page was fetched, as in the record",
    "offset": "where the record starts, in bytes of the file on disk",
    "length": "its length there; reading `length` bytes at `offset` gives the record back",
    "inner_offset": "its offset in the decompressed gzip member; 0 unless the member holds several records",
    "http_status": "HTTP status of the response",
    "content_type": "media type of the payload, as declared",
    "encoding": "the encoding that the page was decoded with",
    "declared_encoding": "the encoding that the page declares",
    "encoding_from": "how the encoding was chosen: `bom`, `utf-8`, `header`, `meta`, `detected` or `default`",
    "title": "the page's title",
    "published": "the page's own date of publication, YYYY-MM-DD",
    "text": "the extracted text; null where the row is dropped",
    "text_from": "where a page's text is from, in its order: `page`, `noscript`, `json-ld`, `preloaded`; else null",
    "html_bytes": "bytes of the body after decompression",
    "refers_to": "of a revisit: date and URL of the record that has the page, or its URL alone",
    "detail": "more about a reason in `dropped`, in words",
    "input_COLUMN": "a column of the input's tables that `input.keep_columns` names; text, or other values as JSON",
    "input": 'with "*" in `input.keep_columns`: all other columns of the row, as a JSON object',
}
"""The meaning of the columns of SCHEMA."""

# Wget's log and arguments (metadata://gnu.org/software/wget/), Browsertrix's second copies (urn:text:, urn:pageinfo:).
_RECORDERS = ("metadata:", "urn:")
_BLANK = b" \t\r\n\0"
_PAGE_STATUS = (200, 203)  # the successes that carry a whole document; 206 carries a part of one


@dataclass(slots=True)
class Row:
    """One record in the ledger. It is kept if `dropped` is empty; only then does it have a `text`."""

    id: str
    record_type: str
    url: str | None
    date: str | None
    offset: int
    length: int
    inner_offset: int
    http_status: int | None
    content_type: str | None
    encoding: str | None = None
    declared_encoding: str | None = None
    encoding_from: str | None = None
    """How the encoding was chosen: "bom", "utf-8", "header", "meta", "detected" or "default"."""
    title: str | None = None
    published: str | None = None
    """The page's own date of publication, YYYY-MM-DD."""
    text: str | None = None
    text_from: list[str] | None = None
    """Where a page's text is from, in its order: "page", "noscript", "json-ld", "preloaded"."""
    html_bytes: int | None = None
    """Bytes of the body after decompression."""
    dropped: list[str] = field(default_factory=list)
    refers_to: str | None = None
    """Of a revisit: date and URL of the record that has the page, or its URL alone."""
    detail: str | None = None
    kept: tuple[str | None, ...] = ()
    """The values of `input.keep_columns`."""


def schema(kept: Sequence[str] = ()) -> pa.Schema:
    """SCHEMA, and the columns that hold the values of `input.keep_columns`."""
    return pa.schema([*SCHEMA, *((name, pa.string()) for name in kept)])


def rows(
    records: Iterable[Record],
    options: ExtractOptions,
    *,
    archive: Path | str,
    at: Callable[[int], None] | None = None,
    url_reasons: Callable[[str], list[str]] | None = None,
    prescreen: Callable[[bytes], str | None] | None = None,
    skip: frozenset[int] = frozenset(),
) -> Iterator[Row]:
    """One row per record, in order, whatever is wrong with the record.

    `archive` is the file that the records come from; its base name enters the ids. `at` is called with the row's number
    before a record is read, so that a runner knows on which record a worker died; rows in `skip` are "crashed", and their
    bodies are not worked on. `url_reasons` returns the reasons, if any, not to extract a URL. `prescreen` returns why a
    decoded page is in none of the kept languages, or None ("prescreen_language").
    """
    name = Path(archive).name
    reading = iter(records)
    for number in count():
        if at is not None:
            at(number)
        record = next(reading, None)
        if record is None:
            return
        row = Row(
            id=row_id(record, name),
            record_type=clean(record.record_type),
            url=record.url and clean(record.url),
            date=record.date and clean(record.date),
            offset=record.offset,
            length=record.length,
            inner_offset=record.inner_offset,
            http_status=record.http_status,
            content_type=record.content_type and clean(record.content_type),
            refers_to=record.refers_to and clean(record.refers_to),
            detail=record.detail,
            kept=tuple(value and clean(value) for value in record.kept),
        )
        _judge(row, record, options)
        if url_reasons is not None and row.url is not None and not any(reason in NOT_PAGES for reason in row.dropped):
            row.dropped += url_reasons(row.url)
        if number in skip:
            row.dropped.append("crashed")
        elif not row.dropped:
            _read(row, record, options, prescreen)
        yield row


def _take(row: Row, text: str) -> None:
    """Use a text as it is."""
    row.text = clean(text).replace("\r\n", "\n").replace("\r", "\n").strip() or None
    row.dropped += [] if row.text else ["empty_text"]


def row_id(record: Record, archive: str) -> str:
    """A document's own id, else 32 hexadecimal digits: BLAKE2b-128 of the record's id, URL and date, its file and offsets."""
    if record.record_type == "document" and record.record_id:
        return clean(record.record_id)
    parts = (record.record_id, record.url, record.date, archive, str(record.offset), str(record.inner_offset))
    key = "\0".join(part or "" for part in parts)
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def to_batches(
    rows: Iterable[Row], kept: Sequence[str] = (), *, max_rows: int = 1024, max_bytes: int = 32_000_000
) -> Iterator[pa.RecordBatch]:
    """Rows as Arrow batches of `schema(kept)`; a batch ends at `max_rows` rows or when its texts and kept columns reach
    `max_bytes` characters."""
    of_batch, nothing = schema(kept), (None,) * len(kept)
    values = attrgetter(*SCHEMA.names)

    def batch(pending: list[tuple[object, ...]]) -> pa.RecordBatch:
        columns = zip(*pending, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, of_batch, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=of_batch)

    pending: list[tuple[object, ...]] = []
    size = 0
    for row in rows:
        pending.append((*values(row), *(row.kept or nothing)))
        size += len(row.text or "") + sum(len(value or "") for value in row.kept)
        if len(pending) >= max_rows or size >= max_bytes:
            yield batch(pending)
            pending, size = [], 0
    if pending:
        yield batch(pending)


def _judge(row: Row, record: Record, options: ExtractOptions) -> None:
    """Add every reason to drop the record that does not depend on its body."""
    if record.record_type not in (*options.record_types, "document", "unreadable"):
        row.dropped.append("revisit" if record.record_type == "revisit" else "record_type")
    elif record.is_segment:
        row.dropped.append("segmented")
    if record.problem is not None:
        row.dropped.append(record.problem)
    if record.record_type not in ("document", "unreadable") and (record.url or "").lower().startswith(_RECORDERS):
        row.dropped.append("recorder_data")
    known = record.http_status is not None or record.problem is None
    if record.record_type == "response" and known and record.http_status not in _PAGE_STATUS:
        row.dropped.append("http_status")


def _read(
    row: Row, record: Record, options: ExtractOptions, prescreen: Callable[[bytes], str | None] | None = None
) -> None:
    """Fill in the row's text, or the reasons why it has none."""
    if record.text is not None:
        row.title = record.title and clean(record.title)
        _take(row, record.text)
        return
    uncoded = undo(record.body, record.http_headers, max_bytes=options.max_record_bytes)
    row.detail = "; ".join(note for note in (row.detail, uncoded.detail) if note) or None
    if uncoded.problem is not None:
        row.dropped.append(uncoded.problem)
        return
    body = uncoded.body
    row.html_bytes = len(body)
    if not body[:256].strip(_BLANK) and not body.strip(_BLANK):  # the first, for most pages, copies little
        row.dropped.append("empty_body")
        return
    kind = media_type(record.content_type, body)
    if not kind and (undeclared := undo_undeclared(body, max_bytes=options.max_record_bytes)):
        row.detail = "; ".join(note for note in (row.detail, undeclared.detail) if note)
        if undeclared.problem is not None:
            row.dropped.append(undeclared.problem)
            return
        body = undeclared.body
        row.html_bytes = len(body)
        kind = media_type(record.content_type, body)
    if kind not in HTML_TYPES:
        row.dropped.append("not_html")
        return
    decoded = decode(body, record.content_type)
    row.encoding, row.declared_encoding, row.encoding_from = decoded.encoding, decoded.declared, decoded.how
    if kind == "text/plain":
        _take(row, decoded.text)
        return
    if prescreen is not None and (language_note := prescreen(decoded.utf8)):
        row.dropped.append("prescreen_language")
        row.detail = "; ".join(note for note in (row.detail, language_note) if note)
        return
    page = extract_page(decoded.utf8, options, row.url)
    row.title, row.text = page.title or (record.title and clean(record.title)), page.text
    row.text_from = list(page.text_from) or None
    row.published = published(decoded.utf8, row.url)
    if page.problem is not None:
        row.dropped.append(page.problem)
        row.detail = "; ".join(note for note in (row.detail, page.detail) if note)
