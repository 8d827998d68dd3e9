"""duplicates: the steps that need all parts at once, over small columns and within a memory budget.

`find_candidates` joins what has equal texts or shares a band; `choice.py` goes on from there. Documents are numbered over
all parts, those of earlier runs (`against`) first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.engines import Tick
from pipeline.core.ledger import Part, alive_rows, read, row_groups, rows_in, writer
from pipeline.errors import UserError
from pipeline.stages.evidence import Work
from pipeline.stages.job import View, part_file, part_key
from pipeline.stages.measure import band_names

PER_DOCUMENT = 4 + 4 + 1 + 1
"""Bytes that the clustering holds of every document: two roots and two marks (8 more beyond 2**31 documents)."""
LIBRARIES = 350_000_000
"""Bytes that Python, Arrow, Numba and a row group at work take, whatever the number of documents."""
SMALLEST_TABLE = 100_000_000

Roots = npt.NDArray[np.signedinteger[Any]]
CANDIDATES = pa.schema([("text", pa.int64()), ("candidates", pa.int64())])


@dataclass(frozen=True, slots=True)
class Source:
    """A part of this run or of an earlier one."""

    root: Path
    part: Part
    earlier: bool
    edited: bool

    def file(self, step: str) -> Path:
        """The part's file of a step."""
        return part_file(self.root, step, self.part)

    def alive(self) -> npt.NDArray[np.bool_]:
        """The rows that take part: of this run what came as far as here, of an earlier one what it kept."""
        return (
            kept_documents(self.file("duplicates.documents"))
            if self.earlier
            else alive_rows(self.file("quality.decide"))
        )


def sources(view: View, *steps: str) -> tuple[Source, ...]:
    """All parts, those of earlier runs first; raises UserError where a file of these steps has not the part's rows."""
    earlier = [Source(root, part, True, edited) for root, parts, edited in view.earlier for part in parts]
    found = (*earlier, *(Source(view.root, part, False, view.config.edits) for part in view.parts))
    for source in found:
        for step in steps:
            check_rows(source.file(step), rows_in(source.file("extract")))
    return found


def kept_documents(path: Path) -> npt.NDArray[np.bool_]:
    """The rows that the choice among documents kept, whatever is cut out of them."""
    table = read(path, ["cluster", "reason"])
    mask = pc.and_(pc.is_valid(table["cluster"]), pc.is_null(table["reason"]))
    return np.asarray(mask.to_numpy(), np.bool_)


def check_rows(path: Path, rows: int) -> None:
    """A file of another length than its part is no file of this part."""
    if rows_in(path) != rows:
        raise UserError(f"{path}: damaged ({rows_in(path):,} rows, not {rows:,}); delete it and run again")


def left_over(documents: int, memory: int, per_document: int) -> int:
    """What a budget for the whole process leaves for tables. Raises UserError where that is too little."""
    fixed = per_document * documents + LIBRARIES
    if memory < fixed + SMALLEST_TABLE:
        least = (fixed + SMALLEST_TABLE) / 1e6
        raise UserError(f"duplicates.memory: {documents:,} documents need {least:,.0f}MB or more")
    return memory - fixed


def find_candidates(view: View, tick: Tick) -> int:
    """Write for each document the first one with its text, and the first one that bands join to it."""
    from pipeline.filters.dedup.clusters import firsts, join_column, settle

    options = view.config.duplicates
    everything = sources(view, "duplicates.signatures")
    alive = np.concatenate([np.zeros(0, np.bool_), *(source.alive() for source in everything)])
    memory = left_over(alive.size, options.memory_bytes, PER_DOCUMENT)
    columns = ["content_hash", *band_names(options.bands)]

    def column(name: str) -> Iterator[pa.ChunkedArray]:
        for source in everything:
            for group in row_groups(source.file("duplicates.signatures"), [name]):
                yield group[name]

    work = Work(view)
    done, exact, roots = work.roots(alive.size)
    if exact is None:
        join_column(column, columns[0], alive, memory, roots)
        settle(roots)
        exact = roots.copy()
        work.save_roots(0, exact, roots)
        done = 1
    first = firsts(exact, alive)
    for index, name in list(enumerate(columns))[done:]:
        join_column(column, name, first, memory, roots)
        work.save_roots(index, exact, roots)
        total = alive.size * (index + 1) // len(columns)
        tick(total, total)
    settle(roots)
    start = 0
    for number, source in enumerate(everything):
        path = source_file(view, number, source)
        with writer(path, CANDIDATES, part_key(view.key, source.part)) as out:
            for group in row_groups(source.file("extract"), ["id"]):
                rows = slice(start, start + len(group))
                arrays = [pa.array(found[rows].astype(np.int64), mask=~alive[rows]) for found in (exact, roots)]
                out.write_table(pa.Table.from_arrays(arrays, schema=CANDIDATES))
                start += len(group)
    work.clear()
    return int(alive.size)


def source_file(view: View, number: int, source: Source) -> Path:
    """Where the candidates of a source are written: those of earlier runs lie beside this run's parts."""
    if not source.earlier:
        return view.file("duplicates.candidates", source.part)
    return view.file("duplicates.candidates", view.parts[0]).parent / f"against-{number:05d}.parquet"
