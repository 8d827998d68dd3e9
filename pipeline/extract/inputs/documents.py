"""Documents that come as rows of a table: JSON Lines, Parquet, and whatever `datasets` can load.

They become the same records as an archive's, of the type "document": with text that stands as it is, or with HTML that is
extracted like a page. A line or row that cannot be used is a record with a problem, as a damaged page is.
"""

import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip

from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.files import open_file
from pipeline.extract.options import Columns, Dataset

LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst")
TABLES = (".parquet",)
DOCUMENT_SUFFIXES = LINES + TABLES
_BATCH_ROWS = 64
_STEP = 1 << 20


def record_of(values: Mapping[str, Any], columns: Columns, limit: int) -> Record:
    """A row as a record; "bad_record" where the text is no string, "too_large" over `limit` bytes of UTF-8."""

    def plain(name: str | None) -> str | None:
        value = None if name is None else values.get(name)
        return None if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)

    record = Record("document", record_id=plain(columns.id), url=plain(columns.url), date=plain(columns.date))
    record.title = plain(columns.title)
    needed = columns.html or columns.text
    content = values.get(needed)
    if content is None or isinstance(content, str):
        body = (content or "").encode("utf-8", "surrogatepass")
        if len(body) > limit:
            record.problem, record.detail = "too_large", f"{len(body):,} bytes; max_record_bytes is {limit:,}"
        elif columns.html:
            record.body, record.content_type = body, "text/html; charset=utf-8"
        else:
            record.text = content or ""
    else:
        record.problem, record.detail = "bad_record", f"{needed} is no string but {type(content).__name__}"
    return record


# --- JSON Lines ------------------------------------------------------------------------------------------------------


@contextmanager
def open_lines(path: Path | str) -> Iterator[BinaryIO]:
    """The file's own bytes, decompressed where its name says so."""
    name = str(path).lower()
    with io.BufferedReader(cast(io.RawIOBase, open_file(path)), _STEP) as handle:
        if name.endswith(".gz"):
            yield cast(BinaryIO, igzip.GzipFile(fileobj=handle))
        elif name.endswith(".zst"):
            # zstandard's own reader takes a cut file for a whole one
            yield cast(BinaryIO, _Lines(pa.CompressedInputStream(pa.PythonFile(handle), "zstd")))
        else:
            yield cast(BinaryIO, handle)


class _Lines:
    """`readline` over a reader that has none."""

    def __init__(self, source: Any) -> None:
        self._source, self._held = source, b""

    def read(self, count: int) -> bytes:
        if not self._held:
            self._held = self._source.read(_STEP)
        block, self._held = self._held[:count], self._held[count:]
        return block

    def readline(self, limit: int) -> bytes:
        while b"\n" not in self._held and len(self._held) < limit and (block := self._source.read(_STEP)):
            self._held += block
        end = self._held.find(b"\n", 0, limit) + 1 or limit
        return self.read(end) if self._held else b""


def read_lines(path: Path | str, start: int, end: int | None, columns: Columns, limit: int) -> Iterator[Record]:
    """A record for each line that starts in bytes [start, end); blank lines are none.

    `offset` and `length` are bytes of the decompressed file. Memory: a line of up to twice `limit` bytes and a little.
    """
    most = 2 * limit + 65_536  # escapes make a text longer than it is, and other keys stand beside it
    with open_lines(path) as lines:
        at = start
        if start:
            lines.seek(start - 1)
            at += len(lines.readline()) - 1
        while end is None or at < end:
            try:
                line = lines.readline(most)
                length = len(line)
                whole = length < most or line.endswith(b"\n")
                while not whole and (rest := lines.readline(most)):
                    length += len(rest)
                    whole = rest.endswith(b"\n")
            except (OSError, EOFError, zlib.error) as error:
                problem = "truncated" if isinstance(error, EOFError) or "Truncated" in str(error) else "bad_coding"
                yield Record("unreadable", at, 0, problem=problem, detail=f"decompressing: {error}")
                return
            if not line:
                return
            if line.strip():
                record = _line_record(line, length, most, columns, limit)
                record.offset, record.length = at, length
                yield record
            at += length


def _line_record(line: bytes, length: int, most: int, columns: Columns, limit: int) -> Record:
    if length > most:
        return Record(
            "document", problem="too_large", detail=f"a line of {length:,} bytes; max_record_bytes is {limit:,}"
        )
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Record("unreadable", problem="bad_record", detail=f"no JSON: {error}"[:500])
    if not isinstance(values, dict):
        return Record("unreadable", problem="bad_record", detail=f"no JSON object but {type(values).__name__}")
    return record_of(values, columns, limit)


def cut_lines(path: Path | str, part_bytes: int) -> list[int]:
    """Offsets of lines that divide an uncompressed file into ranges of about `part_bytes`; a compressed one stays whole."""
    cuts = [0]
    if not str(path).lower().endswith((".jsonl", ".ndjson")):
        return cuts
    with open_lines(path) as file:
        size = file.seek(0, 2)
        while (at := cuts[-1] + part_bytes) < size:
            file.seek(at - 1)
            while not file.readline(_STEP).endswith(b"\n") and file.tell() < size:
                pass
            if file.tell() >= size:
                break
            cuts.append(file.tell())
    return cuts


# --- Parquet ---------------------------------------------------------------------------------------------------------


@contextmanager
def open_table(path: Path | str) -> Iterator[pq.ParquetFile]:
    """A Parquet file; UserError where it is none."""
    with open_file(path) as handle:
        try:
            file = pq.ParquetFile(io.BufferedReader(cast(io.RawIOBase, handle), _STEP), pre_buffer=False)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
        with file:
            yield file


def group_starts(file: pq.ParquetFile) -> list[int]:
    """Where each row group starts in the file."""
    starts = []
    for index in range(file.num_row_groups):
        group = file.metadata.row_group(index)
        chunks = [group.column(n) for n in range(group.num_columns)]
        starts.append(min(c.dictionary_page_offset or c.data_page_offset for c in chunks) if chunks else 0)
    return starts


def cut_table(path: Path | str, part_bytes: int) -> list[int]:
    """Starts of row groups that divide the file into ranges of at least `part_bytes`."""
    cuts = [0]
    with open_table(path) as file:
        for start in group_starts(file)[1:]:
            if start - cuts[-1] >= part_bytes:
                cuts.append(start)
    return cuts


def read_table(path: Path | str, start: int, end: int | None, columns: Columns, limit: int) -> Iterator[Record]:
    """A record for each row of the row groups that start in bytes [start, end). `offset` is the row's number in the file,
    `length` 0. A group that cannot be read is one unreadable record."""
    with open_table(path) as file:
        check_columns(str(path), file.schema_arrow.names, columns)
        names = [name for name in columns.names if name in file.schema_arrow.names]
        row = 0
        for index, at in enumerate(group_starts(file)):
            rows = file.metadata.row_group(index).num_rows
            if at >= start and (end is None or at < end):
                yield from _group_records(file, index, row, names, columns, limit)
            row += rows


def _group_records(
    file: pq.ParquetFile, index: int, row: int, names: Sequence[str], columns: Columns, limit: int
) -> Iterator[Record]:
    try:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[index], columns=list(names)):
            for one in range(len(batch)):
                try:
                    record = record_of(batch.slice(one, 1).to_pylist()[0], columns, limit)
                except UnicodeDecodeError as error:
                    record = Record("unreadable", problem="bad_record", detail=f"no UTF-8: {error.reason}")
                record.offset = row
                row += 1
                yield record
    except (OSError, pa.ArrowException) as error:
        yield Record("unreadable", row, problem="bad_record", detail=f"row group {index}: {error}"[:500])


def check_columns(where: str, there: Sequence[str], columns: Columns) -> None:
    """UserError where the column of the text, or of the HTML, is not there."""
    needed = columns.names[0]
    if needed not in there:
        key = "html" if columns.html else "text"
        raise UserError(
            f"{where}: no column {needed!r}{did_you_mean(needed, there)}; say with input.{key} which it is: {', '.join(there)}"
        )


# --- datasets --------------------------------------------------------------------------------------------------------


def open_dataset(wanted: Dataset) -> Any:
    """The split as a `datasets.IterableDataset`: nothing is downloaded or loaded before it is read."""
    try:
        import datasets
    except ImportError:
        raise UserError("input.dataset needs the extra: pip install 'corpus-pipeline[datasets]'") from None
    datasets.disable_progress_bars()
    try:
        if (Path(wanted.name) / "state.json").is_file():
            return datasets.load_from_disk(wanted.name).to_iterable_dataset()
        if (Path(wanted.name) / "dataset_dict.json").is_file():
            return datasets.load_from_disk(wanted.name)[wanted.split].to_iterable_dataset()
        return datasets.load_dataset(
            wanted.name, wanted.subset, split=wanted.split, revision=wanted.revision, streaming=True
        )
    except Exception as error:  # whatever a builder, a script or the network raises: the user's name led there
        lines = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"input.dataset: {wanted.name}: cannot be loaded ({lines[0]})") from None


def read_dataset(wanted: Dataset, shard: int, columns: Columns, limit: int) -> Iterator[Record]:
    """A record for each row of one of the dataset's shards; `offset` is the row's number in it, `length` 0."""
    whole = open_dataset(wanted)
    part = whole if whole.num_shards == 1 else whole.shard(num_shards=whole.num_shards, index=shard)
    for row, values in enumerate(part):
        if not row:
            check_columns(f"input.dataset: {wanted.name}", list(values), columns)
        record = record_of(values, columns, limit)
        record.offset = row
        yield record


def dataset_state(wanted: Dataset) -> Any:
    """What changes when the data do: names, sizes and times of a directory's files, or the hub's own version of each file."""
    folder = Path(wanted.name)
    if folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return [[str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    import datasets

    builder = datasets.load_dataset_builder(wanted.name, wanted.subset, revision=wanted.revision)
    remote = (builder.config.data_files or {}).get(wanted.split)
    return [builder.hash, [list(origin) for origin in getattr(remote, "origin_metadata", [])]]
