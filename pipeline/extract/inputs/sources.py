"""Every kind of input behind one door: which files there are, where they may be cut, and their records."""

import glob
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extract.inputs import archive, documents
from pipeline.extract.inputs.archive import ARCHIVE_SUFFIXES, Record
from pipeline.extract.inputs.documents import DOCUMENT_SUFFIXES, LINES, TABLES
from pipeline.extract.inputs.files import is_remote, matches, open_file
from pipeline.extract.options import Columns, Dataset

DATASET = "dataset:"
"""What the path of a part that `datasets` reads starts with; its `start` is a shard's number."""


def find_inputs(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Input files under files, directories (whole trees), globs and URLs, and the files in those directories that are none.

    A directory gives its archives; one without any gives its .jsonl(.gz, .zst) and .parquet files, which beside archives
    are mostly lists about them. In the order given, sorted within a directory or glob; a file that several of them name
    comes once, under its first name. A file named itself is an archive unless its suffix says otherwise. Raises UserError
    for a path that matches nothing or cannot be read.
    """
    inputs: dict[object, str] = {}
    ignored: dict[object, str] = {}
    for name in paths:
        if is_remote(name):
            there = matches(name)
            archives = any(file.lower().endswith(ARCHIVE_SUFFIXES) for file in there)
            for url in there:
                wanted = url == name or url.lower().endswith(ARCHIVE_SUFFIXES if archives else DOCUMENT_SUFFIXES)
                (inputs if wanted else ignored).setdefault(url, url)
            if not there:
                raise UserError(f"{name}: no such file or directory, and no file matches it as a glob")
            continue
        found = (
            [Path(name)] if Path(name).exists() else [Path(match) for match in sorted(glob.glob(name, recursive=True))]
        )
        if not found:
            raise UserError(f"{name}: no such file or directory, and no file matches it as a glob")
        for path in found:
            if not path.is_dir():
                inputs.setdefault(path.resolve(), str(path))
                continue
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            archives = any(file.name.lower().endswith(ARCHIVE_SUFFIXES) for file in inside)
            for file in inside:
                wanted = file.name.lower().endswith(ARCHIVE_SUFFIXES if archives else DOCUMENT_SUFFIXES)
                (inputs if wanted else ignored).setdefault(file.resolve(), str(file))
    for chosen in inputs.values():
        if not is_remote(chosen):
            open_file(chosen).close()
    return list(inputs.values()), [file for key, file in ignored.items() if key not in inputs]


def crawl_files(crawl: str, count: int, kind: str, base: str) -> list[str]:
    """URLs of a Common Crawl crawl's first files of a kind ("warc" or "wet"), from the paths file that it publishes."""
    listing = f"{base.rstrip('/')}/crawl-data/{crawl}/{kind}.paths.gz"
    with open_file(listing) as file:
        try:
            names = gzip.decompress(file.read()).decode().split()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UserError(f"{listing}: not a gzipped list of paths ({error})") from None
    if count > len(names):
        raise UserError(f"input.common_crawl.files: {count:,}, but {listing} lists {len(names):,}")
    return [f"{base.rstrip('/')}/{name}" for name in names[:count]]


def cut(path: str, part_bytes: int) -> list[int]:
    """Offsets that divide a file into ranges of about `part_bytes` with whole records, lines or row groups: [0, ...]."""
    name = path.lower()
    if name.endswith(LINES):
        return documents.cut_lines(path, part_bytes)
    if name.endswith(TABLES):
        return documents.cut_table(path, part_bytes)
    return archive.cut(path, part_bytes)


def kind(path: str) -> str:
    """All that decides, beside a range's own bytes, what is read from the range."""
    if path.lower().endswith(LINES):
        return "lines"
    if path.lower().endswith(TABLES):
        with documents.open_table(path) as file:
            return f"Parquet {documents.group_starts(file)} {file.schema_arrow.to_string()}"
    return archive.kind(path)


def read(
    path: str,
    start: int,
    end: int | None,
    *,
    columns: Columns = Columns(),  # noqa: B008 (frozen)
    dataset: Dataset | None = None,
    max_record_bytes: int,
) -> Iterator[Record]:
    """The records of a part, in order."""
    name = path.lower()
    if path.startswith(DATASET) and dataset:
        return documents.read_dataset(dataset, start, columns, max_record_bytes)
    if name.endswith(LINES):
        return documents.read_lines(path, start, end, columns, max_record_bytes)
    if name.endswith(TABLES):
        return documents.read_table(path, start, end, columns, max_record_bytes)
    return archive.read_records(path, start, end, max_record_bytes=max_record_bytes)


def raw_bytes(path: str, offset: int, length: int) -> bytes:
    """A record's bytes as they lie in the file: of a line, decompressed. UserError for a row of a table, which has none."""
    if path.startswith(DATASET) or path.lower().endswith(TABLES):
        raise UserError(f"{path}: row {offset:,} is a row of a table and has no bytes of its own")
    if not path.lower().endswith(LINES):
        with open_file(path) as file:
            file.seek(offset)
            return file.read(length)
    with documents.open_lines(path) as lines:
        while offset and (block := lines.read(min(offset, 1 << 20))):
            offset -= len(block)
        found = b""
        while len(found) < length and (block := lines.read(length - len(found))):
            found += block
        return found
