"""All kinds of input behind one interface: finding the files, cutting them into parts, and reading their records."""

import glob
import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pipeline.errors import UserError, from_here
from pipeline.extract.inputs import archive, csv_tables, datasets_input, documents, json_lines, parquet_tables, texts
from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.compressed import compression_of, open_decompressed
from pipeline.extract.inputs.files import is_remote, matches, name_of, open_file, sends_ranges
from pipeline.extract.inputs.forms import PLAIN_JSON, Form, chosen, form_of
from pipeline.extract.inputs.kinds import check_kinds
from pipeline.extract.options import Columns, Dataset, TextUnit

RUN_FILES = ("config.json", "journal.jsonl")
"""What every run directory has."""
_MEDIA_TYPES = {"html": "text/html", "text": "text/plain"}


def find_inputs(
    paths: Sequence[str], own: Path | None = None, note: Callable[[str], None] = lambda line: None
) -> tuple[list[str], list[str]]:
    """Input files named by files, directories (with subdirectories), globs and URLs; and the ignored files of the directories.

    A directory gives its files of one group of GROUPS: its archives; only if it has none, its tables; and so on. Files come
    in the order given, sorted within a directory or glob, each once under its first name. UserError for a path that matches
    nothing or cannot be read, and for a file of another kind that is named or that a glob matches.

    What a directory, or ** in a glob, has of the run directory `own` is left out, and so is what it has of other run
    directories, with a line to `note` for each.
    """
    runs = _Runs(own)
    inputs: dict[object, str] = {}
    named: list[str] = []
    ignored: dict[object, str] = {}

    def take(inside: Sequence[str]) -> None:
        suffixes = chosen(inside)
        for file in inside:
            key = file if is_remote(file) else os.path.realpath(file)
            (inputs if name_of(file).endswith(suffixes) else ignored).setdefault(key, file)
            if suffixes == PLAIN_JSON and name_of(file).endswith(PLAIN_JSON):
                named.append(file)  # what is in a .json file is told by its content

    for name in paths:
        if is_remote(name):
            urls = matches(name)
            if not urls:
                raise UserError(f"{name}: no such file or directory, and no file matches it as a glob")
            if name in urls:
                inputs.setdefault(name, name)
                named.append(name)
            take([url for url in urls if url != name])
            continue
        given = name
        paths_of_name = [Path(name)]
        if not Path(name).exists():
            given = name.partition("**")[0]
            paths_of_name = [Path(match) for match in sorted(glob.glob(name, recursive=True))]
            if not paths_of_name:
                raise UserError(f"{name}: no such file or directory, and no file matches it as a glob{from_here(name)}")
            paths_of_name = [path for path in paths_of_name if not ("**" in name and runs.have(path, given))]
        for path in paths_of_name:
            if path.is_dir():
                inside = [file for file in sorted(path.rglob("*")) if file.is_file()]
                take([str(file) for file in inside if not runs.have(file, str(path))])
            else:
                inputs.setdefault(os.path.realpath(path), str(path))
                named.append(str(path))
    for folder in runs.found:
        mend = f'to read its documents, add "{folder}/clean/*.parquet" to input.paths'
        note(f"{folder}: a run directory, which is not read; {mend}")
    check_kinds(named)
    for input_file in inputs.values():
        if not is_remote(input_file):
            open_file(input_file).close()
    return list(inputs.values()), [file for key, file in ignored.items() if key not in inputs]


class _Runs:
    """Run directories below what is read."""

    def __init__(self, own: Path | None) -> None:
        self._own = own and own.resolve()
        self._known: dict[Path, bool] = {}
        self.found: list[Path] = []
        """Those of other runs, in the order in which they were met."""

    def have(self, path: Path, given: str) -> bool:
        """Whether a path is in a run directory that is deeper than what was `given`."""
        return any(
            self._is_run(folder) for folder in (path, *path.parents) if len(folder.parts) > len(Path(given).parts)
        )

    def _is_run(self, folder: Path) -> bool:
        if folder not in self._known:
            own = self._own is not None and folder.name == self._own.name and folder.resolve() == self._own
            other = not own and all((folder / name).is_file() for name in RUN_FILES)
            self._known[folder] = own or other
            self.found += [folder] if other else []
        return self._known[folder]


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


def cut(path: str, part_bytes: int, text_unit: TextUnit = "file") -> list[int]:
    """Offsets that divide a file into ranges of about `part_bytes`, at records, lines or row groups: [0, ...].

    One range is a file that is compressed as a whole, a CSV file, in which any line end may be inside of a field, and a file
    of a server that does not send ranges.
    """
    if is_remote(path) and not sends_ranges(path):
        return [0]
    match form_of(path):
        case "lines":
            return json_lines.cut_lines(path, part_bytes)
        case "parquet":
            return parquet_tables.cut_table(path, part_bytes)
        case "text":
            return texts.cut_units(path, part_bytes, text_unit)
        case "csv" | "html":
            return [0]
        case _:
            return archive.cut(path, part_bytes)


def check_columns(path: str, columns: Columns) -> list[str]:
    """UserError if a file of documents lacks the column of the text, or of the HTML, as far as its schema or its first lines
    tell; a line for each other column that is missing although its name is not the default."""
    match form_of(path):
        case "lines":
            return json_lines.check_lines(path, columns)
        case "parquet":
            return parquet_tables.check_table(path, columns)
        case "csv":
            names = csv_tables.column_names(path)
            return documents.check_columns(path, names, columns) if names else []
        case "text":
            texts.check_text(path, columns.text_unit)
    return []


def kind(path: str) -> str:
    """The kind of a file. What is read from a range depends on this and the range's bytes only."""
    form = form_of(path)
    if form == "parquet":
        with parquet_tables.open_table(path) as file:
            return f"Parquet {parquet_tables.group_starts(file)} {file.schema_arrow.to_string()}"
    return archive.kind(path) if form == "archive" else form


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
    form = form_of(path)
    if form == "parquet":
        return parquet_tables.read_table(path, start, end, columns, max_record_bytes, unread)
    records = _records(form, path, start, end, columns, dataset, max_record_bytes)
    return _up_to(records, min(unread), start) if unread else records


def _records(
    form: Form, path: str, start: int, end: int | None, columns: Columns, dataset: Dataset | None, limit: int
) -> Iterator[Record]:
    match form:
        case "lines":
            if is_remote(path) and not start:  # a file on disk was checked before any work
                json_lines.check_lines(path, columns)
            return json_lines.read_lines(path, start, end, columns, limit)
        case "csv":
            return csv_tables.read_csv(path, columns, limit)
        case "text" if columns.text_unit != "file":
            return texts.read_units(path, start, end, columns.text_unit, limit)
        case "html" | "text":
            return texts.read_file(path, _MEDIA_TYPES[form], limit)
        case "dataset" if dataset:
            return datasets_input.read_dataset(dataset, start, columns, limit)
        case _:
            return archive.read_records(path, start, end, max_record_bytes=limit)


def _up_to(records: Iterator[Record], number: int, start: int) -> Iterator[Record]:
    """The first `number` records, and an unreadable one for the rest of the part, which starts at `start`."""
    last = None
    for last in islice(records, number):
        yield last
    at = last.offset + last.length if last else start
    yield Record("unreadable", at, problem="crashed", detail="reading the rest of the part kills the worker")


def raw_bytes(path: str, offset: int, length: int) -> bytes:
    """A record's bytes as they are in the file, behind its archive's zstd dictionary if there is one; a line's decompressed
    bytes. UserError for a row of a table, which has none."""
    form = form_of(path)
    if form in ("dataset", "parquet", "csv"):
        raise UserError(f"{path}: row {offset:,} is a row of a table and has no bytes of its own")
    if form == "archive" or not compression_of(path):
        with open_file(path) as file:
            file.seek(offset)
            record = file.read(length)
        # an archive of its own, also where a dictionary is needed
        return archive.dictionary_frame(path, offset) + record if form == "archive" else record
    with open_decompressed(path) as lines:
        while offset and (block := lines.read(min(offset, 1 << 20))):
            offset -= len(block)
        return lines.read(length)
