"""One small site, recorded by real tools in every packing: python tests/benchmarks/producers.py [--tools DIR] [--keep DIR]

The site is made and served here: pages in many encodings, codings and kinds of response. It is recorded by Wget (the system's),
warcprox, warcio's capture_http, pywb as a recording proxy, and warcit from a directory of the pages' files. Each recording
is read plain, in gzip (a member a record, and one member), in zstd (a frame a record, with a dictionary, and one frame), in
lz4, as .wacz (by py-wacz) and as .arc.gz. Where a tool does not write a packing, its records are packed here, unchanged; no
tool writes ARC today, so its responses are written as the format says.

Prints for each recorder and packing: how many of the site's pages are read, how many of those with exactly the text that the
server's own bytes give, and how many of them, read again from their byte ranges, have that text too. Then each page that a
recording lacks, and why. Exits with 1 where a page that was recorded is lost, or a text differs.

--tools: a virtual environment of the recorders, made if it is not there. --keep: a folder for the recordings.
"""

import argparse
import gzip
import http
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import brotli
import pyarrow as pa
import zstandard

from pipeline.extract.inputs.archive import read_records
from pipeline.extract.inputs.sources import raw_bytes
from pipeline.extract.options import ExtractOptions
from pipeline.extract.page import Row, rows

PACKAGES = ("warcprox==2.13.1", "warcio==1.8.1", "pywb==2.10.0", "warcit==0.4.0", "wacz==0.6.0", "requests==2.34.2")
OPTIONS = ExtractOptions(record_types=("response", "resource"))
LIMIT = 10_000_000
Command = list[str | Path]
LF = b"\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sends for a path."""

    body: bytes
    headers: tuple[str, ...] = ("Content-Type: text/html; charset=utf-8",)
    status: int = 200
    coding: str = ""
    """gzip, deflate, br or zstd."""
    chunked: bool = False
    before: bytes = b""
    """Interim responses."""
    length: bool = True
    version: str = "HTTP/1.1"
    line_end: str = "\r\n"

    def response(self) -> bytes:
        """The bytes on the wire."""
        packers: dict[str, Callable[[bytes], bytes]] = {
            "": bytes,
            "gzip": lambda data: gzip.compress(data, mtime=0),
            "deflate": zlib.compress,
            "br": brotli.compress,
            "zstd": zstandard.compress,
        }
        body = packers[self.coding](self.body)
        lines = [
            f"{self.version} {self.status} {http.HTTPStatus(self.status).phrase}",
            *self.headers,
        ]
        lines += [f"Content-Encoding: {self.coding}"] if self.coding else []
        if self.chunked:
            pieces = [body[at : at + 700] for at in range(0, len(body), 700)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {len(body)}" if self.length else "Connection: close")
        return self.before + self.line_end.join([*lines, "", ""]).encode("latin-1") + body


LINES = {
    "en": "In {} the harbour was quiet, and the boats lay along the wall as they had done for many years before. ",
    "de": "Über {} führt die Straße an schönen grünen Hügeln vorbei, wo früh am Morgen die Bäckereien öffnen. ",
    "ru": "Широкая электрификация южных губерний в {} даст мощный толчок подъёму сельского хозяйства. ",
    "ja": "吾輩は猫である。名前はまだ無い。{}でどこで生れたかとんと見当がつかぬ。薄暗いじめじめした所で泣いていた。",
    "zh": "人人生而自由,在{}的尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "pl": "Zażółć gęślą jaźń, mówi stary rybak z {} i wraca powoli do domu, gdzie czeka na niego cała rodzina. ",
}


def page(name: str, language: str = "en", codec: str = "utf-8", meta: str = "", paragraphs: int = 6) -> bytes:
    texts = "".join(f"<p>{LINES[language].format(f'{name} {n}') * 4}</p>\n" for n in range(paragraphs))
    markup = f"<!DOCTYPE html><html><head>{meta}<title>{name}</title></head><body><h1>{name}</h1>{texts}</body></html>"
    return markup.encode(codec)


def plain(first: str) -> bytes:
    return f"{first}\n{LINES['en'].format(first) * 20}\n".encode()


def typed(value: str) -> tuple[str, ...]:
    return (f"Content-Type: {value}",)


SITE: dict[str, Answer] = {
    "utf8.html": Answer(page("Anker", "de")),
    "latin1.html": Answer(page("Brunnen", "de", "latin-1"), typed("text/html; charset=iso-8859-1")),
    "latin2-meta.html": Answer(page("Chata", "pl", "iso8859-2", "<meta charset=iso-8859-2>"), typed("text/html")),
    "cp1251-meta.html": Answer(page("Дом", "ru", "cp1251", "<meta charset=windows-1251>"), typed("text/html")),
    "koi8.html": Answer(page("Ель", "ru", "koi8-r"), typed("text/html")),
    "sjis.html": Answer(page("舟", "ja", "cp932"), typed("text/html; charset=Shift_JIS")),
    "gb18030.html": Answer(page("港", "zh", "gb18030", "<meta charset=gb2312>"), typed("text/html")),
    "utf16.html": Answer(page("Garten", "de", "utf-16"), typed("text/html")),
    "hex.txt": Answer(plain("2024"), typed("text/plain")),
    "hex-chunked.txt": Answer(plain("Cafe"), typed("text/plain"), chunked=True),
    "hex-gzip-chunked.txt": Answer(plain("beef"), typed("text/plain"), chunked=True, coding="gzip"),
    **{f"{name}.html": Answer(page(name), coding=name) for name in ("gzip", "deflate", "br", "zstd")},
    **{f"{name}-chunked.html": Answer(page(f"{name} c"), coding=name, chunked=True) for name in ("gzip", "br", "zstd")},
    "chunked.html": Answer(page("Harbour"), chunked=True),
    "no-length.html": Answer(page("Island"), length=False),
    "no-type.html": Answer(page("Jetty"), ()),
    "two-types.html": Answer(page("Keel"), typed("text/html,text/html; charset=utf-8")),
    "two-type-lines.html": Answer(page("Knot"), (*typed("text/plain"), *typed("text/html; charset=utf-8"))),
    "folded.html": Answer(page("Kelp"), ("Content-Type: text/html;\r\n charset=utf-8",)),
    "bare-lines.html": Answer(page("Lagoon"), line_end="\n"),
    "http10.html": Answer(page("Ladder"), length=False, version="HTTP/1.0"),
    "broken-utf8.html": Answer(page("Straße zu 10 €", "de").replace(b"quiet", b"qui\xe9t") + b"<p>caf\xe9"),
    "long.html": Answer(page("Lighthouse", paragraphs=900)),
    "continue.html": Answer(page("Mast"), before=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "old.html": Answer(b"", ("Location: /moved.html",), status=301),
    "moved.html": Answer(page("Oar")),
    "copy.html": Answer(page("Anker", "de")),
    "missing.html": Answer(page("Missing"), status=404),
    "picture.png": Answer(b"\x89PNG\r\n\x1a\n" + bytes(400), typed("image/png")),
    "empty.html": Answer(b""),
    # Last: clients that take 103 for the final response may use its connection for the next request.
    "hints.html": Answer(page("Net"), before=b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
}
NO_TEXT = ("old.html", "missing.html", "picture.png", "empty.html")
PAGES = [name for name in SITE if name not in NO_TEXT]


class Site(socketserver.ThreadingTCPServer):
    """The site on a port of its own."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(socketserver.StreamRequestHandler):
    """Sends the bytes of an answer as they are."""

    def handle(self) -> None:
        while asked := self.rfile.readline().split():
            while self.rfile.readline().strip():
                pass
            answer = SITE.get(asked[1].decode().rpartition("/")[2], Answer(b"", status=404))
            self.wfile.write(answer.response())
            if not answer.length:
                return


def wget(tools: Path, folder: Path, site: str, gz: bool) -> Path:
    (folder / "urls.txt").write_text("".join(f"{site}{name}\n" for name in SITE))
    command = ["wget", "-q", "-e", "robots=off", "-t", "1", "-T", "20", "-i", "urls.txt", "-O", "pages"]
    subprocess.run([*command, "--warc-file=w", *([] if gz else ["--no-warc-compression"])], cwd=folder, check=False)
    return folder / ("w.warc.gz" if gz else "w.warc")


CAPTURE = """
import sys
from warcio.capture_http import capture_http
import requests
with capture_http(sys.argv[1], gzip=sys.argv[2] == "gz"):
    for url in sys.argv[3:]:
        try:
            requests.get(url, timeout=20).content
        except requests.RequestException as error:
            print(url, error)
"""


def warcio(tools: Path, folder: Path, site: str, gz: bool) -> Path:
    out = folder / ("c.warc.gz" if gz else "c.warc")
    urls = [site + name for name in SITE]
    subprocess.run([tools / "bin/python", "-c", CAPTURE, out, "gz" if gz else "", *urls], cwd=folder, check=True)
    return out


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def through_proxy(command: Command, folder: Path, port: int, site: str) -> None:
    """Ask a proxy that records for each page, then stop it, so that it closes its files."""
    with open(folder / "log.txt", "wb") as log:
        proxy = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(300):
            with socket.socket() as asked:
                if proxy.poll() is None and asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        for name in SITE:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as asked:
                host = urlsplit(site).netloc
                asked.sendall(f"GET {site}{name} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                while asked.recv(1 << 16):
                    pass
        time.sleep(2)  # records are written behind the answer
    finally:
        proxy.terminate()
        proxy.wait(60)


def joined(files: list[Path], out: Path) -> Path:
    assert files, f"{out.parent}: nothing was recorded; see log.txt"
    out.write_bytes(b"".join(file.read_bytes() for file in files))
    return out


WARCPROX = """
from warcprox import main, warcproxy
warcproxy.WarcProxyHandler.allow_localhost = True
main.main()
"""


def warcprox(tools: Path, folder: Path, site: str, gz: bool) -> Path:
    port = free_port()
    command: Command = [tools / "bin/python", "-c", WARCPROX, "-b", "127.0.0.1", "-p", str(port), "-d", "warcs"]
    through_proxy([*command, *(["-z"] if gz else []), "--stats-db-file", "/dev/null"], folder, port, site)
    ending = ".warc.gz" if gz else ".warc"
    return joined(sorted((folder / "warcs").glob(f"*{ending}*")), folder / f"p{ending}")


def pywb(tools: Path, folder: Path, site: str, gz: bool) -> Path:
    port = free_port()
    (folder / "config.yaml").write_text("collections:\n  live: $live\nrecorder: live\n")
    subprocess.run([tools / "bin/wb-manager", "init", "site"], cwd=folder, check=True, capture_output=True)
    command: Command = [tools / "bin/wayback", "-b", "127.0.0.1", "-p", str(port), "--proxy", "site", "--proxy-record"]
    through_proxy(command, folder, port, site)
    return joined(sorted((folder / "collections/site/archive").glob("*.warc.gz")), folder / "y.warc.gz")


def warcit(tools: Path, folder: Path, site: str, gz: bool) -> Path:
    (folder / "site").mkdir()
    for name in (*PAGES, "picture.png"):
        (folder / "site" / name).write_bytes(SITE[name].body)
    out = folder / ("t.warc.gz" if gz else "t.warc")
    command: Command = [tools / "bin/warcit", "-q", "-o", *([] if gz else ["--no-gzip"]), "-n", out, site, "site/"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return out


RECORDERS: dict[str, tuple[Callable[[Path, Path, str, bool], Path], bool]] = {
    "wget": (wget, True),
    "warcprox": (warcprox, True),
    "warcio": (warcio, True),
    "pywb": (pywb, False),
    "warcit": (warcit, True),
}
"""Recorder -> what runs it, and whether it writes plain archives too."""


def members(data: bytes) -> list[bytes]:
    """The records of an archive in gzip, a member a record."""
    found = []
    while data:
        member = zlib.decompressobj(31)
        found.append(member.decompress(data))
        data = member.unused_data
    return found


def zstd_with_dictionary(records: list[bytes]) -> bytes:
    """As "Zstandard Compression for WARC Files" says: the dictionary in a skippable frame, and a frame a record."""
    dictionary = zstandard.ZstdCompressionDict(b"".join(record[:700] for record in records)[:50_000] + bytes(8))
    packed = zstandard.compress(dictionary.as_bytes())
    frame = zstandard.ZstdCompressor(dict_data=dictionary)
    return b"\x5d\x2a\x4d\x18" + len(packed).to_bytes(4, "little") + packed + b"".join(map(frame.compress, records))


def lz4(data: bytes) -> bytes:
    with pa.CompressedOutputStream(held := pa.BufferOutputStream(), "lz4") as out:
        out.write(data)
    return bytes(held.getvalue())


def arc(records: list[bytes]) -> Iterator[bytes]:
    """The responses of an archive, as ARC 1.0 members."""
    head = b"1 0 Recorder\nURL IP-address Archive-date Content-type Archive-length\n"
    yield b"filedesc://x.arc 0.0.0.0 20260101000000 text/plain %d\n%s\n" % (len(head), head)
    for record in records:
        lines, _, block = record.partition(LF * 2)
        named = dict(line.split(": ", 1) for line in lines.decode().split("\r\n")[1:])
        if named["WARC-Type"] in ("response", "resource"):
            block = block[: int(named["Content-Length"])]
            if named["WARC-Type"] == "resource":  # ARC has responses only
                block = f"HTTP/1.0 200 OK\r\nContent-Type: {named['Content-Type']}\r\n\r\n".encode() + block
            url, date = named["WARC-Target-URI"].strip("<>"), "".join(filter(str.isdigit, named["WARC-Date"]))[:14]
            yield f"{url} 127.0.0.1 {date} text/html {len(block)}\n".encode() + block + b"\n"


def packings(tools: Path, folder: Path, recorded: dict[bool, Path]) -> dict[str, Path]:
    """Packing -> the file of the recording in it. `recorded`: by whether it is in gzip."""
    records = members(recorded[True].read_bytes())
    files = {"plain*": b"".join(records)} if False not in recorded else {}
    files |= {
        "gzip, one member*": gzip.compress(b"".join(records), mtime=0),
        "zstd*": b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(record) for record in records),
        "zstd, dictionary*": zstd_with_dictionary(records),
        "zstd, one frame*": zstandard.compress(b"".join(records)),
        "lz4*": b"".join(map(lz4, records)),
        "lz4, one frame*": lz4(b"".join(records)),
        "arc.gz*": b"".join(gzip.compress(record, mtime=0) for record in arc(records)),
    }
    found = {"plain": recorded[False]} if False in recorded else {}
    found["gzip"] = recorded[True]
    for number, (name, data) in enumerate(files.items()):
        kind = {"pl": ".warc", "gz": ".warc.gz", "zs": ".warc.zst", "lz": ".warc.lz4", "ar": ".arc.gz"}[name[:2]]
        found[name] = folder / f"{number}{kind}"
        found[name].write_bytes(data)
    found["wacz"] = folder / "x.wacz"
    command: Command = [tools / "bin/wacz", "create", "-f", recorded[True], "-o", found["wacz"]]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return found


def read(path: Path) -> list[Row]:
    return list(rows(read_records(path, max_record_bytes=LIMIT), OPTIONS, archive=path))


def texts_of(found: list[Row]) -> dict[str, str]:
    """Page of the site -> its text."""
    return {urlsplit(row.url or "").path[1:]: row.text for row in found if row.text is not None}


def again(path: Path, row: Row) -> str | None:
    """The text of a row, read from its own bytes alone."""
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / path.name.replace(".wacz", ".warc.gz")
        alone.write_bytes(raw_bytes(str(path), row.offset, row.length))
        return next((other.text for other in read(alone) if other.inner_offset == row.inner_offset), None)


def losses(name: str, have: list[Row], right: dict[str, str]) -> list[str]:
    """A line for each page that the recording lacks or has in another form: what it has instead."""
    lines = []
    for page_name in PAGES:
        of_page = [row for row in have if urlsplit(row.url or "").path == f"/{page_name}"]
        if any(row.text == right[page_name] for row in of_page):
            continue
        records = [row for row in of_page if row.record_type in ("response", "resource", "revisit")]
        why = "; ".join(
            f"{row.record_type}, status {row.http_status}: {', '.join(row.dropped) or 'another text'}"
            for row in records
        )
        lines.append(f"{name}: {page_name}: {why or 'no record of it'}")
    return lines


def main() -> int:
    """Record, read and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--tools", type=Path)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.keep or Path(scratch) / "recordings").absolute()
        tools = (arguments.tools or Path(scratch) / "tools").absolute()
        if not (tools / "bin/python").exists():
            subprocess.run([sys.executable, "-m", "venv", tools], check=True)
            subprocess.run([tools / "bin/pip", "install", "-q", *PACKAGES], check=True)
        shutil.rmtree(folder, ignore_errors=True)
        return compare(tools, folder)


def compare(tools: Path, folder: Path) -> int:
    site = Site()
    folder.mkdir(parents=True)
    truth = folder / "server.warc"  # the server's own bytes
    head = "WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {}\r\nContent-Type: application/http\r\nContent-Length: {}\r\n\r\n"
    answers = {site.url + name: answer.response() for name, answer in SITE.items()}
    truth.write_bytes(b"".join(head.format(url, len(b)).encode() + b + LF * 2 for url, b in answers.items()))
    right = texts_of(read(truth))
    assert list(right) == PAGES, set(PAGES) ^ set(right)
    print(f"{len(SITE)} URLs, {len(PAGES)} pages with text. * packed here\n")
    print("| recorder | packing | pages | same text | the same from its byte range |\n|---|---|---:|---:|---:|")
    wrong, lost = 0, []
    for name, (record, writes_plain) in RECORDERS.items():
        recorded = {}
        for gz in (True, False)[: 1 + writes_plain]:
            inside = folder / f"{name}-{'gz' if gz else 'plain'}"
            inside.mkdir()
            recorded[gz] = record(tools, inside, site.url, gz)
        found = packings(tools, folder / f"{name}-gz", recorded)
        by_packing = {packing: read(path) for packing, path in found.items()}
        reference = texts_of(by_packing["gzip"])
        for packing, path in found.items():
            have = texts_of(by_packing[packing])
            kept = {urlsplit(row.url or "").path[1:]: row for row in by_packing[packing] if row.text is not None}
            same = sum(have.get(page_name) == right[page_name] for page_name in PAGES)
            alone = sum(again(path, row) == row.text == right.get(page_name) for page_name, row in kept.items())
            print(f"| {name} | {packing} | {len(have)} | {same} | {alone} |", flush=True)
            wrong += len(have) - same + same - alone + (have != reference)
        lost += losses(name, by_packing["gzip"], right)
    print("\nPages that a recording lacks, and what it has instead:")
    print("\n".join(lost) or "none")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
