"""Measuring: columns computed from a row's text, for the rows that the step's gate lets in; null for the others."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.engines import Progress, Retry
from pipeline.core.ledger import kept, row_groups, writer
from pipeline.core.part import PartFiles
from pipeline.core.step import Step


def measure(
    files: PartFiles,
    schema: pa.Schema,
    compute: Callable[..., list[pa.Array]],
    progress: Progress,
    retry: Retry,
    labels: Step | None = None,
) -> int:
    """Write the columns that `compute` gives for the text so far of each row that the gate lets in; returns the rows.

    `compute` takes an Arrow array of texts (null: not let in) and gives an array for each field of `schema`.
    labels: a step with the column `language`, which is then the second argument of `compute`.
    """
    row = 0
    sources = [files.texts(), row_groups(files.gate, ["dropped"])]
    if labels:
        sources.append(row_groups(files.file(labels), ["language"]))
    with writer(files.out, schema, files.key) as out:
        groups = zip(*sources, strict=True)
        while True:
            progress(row, row)  # before reading, so that a death in it does not name the row before
            group = next(groups, None)
            if group is None:
                return row
            text, gates, *languages = group
            text = pc.if_else(kept(gates["dropped"]), text, pa.scalar(None, text.type))
            arguments = [text, *(table["language"].combine_chunks() for table in languages)]
            columns = _row_by_row(arguments, row, compute, progress, retry) if retry.row_by_row else None
            if columns is None:
                columns = compute(*arguments)
            out.write_table(pa.Table.from_arrays(columns, schema=schema))
            row += len(text)


def _row_by_row(
    arguments: list[pa.Array], first: int, compute: Callable[..., list[pa.Array]], progress: Progress, retry: Retry
) -> list[pa.Array] | None:
    """`compute` row by row, the first being row `first` of the part; a row to skip is null, which reads as crashed."""
    rows = []
    for index in range(len(arguments[0])):
        row = [array.slice(index, 1) for array in arguments]
        progress(first + index, first + index)
        if first + index in retry.skip:
            row[0] = pa.nulls(1, row[0].type)
        rows.append(compute(*row))
    return [pa.concat_arrays(columns) for columns in zip(*rows, strict=True)] if rows else None
