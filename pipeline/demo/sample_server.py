"""A small web on 127.0.0.1: a folder of pages under fictional hosts, served as `site.toml` says.

A site is a folder of folders: `garden-notes.example/compost.html` answers `http://garden-notes.example/compost.html`
(and `index.html` answers `/`). A file is served with status 200 and the content type of its suffix, as UTF-8, unless
`site.toml` says otherwise; a path that only `site.toml` names (an error page, a redirect) is answered too.
"""

import gzip
import tomllib
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import brotli

from pipeline.errors import UserError

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
}
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "deflate": zlib.compress,
    "br": brotli.compress,
}
CHUNK = 4096
NOT_SERVED = {"site.toml", "README.md"}
KEYS: dict[str, type] = {
    "status": int,  # of the answer; 200
    "file": str,  # what to serve, from the site's folder; the path itself
    "hex": str,  # the body itself, where it is not text
    "content_type": str,  # the header, with or without a charset; "" leaves it out
    "encoding": str,  # the page's bytes, whatever the header claims; "utf-8"
    "coding": str,  # content coding, one of CODINGS
    "chunked": bool,  # transfer coding
    "location": str,  # of a redirect
    "nested": int,  # wrap the page's body in this many <div>
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server says to one URL; `body` is already encoded and compressed."""

    body: bytes
    headers: tuple[tuple[str, str], ...]
    status: int = 200
    chunked: bool = False

    def wire(self, date: str) -> bytes:
        """Return the whole response as it is sent, with `date` as its Date header."""
        framing = ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(len(self.body)))
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in (("Date", date), *self.headers, framing)]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + (chunks(self.body) if self.chunked else self.body)


def html_answer(page: str) -> Answer:
    """Return a plain answer: status 200, HTML in UTF-8, declared as such."""
    return Answer(body=page.encode(), headers=(("Content-Type", CONTENT_TYPES[".html"]),))


def chunks(body: bytes) -> bytes:
    """Return `body` in HTTP/1.1's chunked transfer coding."""
    parts = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])


def load_site(site: Path) -> dict[str, Answer]:
    """Return the answers of the site in the folder `site`, by URL.

    Raises UserError where the folder is missing, or `site.toml` names an unknown key, file, coding or encoding.
    """
    if not site.is_dir():
        raise UserError(f"{site}: no such folder; a site is a folder with one folder per host")
    table: dict[str, Any] = {}
    if (site / "site.toml").exists():
        try:
            table = tomllib.loads((site / "site.toml").read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{site / 'site.toml'}: {error}") from None
    files = (path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    paths = {path for path in files if path not in NOT_SERVED} | set(table)
    return {url_of(path): _answer(site, path, table.get(path, {})) for path in sorted(paths)}


def url_of(path: str) -> str:
    """Return the URL that a file of the site answers."""
    return "http://" + path.removesuffix("index.html")


def _answer(site: Path, path: str, entry: dict[str, Any]) -> Answer:
    for key, value in entry.items():
        if key not in KEYS or type(value) is not KEYS[key]:
            kinds = ", ".join(f"{name} ({kind.__name__})" for name, kind in KEYS.items())
            raise UserError(f'{site / "site.toml"}: ["{path}"] {key} = {value!r}; known keys: {kinds}')
    try:
        body = _body(site, path, entry)
    except (LookupError, OSError, ValueError) as error:
        raise UserError(f'{site / "site.toml"}: ["{path}"] {error}') from None
    headers = []
    if content_type := entry.get("content_type", CONTENT_TYPES.get(Path(path).suffix, CONTENT_TYPES[".html"])):
        headers.append(("Content-Type", content_type))
    if "coding" in entry:
        headers.append(("Content-Encoding", entry["coding"]))
    if "location" in entry:
        headers.append(("Location", entry["location"]))
    status, chunked = entry.get("status", 200), entry.get("chunked", False)
    return Answer(body=body, headers=tuple(headers), status=status, chunked=chunked)


def _body(site: Path, path: str, entry: dict[str, Any]) -> bytes:
    if "hex" in entry:
        return bytes.fromhex(entry["hex"])
    text = (site / entry.get("file", path)).read_text("utf-8")
    if depth := entry.get("nested"):
        text = text.replace("<body>", "<body>" + "<div>" * depth).replace("</body>", "</div>" * depth + "</body>")
    # A letter that the encoding lacks becomes a character reference, as an editor would have saved it.
    body = text.encode(entry.get("encoding", "utf-8"), "xmlcharrefreplace")
    return CODINGS[entry["coding"]](body) if "coding" in entry else body


@contextmanager
def serve(answers: Mapping[str, Answer], date: str) -> Iterator[int]:
    """Answer the URLs on 127.0.0.1 until the `with` block ends; yields the port.

    The Host header names the fictional host. Any other URL is answered with 404.
    """
    not_found = Answer(status=404, body=b"Not found\n", headers=(("Content-Type", "text/plain"),))

    class Handler(BaseHTTPRequestHandler):
        """Answers GET from the table, over connections that stay open."""

        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            """Write the answer in one go."""
            url = f"http://{self.headers.get('Host', '')}{self.path}"
            self.wfile.write(answers.get(url, not_found).wire(date))

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: the terminal is the user's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that closing waits for the last connection
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
