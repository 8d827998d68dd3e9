"""Parquet as input: read a few rows at a time, in bounded memory, and cut at row groups."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.extract.inputs.archive import Record
from pipeline.extract.inputs.documents import (
    check_columns,
    column_names,
    nested_columns,
    plain_value,
    record_of,
    wanted,
)
from pipeline.extract.inputs.files import open_file
from pipeline.extract.options import Columns

_BATCH_ROWS = 64
_BATCH_BYTES = 1 << 26
"""Rows are read together while a row group of their size has at most this many bytes: one value stored once in a dictionary
may be that of all rows, so 64 rows could take 64 times the row group."""
_GROUP_BYTES = 1 << 28
"""A row group is read if it has at most this many bytes, or if its rows are within `max_record_bytes` on average: Arrow
decompresses whole pages, of up to 2 GB."""
_STEP = 1 << 20


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
