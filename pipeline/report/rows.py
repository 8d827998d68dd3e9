"""Rows of the ledger: where a document is, and what a step wrote for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core.ledger import Part, read
from pipeline.core.step import Step
from pipeline.run.run import Run
from pipeline.run.steps import layers_of
from pipeline.stages.duplicates.verify import DOCUMENTS
from pipeline.stages.extract import EXTRACT

Row = Mapping[str, Any]
"""Column -> value, of one row of a step's file."""


def find(run: Run, url_or_id: str) -> list[tuple[Part, int]]:
    """Every row (part, row) of the ledger with this URL or document id."""
    rows = []
    for part in run.done_parts(EXTRACT):
        table = read(run.file(EXTRACT, part), ["id", "url"])
        same = pc.or_kleene(pc.equal(table["id"], url_or_id), pc.equal(table["url"], url_or_id))
        rows += [(part, row) for row in pc.indices_nonzero(pc.fill_null(same, False)).to_pylist()]
    return rows


def rows_of(
    run: Run, step: Step, part: Part, rows: Sequence[int], columns: list[str] | None = None
) -> list[Row] | None:
    """These rows of a step, of all columns or of these; None where the step has not done the part."""
    if not run.is_done(step, part):
        return None
    values: dict[int, Row] = {}
    first = 0
    with pq.ParquetFile(run.file(step, part)) as file:
        for index in range(file.num_row_groups):
            count = file.metadata.row_group(index).num_rows
            if inside := sorted({row for row in rows if first <= row < first + count}):
                table = file.read_row_group(index, columns).take([row - first for row in inside])
                values |= zip(inside, table.to_pylist(), strict=True)
            first += count
    if missing := set(rows) - set(values):
        raise IndexError(f"{step.name} of {part.title} has no row {min(missing)}")
    return [values[row] for row in rows]


def row_of(run: Run, step: Step, part: Part, row: int) -> Row | None:
    """All columns of one row of a step; None where the step has not done the part."""
    rows = rows_of(run, step, part, [row])
    return rows[0] if rows else None


def texts_of(run: Run, part: Part, rows: Sequence[int]) -> list[str | None]:
    """The text so far of these rows: what the edits have left, or what was extracted; None where there is none."""
    texts: list[str | None] = [None] * len(rows)
    for step in layers_of(DOCUMENTS, run.config):
        for index, values in enumerate(rows_of(run, step, part, rows, ["text"]) or ()):
            if texts[index] is None:
                texts[index] = values["text"]
    return texts
