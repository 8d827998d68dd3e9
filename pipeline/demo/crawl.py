"""A web archive for the demo: real HTTP traffic with a small web of our own, recorded by warcio.

The repository holds no pages of other people. So a server on 127.0.0.1 serves the pages of `configs/sample-web`
and the documentation of the user's own Python, a client asks for each of them over a socket, and the bytes of both
sides go into a WARC file as they were sent.
"""

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from warcio.warcwriter import WARCWriter

from pipeline.demo.python_docs import python_pages
from pipeline.demo.sample_server import html_answer, load_site, serve, url_of
from pipeline.errors import UserError

SAMPLE_WEB = Path(__file__).resolve().parents[2] / "configs" / "sample-web"
USER_AGENT = "corpus-pipeline-crawl/1 (a web of its own, on 127.0.0.1)"
ENDING = ".warc.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlSummary:
    """What a crawl recorded: `bytes` is the archive's size, `records` counts warcinfo, requests and responses."""

    path: Path
    sample_pages: int  # 0 also where there is no sample web: a wheel does not hold it
    python_pages: int
    records: int
    bytes: int

    @property
    def pages(self) -> int:
        """All pages fetched, errors and redirects among them."""
        return self.sample_pages + self.python_pages


def crawl(
    out: Path,
    *,
    site: Path | None = None,
    pydoc: bool = True,
    modules: Sequence[str] | None = None,
    date: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CrawlSummary:
    """Serve the sample web and this Python's documentation, fetch every page, and record the traffic in `out`.

    `site` is a folder as `pipeline.demo.sample_server` reads it (the checkout's sample web by default; without a
    checkout none), `modules` the only modules to document (all of the standard library by default), `date`
    (now) the time that the archive states, in UTC: with the same one the same bytes come out. `progress` is called
    with (pages done, pages in all). `out` appears whole or not at all.

    UserError where `out` cannot be written or does not end in `.warc.gz`, and where there is nothing to crawl.
    """
    if not out.name.endswith(ENDING):
        raise UserError(f"{out}: the archive's name must end in {ENDING}")
    if site is None and SAMPLE_WEB.is_dir():
        site = SAMPLE_WEB
    moment = (date or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    partial = out.with_name(f".{out.name}.partial")
    with _writing(out):  # fails before the work where it cannot be written
        partial.write_bytes(b"")
    try:
        answers = load_site(site) if site else {}
        sample_pages = len(answers)
        if pydoc:
            answers |= {url_of(path): html_answer(page) for path, page in python_pages(modules).items()}
        if not answers:
            raise UserError("nothing to crawl: neither a sample web nor Python's documentation")
        archive = BytesIO()
        recorder = Recorder(archive, moment)
        recorder.info(out.name)
        with serve(answers, format_datetime(moment, usegmt=True)) as port:
            for done, (url, request, response) in enumerate(fetch_all(sorted(answers), port), 1):
                recorder.exchange(url, request, response)
                if progress:
                    progress(done, len(answers))
        with _writing(out):
            partial.write_bytes(archive.getvalue())
            os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return CrawlSummary(
        path=out,
        sample_pages=sample_pages,
        python_pages=len(answers) - sample_pages,
        records=1 + 2 * len(answers),
        bytes=archive.tell(),
    )


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None


class Recorder:
    """Writes WARC records, one gzip member each, whose ids follow from URL and date."""

    def __init__(self, archive: BinaryIO, moment: datetime) -> None:
        """Record into `archive` as of `moment` (UTC)."""
        self._writer = WARCWriter(archive, gzip=True)
        self._date = moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def info(self, filename: str) -> None:
        """Write the warcinfo record that opens an archive."""
        about = {"software": USER_AGENT, "format": "WARC File Format 1.0", "isPartOf": "sample-web"}
        body = "".join(f"{key}: {value}\r\n" for key, value in about.items()).encode()
        self._record("warcinfo", "", body, {"WARC-Filename": filename})

    def exchange(self, url: str, request: bytes, response: bytes) -> None:
        """Write the response record of a fetch and, concurrent to it, the request record."""
        self._record("response", url, response, {"WARC-IP-Address": "127.0.0.1"})
        self._record("request", url, request, {"WARC-Concurrent-To": self._id("response", url)})

    def _record(self, kind: str, url: str, block: bytes, headers: dict[str, str]) -> None:
        headers = {"WARC-Record-ID": self._id(kind, url), "WARC-Date": self._date, **headers}
        length = len(block)
        record = self._writer.create_warc_record(url, kind, BytesIO(block), length, warc_headers_dict=headers)
        self._writer.write_record(record)

    def _id(self, kind: str, url: str) -> str:
        return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind} {self._date} {url}')}>"


def fetch_all(urls: Sequence[str], port: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield (url, request, response), with their bytes as sent; one connection for a series of URLs of one host."""
    for host, of_host in groupby(urls, key=lambda url: urlsplit(url).netloc):
        with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as stream:
            for url in of_host:
                request = _request(host, url.removeprefix(f"http://{host}"))
                connection.sendall(request)
                yield url, request, read_response(stream)


def _request(host: str, target: str) -> bytes:
    headers = f"Host: {host}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n"
    return f"GET {target} HTTP/1.1\r\n{headers}\r\n".encode("ascii")


def read_response(stream: BinaryIO) -> bytes:
    """Read one HTTP/1.1 response from the stream, no byte more, and return it unchanged."""
    parts = [_line(stream)]
    while parts[-1] != b"\r\n":
        parts.append(_line(stream))
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in parts[1:-1])}
    if fields.get(b"transfer-encoding") == b"chunked":
        size = -1
        while size:  # the chunk of size 0 is the last
            parts.append(_line(stream))
            size = int(parts[-1], 16)
            parts.append(_exactly(stream, size + len(b"\r\n")))
    else:
        parts.append(_exactly(stream, int(fields[b"content-length"])))
    return b"".join(parts)


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the sample server closed the connection in the middle of a response")
    return line


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionError("the sample server closed the connection in the middle of a response")
    return data
