"""All kinds of input behind one interface: finding the files, cutting them into parts, and reading their records."""

import glob
import gzip
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extract.inputs import archive, documents
from pipeline.extract.inputs.archive import ARCHIVE_SUFFIXES, Record
from pipeline.extract.inputs.documents import DOCUMENT_SUFFIXES, LINES, TABLES
from pipeline.extract.inputs.files import is_remote, matches, open_file
from pipeline.extract.inputs.kinds import check_kinds
from pipeline.extract.options import Columns, Dataset

DATASET = "dataset:"
"""Prefix of the path of a part that `datasets` reads; the part's `start` is the number of a shard."""


def find_inputs(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Input files named by files, directories (with subdirectories), globs and URLs; and the ignored files of the directories.

    A directory gives its archives. Only if it has none does it give its .jsonl(.gz, .zst) and .parquet files, which next to
    archives are mostly lists of them. Files come in the order given, sorted within a directory or glob, each once under its
    first name. UserError for a path that matches nothing or cannot be read, and for a file of another kind that is named or
    that a glob matches.
    """
    inputs: dict[object, str] = {}
    named: list[str] = []
    ignored: dict[object, str] = {}
    for name in paths:
        if is_remote(name):
            urls = matches(name)
            archives = any(file.lower().endswith(ARCHIVE_SUFFIXES) for file in urls)
            named += [url for url in urls if url == name]
            for url in urls:
                is_input = url == name or url.lower().endswith(ARCHIVE_SUFFIXES if archives else DOCUMENT_SUFFIXES)
                (inputs if is_input else ignored).setdefault(url, url)
            if not urls:
                raise UserError(f"{name}: no such file or directory, and no file matches it as a glob")
            continue
        paths_of_name = (
            [Path(name)] if Path(name).exists() else [Path(match) for match in sorted(glob.glob(name, recursive=True))]
        )
        if not paths_of_name:
            raise UserError(f"{name}: no such file or directory, and no file matches it as a glob")
        for path in paths_of_name:
            if not path.is_dir():
                inputs.setdefault(path.resolve(), str(path))
                named.append(str(path))
                continue
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            archives = any(file.name.lower().endswith(ARCHIVE_SUFFIXES) for file in inside)
            for file in inside:
                is_input = file.name.lower().endswith(ARCHIVE_SUFFIXES if archives else DOCUMENT_SUFFIXES)
                (inputs if is_input else ignored).setdefault(file.resolve(), str(file))
    check_kinds(named)
    for input_file in inputs.values():
        if not is_remote(input_file):
            open_file(input_file).close()
    return list(inputs.values()), [file for key, file in ignored.items() if key not in inputs]


def crawl_files(crawl: str, count: int, kind: str, base: str) -> list[str]:
    """URLs of the first `count` files of a kind ("warc" or "wet") in a Common Crawl crawl, from its published list of paths."""
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
    """Offsets that divide a file into ranges of about `part_bytes`, at records, lines or row groups: [0, ...]."""
    name = path.lower()
    if name.endswith(LINES):
        return documents.cut_lines(path, part_bytes)
    if name.endswith(TABLES):
        return documents.cut_table(path, part_bytes)
    return archive.cut(path, part_bytes)


def check_columns(path: str, columns: Columns) -> list[str]:
    """UserError if a file of documents lacks the column of the text, or of the HTML, as far as its schema or its first lines
    tell; a line for each other column that is missing although its name is not the default."""
    if path.lower().endswith(LINES):
        return documents.check_lines(path, columns)
    if path.lower().endswith(TABLES):
        return documents.check_table(path, columns)
    return []


def kind(path: str) -> str:
    """The kind of a file. What is read from a range depends on this and the range's bytes only."""
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
    unread: frozenset[int] = frozenset(),
) -> Iterator[Record]:
    """The records of a part, in order.

    `unread` has the numbers, within the part, of records whose reading kills the worker: one unreadable record ("crashed")
    stands for such a record and the rest of its row group, or of the part if it is not a Parquet file.
    """
    name = path.lower()
    if name.endswith(TABLES) and not path.startswith(DATASET):
        return documents.read_table(path, start, end, columns, max_record_bytes, unread)
    if path.startswith(DATASET) and dataset:
        records = documents.read_dataset(dataset, start, columns, max_record_bytes)
    elif name.endswith(LINES):
        if is_remote(path) and not start:  # a file on disk was checked before any work
            documents.check_lines(path, columns)
        records = documents.read_lines(path, start, end, columns, max_record_bytes)
    else:
        records = archive.read_records(path, start, end, max_record_bytes=max_record_bytes)
    return _up_to(records, min(unread), start) if unread else records


def _up_to(records: Iterator[Record], number: int, start: int) -> Iterator[Record]:
    """The first `number` records, and an unreadable one for the rest of the part, which starts at `start`."""
    last = None
    for last in islice(records, number):
        yield last
    at = last.offset + last.length if last else start
    yield Record("unreadable", at, problem="crashed", detail="reading the rest of the part kills the worker")


def raw_bytes(path: str, offset: int, length: int) -> bytes:
    """A record's bytes as they are in the file; a line's decompressed bytes. UserError for a row of a table, which has none."""
    if path.startswith(DATASET) or path.lower().endswith(TABLES):
        raise UserError(f"{path}: row {offset:,} is a row of a table and has no bytes of its own")
    if not path.lower().endswith(LINES):
        with open_file(path) as file:
            file.seek(offset)
            return file.read(length)
    with documents.open_lines(path) as lines:
        while offset and (block := lines.read(min(offset, 1 << 20))):
            offset -= len(block)
        line = b""
        while len(line) < length and (block := lines.read(length - len(line))):
            line += block
        return line
