"""Bombs and endless pages, each in an archive of its own: python tests/benchmarks/hostile.py [NAME...] [--extractor NAME]

For each: seconds, resident memory beyond what the libraries take, and the reason it was dropped for ("kept" if it was not).
"""

import argparse
import gzip
import multiprocessing as mp
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli
import zstandard
from memory import peak_bytes

from pipeline.extract.inputs.archive import read_records
from pipeline.extract.native.extract import warm_up
from pipeline.extract.options import ExtractOptions
from pipeline.extract.page import rows

SIZE = 10_000_000_000
BLOCK = 10_000_000
ROOM = 9_500_000
"""Bytes of a page just under the limit of a record."""


def zeros(pieces: Iterator[bytes]) -> bytes:
    """A raw deflate stream of those pieces and 10 GB of zeros: one compressed block, again and again."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = [pack.compress(piece) + pack.flush(zlib.Z_FULL_FLUSH) for piece in pieces]
    block = pack.compress(bytes(BLOCK)) + pack.flush(zlib.Z_FULL_FLUSH)
    return b"".join(out) + block * (SIZE // BLOCK) + pack.flush()


def gzip_of(raw: bytes, size: int) -> bytes:
    """A gzip member around a raw stream; its checksum is wrong, which nobody lives to see."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + raw + struct.pack("<II", 0, size % (1 << 32))


def head(length: int, url: str = "http://hostile.example/", coding: str = "") -> bytes:
    """The headers of a response of `length` bytes."""
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n{coding}\r\n"
    about = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Type: application/http\r\n"
    return f"{about}Content-Length: {length + len(http)}\r\n\r\n{http}".encode()


def page(body: bytes, coding: str = "") -> bytes:
    """A response as a gzip member."""
    return gzip.compress(head(len(body), coding=coding) + body + b"\r\n\r\n", 1, mtime=0)


def brotli_zeros() -> bytes:
    pack = brotli.Compressor(quality=1)
    return b"".join([*(pack.process(bytes(BLOCK)) for _ in range(SIZE // 10 // BLOCK)), pack.finish()])


def zstd_zeros() -> bytes:
    pack = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join([*(pack.compress(bytes(BLOCK)) for _ in range(SIZE // 10 // BLOCK)), pack.flush()])


def fill(piece: str) -> bytes:
    """As many of a piece as a record holds, and a word behind them."""
    return (piece * (ROOM // len(piece)) + "<p>words behind it all").encode()


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip member of 10 GB": lambda: gzip_of(zeros(iter([head(SIZE)])), SIZE),
    "gzip member of zeros, no record": lambda: gzip_of(zeros(iter([])), SIZE),
    "Content-Encoding gzip, 10 GB": lambda: page(gzip_of(zeros(iter([])), SIZE), "Content-Encoding: gzip\r\n"),
    "Content-Encoding br, 1 GB": lambda: page(brotli_zeros(), "Content-Encoding: br\r\n"),
    "Content-Encoding zstd, 1 GB": lambda: page(zstd_zeros(), "Content-Encoding: zstd\r\n"),
    "10,000 codings": lambda: page(b"<p>x", "Content-Encoding: " + "gzip, br, deflate, " * 3000 + "\r\n"),
    **{f"100,000 deep: {tag}": lambda tag=tag: page((tag * 100_000 + "words").encode())  # type: ignore[misc]
       for tag in ("<div>", "<b>", "<p>", "<li>", "<td>", "<table><tr><td>", "<q>", "<x>", "<dd>", "<center><option>")},
    "2 million nodes: <p>x": lambda: page(b"<p>x" * 2_000_000),
    "2 million nodes: <br>": lambda: page(b"<br>" * 2_000_000),
    "2 million ends: </p>": lambda: page(b"</p>" * 2_000_000),
    **{f"endless: {piece[:20]}": lambda piece=piece: page(fill(piece))  # type: ignore[misc]
       for piece in ("<!--x", "<!", "<?", "<", "<a ", "<a b='", "<title", "<title>", "<svg", "<svg>", "<meta charset=",
                     "<script>", "<style", "<textarea>", "&amp", "&#x", "]]>", "<![CDATA[", "x", "\n", "x\n", "<svg><title>", "<p "
                     "a=b ", "é", "\u200b", "<a href=x>y</a>\n")},
    "one comment": lambda: page(b"<p>words<!--" + b"x " * (ROOM // 2)),
    "one attribute": lambda: page(b"<p a='" + b"x " * (ROOM // 2)),
    "svg before a title": lambda: page(b"<svg>" * (ROOM // 5) + b"<title>x</title><p>words"),
    "xml prologs": lambda: page(b"<?xml " * (ROOM // 6)),
    "10 MB of one word": lambda: page(b"<p>" + b"a" * ROOM),
}  # fmt: skip


def work(path: str, extractor: str, results: "mp.Queue[tuple[float, float, str]]") -> None:
    options = ExtractOptions(extractor=extractor)
    simple = Path(path).with_name("simple.warc.gz")
    list(rows(read_records(simple, max_record_bytes=1000), options, archive="x"))
    before = peak_bytes() / 2**20
    began = time.perf_counter()
    records = read_records(path, max_record_bytes=options.max_record_bytes)
    found = [", ".join(row.dropped) or "kept" for row in rows(records, options, archive=path)]
    spent = time.perf_counter() - began
    results.put((spent, peak_bytes() / 2**20 - before, " | ".join(found[:3])))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--extractor", default="trafilatura")
    arguments = parser.parse_args()
    if arguments.extractor == "native":
        warm_up()  # compiles its kernels, if need be, so that no page's time holds that
    context = mp.get_context("spawn")
    for name, make in BOMBS.items():
        if arguments.names and not any(wanted in name for wanted in arguments.names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.warc.gz"
            path.write_bytes(make() + page(b"<p>the page behind it, with some words for the extractor to find"))
            (Path(folder) / "simple.warc.gz").write_bytes(page(b"<p>words"))
            size = path.stat().st_size
            results: mp.Queue[tuple[float, float, str]] = context.Queue()
            process = context.Process(target=work, args=(str(path), arguments.extractor, results))
            process.start()
            process.join(60)
            if process.is_alive():
                process.kill()
                print(f"{name:34} {size / 1e6:6.1f} MB      more than 60 s", flush=True)
                continue
            seconds, memory, reasons = results.get() if not process.exitcode else (0, 0, f"died: {process.exitcode}")
            print(f"{name:34} {size / 1e6:6.1f} MB {seconds:6.2f} s {memory:6.0f} MiB  {reasons}", flush=True)


if __name__ == "__main__":
    main()
