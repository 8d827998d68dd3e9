"""Speed of reading and extraction, side by side in one run: python tests/benchmarks/extract.py ARCHIVE.warc.gz [PAGES]

Reading: this package, fastwarc and warcio over the same archive, in decompressed MB a second. Extraction: pages a second
of either extractor on the archive's first pages (300 unless told), and of what comes before it.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from fastwarc.warc import ArchiveIterator as FastIterator
from isal import igzip
from warcio.archiveiterator import ArchiveIterator

from pipeline.extract.inputs.archive import read_records
from pipeline.extract.options import TextOptions
from pipeline.extract.pages.charset import decode
from pipeline.extract.pages.coding import undo
from pipeline.extract.pages.markup import EXTRACTORS, extract_page

LIMIT = 10_000_000


def seconds(work: Callable[[], object], runs: int) -> float:
    """The fastest of some runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def ours(path: Path) -> int:
    return sum(len(record.body) for record in read_records(path, max_record_bytes=LIMIT))


def fastwarc(path: Path) -> int:
    return sum(len(record.reader.read()) for record in FastIterator(str(path)))


def warcio(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(len(record.raw_stream.read()) for record in ArchiveIterator(stream))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", type=Path)
    parser.add_argument("pages", type=int, nargs="?", default=300)
    arguments = parser.parse_args()
    with igzip.open(arguments.archive) as stream:
        size = sum(len(block) for block in iter(lambda: stream.read(1 << 20), b"")) / 1e6
    for read in (ours, fastwarc, warcio):
        print(f"read      {read.__name__:12} {size / seconds(lambda read=read: read(arguments.archive), 5):8.0f} MB/s")  # type: ignore[misc]

    records = [r for r in read_records(arguments.archive, max_record_bytes=LIMIT) if r.record_type == "response"]
    records = records[: arguments.pages]

    def texts() -> list[bytes]:
        bodies = [undo(record.body, record.http_headers, max_bytes=LIMIT).body for record in records]
        return [decode(body, record.content_type).utf8 for body, record in zip(bodies, records, strict=True)]

    print(f"decode    {'':12} {len(records) / seconds(texts, 3):8.0f} pages/s")
    pages = texts()
    for extractor in EXTRACTORS:
        extract_page(pages[0], TextOptions(extractor=extractor))  # loads or compiles what the extractor needs
        spent = seconds(lambda name=extractor: [extract_page(page, TextOptions(extractor=name)) for page in pages], 1)  # type: ignore[misc]
        print(f"extract   {extractor:12} {len(pages) / spent:8.1f} pages/s")


if __name__ == "__main__":
    main()
