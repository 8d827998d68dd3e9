"""Documents in tables: JSON Lines, Parquet, and whatever `datasets` can load.

They become records of the type "document", with text that is used as it is, or with HTML that is extracted like a page. A
line or row that cannot be used becomes a record with a problem, as damage in an archive does.
"""

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.compressed import BROKEN, compression_of, open_decompressed, problem_of
from pipeline.extract.inputs.files import open_file
from pipeline.extract.options import ALL, Columns, Dataset

_BATCH_ROWS = 64
_CUT = {pa.duration("ns"): pa.duration("us"), pa.time64("ns"): pa.time64("us")}
_BATCH_BYTES = 1 << 26
"""Rows are read together while a row group of their size has at most this many bytes: one value stored once in a dictionary
may be that of all rows, so 64 rows could take 64 times the row group."""
_GROUP_BYTES = 1 << 28
"""A row group is read if it has at most this many bytes, or if its rows are within `max_record_bytes` on average: Arrow
decompresses whole pages, of up to 2 GB."""
_STEP = 1 << 20
_FIRST_LINES = 100
"""A file of lines is judged by this many; a key that is in none of them counts as missing."""
_SHOWN = 20  # known columns in a message


def record_of(values: Mapping[str, Any], columns: Columns, limit: int) -> Record:
    """A row as a record; "bad_record" if the text is not a string, "too_large" over `limit` bytes of UTF-8."""

    unread: list[str] = []

    def plain(name: str | None) -> str | None:
        value = None if name is None else value_at(values, name)
        if isinstance(value, Unreadable):
            unread.append(f"{name}: {value.detail}")
            return None
        if isinstance(value, Mapping | list | tuple):
            unread.append(f"{name}: {kind_of(value)}, not text")
            return None
        if value is None or value != value:  # NaN stands for a missing value
            return None
        return value.isoformat() if hasattr(value, "isoformat") else str(value)

    record = Record("document", record_id=plain(columns.id), url=plain(columns.url), date=plain(columns.date))
    record.title = plain(columns.title)
    record.kept = tuple(kept_value(values, name, columns) for name in columns.keep_columns)
    record.detail = "; ".join(unread) or None
    needed = columns.names[0]
    content = value_at(values, needed)
    if content is None:
        missing = f"{needed} has no value" if has(values, needed) else f"there is no {needed}"
        record.detail = "; ".join([*unread, missing])
    if isinstance(content, Unreadable):
        record.problem, record.detail = "bad_record", f"{needed}: {content.detail}"
    elif content is None or isinstance(content, str):
        body = (content or "").encode("utf-8", "surrogatepass")
        if len(body) > limit:
            record.problem, record.detail = "too_large", f"{len(body):,} bytes; max_record_bytes is {limit:,}"
        elif columns.html:
            record.body, record.content_type = body, "text/html; charset=utf-8"
        else:
            record.text = content or ""
    else:
        record.problem, record.detail = "bad_record", f"{needed} is {kind_of(content)}, not text"
    return record


def kind_of(value: Any) -> str:
    """What a value is, in JSON's words."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return "true or false" if isinstance(value, bool) else "a number" if isinstance(value, int | float) else "a value"


def has(values: Mapping[str, Any], name: str) -> bool:
    """Whether a row has this column or key, also one without a value."""
    return name in key_names(values)


def kept_value(values: Mapping[str, Any], name: str, columns: Columns) -> str | None:
    """A row's value of a kept column: a string as it is, other values as JSON; None for a missing or unreadable one."""
    try:
        found = _json_value(other_values(values, columns) if name == ALL else value_at(values, name))
        return found if found is None or isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    except RecursionError:
        return None


def _json_value(value: Any) -> Any:
    """A value as JSON types. Times are strings, other numbers than JSON's are strings, NaN and other objects are null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _json_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()
    return str(value) if isinstance(value, Decimal | timedelta | UUID) else None


def other_values(values: Mapping[str, Any], columns: Columns, above: str = "") -> dict[str, Any]:
    """The row without the values that other columns of the ledger hold."""
    used = (*columns.names, *columns.keep_columns)
    others: dict[str, Any] = {}
    for name, value in values.items():
        left = value
        if isinstance(value, Mapping) and value and not (left := other_values(value, columns, f"{above}{name}.")):
            continue
        if f"{above}{name}" not in used:
            others[name] = left
    return others


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that Python cannot hold, such as a date of the year 50000; in the ledger it is null."""

    detail: str


def plain_value(value: pa.Scalar) -> Any:
    """A value as `as_py` returns it; `Unreadable`, also as a field of a struct, for one that Python cannot hold.

    Times are cut to microseconds, as Python has them. Bytes that are UTF-8 are text: many writers do not say which they mean.
    """
    try:
        if isinstance(value, pa.ExtensionScalar):
            value = value.value
        if isinstance(value, pa.StructScalar) and value.is_valid:
            return {name: plain_value(inner) for name, inner in value.items()}
        if value.is_valid and getattr(value.type, "unit", None) == "ns":
            kind = value.type
            value = value.cast(pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else _CUT[kind], safe=False)
        found = value.as_py()
        return found.decode() if isinstance(found, bytes) else found
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8: {error.reason}")
    except (ValueError, OverflowError, LookupError, pa.ArrowException) as error:
        return Unreadable(f"a value cannot be read: {error}"[:500])


def value_at(values: Mapping[str, Any], name: str) -> Any:
    """The value of a column or key; None if there is none. "metadata.url" is the key of this name, else `url` in `metadata`."""
    if name in values:
        return values[name]
    outer, dot, inner = name.partition(".")
    table = values.get(outer) if dot else None
    return value_at(table, inner) if isinstance(table, Mapping) else None


def key_names(values: Mapping[str, Any]) -> list[str]:
    """The keys of a row, and those of the tables in it as "metadata.url", after the key of the table."""
    names = []
    for name, value in values.items():
        names.append(name)
        if isinstance(value, Mapping):
            names += [f"{name}.{inner}" for inner in key_names(value)]
    return names


def nested_keys(values: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a row whose values are objects or lists, as `key_names` gives them, with what they are."""
    names = key_names(values)
    found = {name: value_at(values, name) for name in names}
    return {name: kind_of(value) for name, value in found.items() if isinstance(value, Mapping | list | tuple)}


def nested_columns(schema: Iterable[pa.Field]) -> dict[str, str]:
    """The same of a table's schema."""
    nested: dict[str, str] = {}
    for column in schema:
        if pa.types.is_struct(column.type):
            nested |= {column.name: "an object"}
            nested |= {f"{column.name}.{name}": kind for name, kind in nested_columns(column.type).items()}
        elif pa.types.is_nested(column.type):
            nested[column.name] = "a list"
    return nested


def column_names(schema: Iterable[pa.Field]) -> list[str]:
    """The same of a table's schema."""
    names = []
    for column in schema:
        names.append(column.name)
        if pa.types.is_struct(column.type):
            names += [f"{column.name}.{inner}" for inner in column_names(column.type)]
    return names


def check_columns(
    where: str,
    names: Sequence[str],
    columns: Columns,
    *,
    noun: str = "column",
    nested: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """UserError if the column of the text, or of the HTML, is missing from `names`, or if a column is in `nested`, which says
    what the values of some are that are not text.

    Returns a line for each other column that is missing although its name is not the default, for a note.
    """
    needed = columns.names[0]
    if needed not in names:
        key = "html" if columns.html else "text"
        listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        mend = f"set input.{key} to one of {listed}" if names else f"the file has no {noun}s"
        raise UserError(f"{where}: no {noun} {needed!r}{_nearest(needed, names)}; {mend}")
    lines = []
    keys = ("html" if columns.html else "text", "id", "url", "date", "title")
    for key, name in ((key, getattr(columns, key)) for key in keys):
        if name in nested:
            inside = [other for other in names if other.startswith(f"{name}.") and other not in nested]
            mend = f"one of {', '.join(inside[:_SHOWN])}" if inside else f"a {noun} of text"
            problem = f"input.{key}: {name!r} is {nested[name]}, not text, in {where}; name {mend}"
            if name == needed or name != getattr(Columns(), key):
                raise UserError(problem)
            lines.append(f"{problem}; it is left out")
        if name not in (None, getattr(Columns(), key)) and name not in names:
            lines.append(f"input.{key}: no {noun} {name!r}{_nearest(name, names)} in {where}")
    for name in columns.keep_columns:
        if name != ALL and name not in names:
            lines.append(f"input.keep_columns {name!r}: no such {noun}{_nearest(name, names)} in {where}")
    return [*lines, *lost_columns(where, names, columns, noun=noun)]


def lost_columns(where: str, names: Sequence[str], columns: Columns, *, noun: str = "column") -> list[str]:
    """A line that names the columns which are in no product, if there are any and none is kept."""
    lost: list[str] = []
    for name in names if not columns.keep_columns else ():
        is_read = any(f"{used}.".startswith(f"{name}.") or name.startswith(f"{used}.") for used in columns.names)
        if not is_read and not any(name.startswith(f"{table}.") for table in lost):
            lost.append(name)
    if not lost:
        return []
    listed = ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
    return [
        f"{noun}s that are not kept: {listed} (of {where}); "
        f'input.keep_columns = ["{lost[0]}"] carries that one into clean/, ["*"] all of them'
    ]


def wanted(columns: Columns, known: Sequence[str], top: Sequence[str]) -> list[str]:
    """The columns to read, of those that a table has; `top`: those that are in no other column."""
    if ALL in columns.keep_columns:
        return list(dict.fromkeys(top))
    return [name for name in dict.fromkeys((*columns.names, *columns.keep_columns)) if name in known]


def _nearest(name: str, names: Sequence[str]) -> str:
    """The name that was likely meant: the same in another table or outside of one, else the nearest in spelling."""
    same = [other for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
    return did_you_mean(same[0], same[:1]) if same else did_you_mean(name, names)


# --- JSON Lines ------------------------------------------------------------------------------------------------------


def read_lines(path: Path | str, start: int, end: int | None, columns: Columns, limit: int) -> Iterator[Record]:
    """A record for each line that starts in bytes [start, end), except blank lines.

    `offset` and `length` are bytes of the decompressed file. Memory: one line, of at most a little over twice `limit` bytes.
    """
    max_line = 2 * limit + 65_536  # escapes make a text longer, and the line has other keys too
    with open_decompressed(path) as lines:
        at = start
        if start:
            lines.seek(start - 1)
            at += len(lines.readline()) - 1
        while end is None or at < end:
            try:
                line = lines.readline(max_line)
                length = len(line)
                ended = length < max_line or line.endswith(b"\n")
                while not ended and (rest := lines.readline(max_line)):
                    length += len(rest)
                    ended = rest.endswith(b"\n")
            except BROKEN as error:
                yield Record("unreadable", at, problem=problem_of(error), detail=f"decompressing: {error}")
                return
            if not line:
                return
            if line.strip():
                record = _line_record(line, length, max_line, columns, limit)
                record.offset, record.length = at, length
                yield record
            at += length


def _line_record(line: bytes, length: int, max_line: int, columns: Columns, limit: int) -> Record:
    if length > max_line:
        return Record(
            "document", problem="too_large", detail=f"a line of {length:,} bytes; max_record_bytes is {limit:,}"
        )
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Record("unreadable", problem="bad_record", detail=f"not JSON: {error}"[:500])
    if not isinstance(values, dict):
        return Record("unreadable", problem="bad_record", detail=f"not a JSON object but {type(values).__name__}")
    return record_of(values, columns, limit)


def check_lines(path: Path | str, columns: Columns) -> list[str]:
    """`check_columns` of the keys in a file's first lines; a file whose first lines are no JSON objects is not judged."""
    names: dict[str, None] = {}
    nested: dict[str, str] = {}
    plain: set[str] = set()
    count = 0
    with open_decompressed(path) as lines:
        remaining = _STEP
        try:
            while count < _FIRST_LINES and remaining > 0 and (line := lines.readline(remaining)):
                remaining -= len(line)
                with suppress(ValueError, RecursionError):
                    values = json.loads(line)
                    if isinstance(values, dict):
                        found, tables = key_names(values), nested_keys(values)
                        names |= dict.fromkeys(found)
                        nested |= tables
                        plain |= {name for name in found if name not in tables and value_at(values, name) is not None}
                        count += 1
        except BROKEN:
            pass  # damage is counted when the file is read
    where = f"{path}, first {count:,} lines" if count > 1 else f"{path}, first line"
    only_nested = {name: kind for name, kind in nested.items() if name not in plain}
    return check_columns(where, list(names), columns, noun="key", nested=only_nested) if count else []


def cut_lines(path: Path | str, part_bytes: int) -> list[int]:
    """Offsets of lines that divide an uncompressed file into ranges of about `part_bytes`; a compressed file is one range."""
    cuts = [0]
    if compression_of(str(path)):
        return cuts
    with open_decompressed(path) as file:
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
    """A Parquet file, opened; UserError if it is not Parquet."""
    with open_file(path) as handle:
        try:
            file = pq.ParquetFile(io.BufferedReader(cast(io.RawIOBase, handle), _STEP), pre_buffer=False)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
        with file:
            yield file


def group_starts(file: pq.ParquetFile) -> list[int]:
    """The offset of each row group in the file."""
    starts = []
    for index in range(file.num_row_groups):
        group = file.metadata.row_group(index)
        chunks = [group.column(n) for n in range(group.num_columns)]
        starts.append(min(c.dictionary_page_offset or c.data_page_offset for c in chunks) if chunks else 0)
    return starts


def cut_table(path: Path | str, part_bytes: int) -> list[int]:
    """Offsets of row groups that divide the file into ranges of at least `part_bytes`."""
    cuts = [0]
    with open_table(path) as file:
        for start in group_starts(file)[1:]:
            if start - cuts[-1] >= part_bytes:
                cuts.append(start)
    return cuts


def read_table(
    path: Path | str,
    start: int,
    end: int | None,
    columns: Columns,
    limit: int,
    unread: frozenset[int] = frozenset(),
) -> Iterator[Record]:
    """A record for each row of the row groups that start in bytes [start, end). `offset` is the row's number in the file,
    `length` is 0. A row group that cannot be read becomes one unreadable record, and so does the rest of a row group
    from a record whose number, among those that this yields, is in `unread` (that row alone, where its batch can be read)."""
    records = 0
    with open_table(path) as file:
        known = column_names(file.schema_arrow)
        check_columns(str(path), known, columns, nested=nested_columns(file.schema_arrow))
        names = wanted(columns, known, file.schema_arrow.names)
        row = 0
        for index, at in enumerate(group_starts(file)):
            rows = file.metadata.row_group(index).num_rows
            if at >= start and (end is None or at < end):
                for record in _group_records(file, index, row, names, columns, limit, unread, records):
                    records += 1
                    yield record
            row += rows


def _group_records(
    file: pq.ParquetFile,
    index: int,
    row: int,
    names: Sequence[str],
    columns: Columns,
    limit: int,
    unread: frozenset[int],
    number: int,
) -> Iterator[Record]:
    group = file.metadata.row_group(index)
    end = row + group.num_rows
    chunks = (group.column(number) for number in range(group.num_columns))
    paths = tuple(f"{name}." for name in names)
    size = sum(chunk.total_uncompressed_size for chunk in chunks if f"{chunk.path_in_schema}.".startswith(paths))
    if size > max(_GROUP_BYTES, group.num_rows * limit):
        detail = f"row group {index}: {group.num_rows:,} rows of {size:,} bytes; max_record_bytes is {limit:,}"
        yield Record("unreadable", row, problem="too_large", detail=detail)
        return
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, size)))
    try:
        batches = file.iter_batches(rows, row_groups=[index], columns=list(names))  # reads nothing yet
        while True:
            if number in unread and row < end:
                detail = f"row group {index}: reading it from row {row:,} on kills the worker"
                yield Record("unreadable", row, problem="crashed", detail=detail)
                return
            if (batch := next(batches, None)) is None:
                return
            for index_in_batch in range(len(batch)):
                if index_in_batch and number in unread:
                    record = Record("unreadable", problem="crashed", detail="reading the row kills the worker")
                else:
                    record = record_of(_row_values(batch, index_in_batch), columns, limit)
                record.offset = row
                row, number = row + 1, number + 1
                yield record
    except MemoryError:  # some of Arrow's are ArrowException too
        raise
    except (OSError, pa.ArrowException) as error:
        yield Record("unreadable", row, problem="bad_record", detail=f"row group {index}: {error}"[:500])


def _row_values(batch: pa.RecordBatch, index: int) -> Mapping[str, Any]:
    return {name: plain_value(column[index]) for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def check_table(path: Path | str, columns: Columns) -> list[str]:
    """`check_columns` of a file's schema."""
    with open_table(path) as file:
        nested = nested_columns(file.schema_arrow)
        return check_columns(str(path), column_names(file.schema_arrow), columns, nested=nested)


# --- datasets --------------------------------------------------------------------------------------------------------


def open_dataset(options: Dataset) -> Any:
    """The split as a `datasets.IterableDataset`; UserError if it cannot be loaded. Data are loaded when they are read."""
    try:
        import datasets
    except ImportError:
        raise UserError("input.dataset needs the extra: pip install 'corpus-pipeline[datasets]'") from None
    datasets.disable_progress_bars()
    try:
        if (Path(options.name) / "state.json").is_file():
            return datasets.load_from_disk(options.name).to_iterable_dataset()
        if (Path(options.name) / "dataset_dict.json").is_file():
            return datasets.load_from_disk(options.name)[options.split].to_iterable_dataset()
        builder = datasets.load_dataset_builder(options.name, options.subset, revision=options.revision)
        if getattr(builder.config, "batch_size", 1) is None:  # of Parquet: a row group, which fails if it has no rows
            builder.config.batch_size = _BATCH_ROWS
        return builder.as_streaming_dataset(split=options.split)
    except Exception as error:  # a builder, a script or the network may raise anything
        raise UserError(f"input.dataset: {options.name}: cannot be loaded ({_first_line(error)})") from None


def read_dataset(options: Dataset, shard: int, columns: Columns, limit: int) -> Iterator[Record]:
    """A record for each row of one of the dataset's shards; `offset` is the row's number in the shard, `length` is 0."""
    dataset = open_dataset(options)
    rows = dataset if dataset.num_shards == 1 else dataset.shard(num_shards=dataset.num_shards, index=shard)
    for row, values in enumerate(_tried(rows, f"input.dataset: {options.name}: shard {shard}")):
        if not row:
            check_columns(f"input.dataset: {options.name}", key_names(values), columns, nested=nested_keys(values))
        record = record_of(values, columns, limit)
        record.offset = row
        yield record


def _tried(rows: Iterable[Mapping[str, Any]], where: str) -> Iterator[Mapping[str, Any]]:
    """The rows; UserError for what reading one of them raises."""
    reading = iter(rows)
    for row in count():
        try:
            values = next(reading)
        except StopIteration:
            return
        except MemoryError:
            raise
        except Exception as error:  # a builder, a script or the network may raise anything
            raise UserError(f"{where}: cannot be read from row {row:,} on ({_first_line(error)})") from None
        yield values


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def dataset_state(options: Dataset) -> Any:
    """A value that changes when the data do: names, sizes and times of a directory's files, or the hub's version of each."""
    folder = Path(options.name)
    if folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return [[str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    import datasets

    builder = datasets.load_dataset_builder(options.name, options.subset, revision=options.revision)
    remote = (builder.config.data_files or {}).get(options.split)
    return [builder.hash, [list(origin) for origin in getattr(remote, "origin_metadata", [])]]
