"""Measuring: columns that are functions of a row's text, for the rows that come to a step; null for the others."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.engines import Care, Tick
from pipeline.core.ledger import kept, row_groups, writer
from pipeline.core.part import PartFiles
from pipeline.core.step import Step


def measure(
    files: PartFiles,
    schema: pa.Schema,
    compute: Callable[..., list[pa.Array]],
    tick: Tick,
    care: Care,
    labels: Step | None = None,
) -> int:
    """Write the columns that `compute` gives for the text so far of each row that comes here.

    labels: a step with the column `language`, which is then the second argument of `compute`.
    """
    row = 0
    sources = [files.texts(), row_groups(files.gate, ["dropped"])]
    if labels:
        sources.append(row_groups(files.file(labels), ["language"]))
    with writer(files.out, schema, files.key) as out:
        for text, gates, *languages in zip(*sources, strict=True):
            text = pc.if_else(kept(gates["dropped"]), text, pa.scalar(None, text.type))
            given = [text, *(table["language"].combine_chunks() for table in languages)]
            columns = _carefully(given, row, compute, tick, care) if care.single else None
            if columns is None:
                tick(row, row)
                columns = compute(*given)
            out.write_table(pa.Table.from_arrays(columns, schema=schema))
            row += len(text)
    return row


def _carefully(
    given: list[pa.Array], first: int, compute: Callable[..., list[pa.Array]], tick: Tick, care: Care
) -> list[pa.Array] | None:
    """`compute` row by row; a row to skip is treated as null, which `decide` reads as crashed."""
    rows = []
    for index in range(len(given[0])):
        one = [array.slice(index, 1) for array in given]
        if first + index in care.skip:
            one[0] = pa.nulls(1, one[0].type)
        else:
            tick(first + index, first + index)
        rows.append(compute(*one))
    return [pa.concat_arrays(columns) for columns in zip(*rows, strict=True)] if rows else None
