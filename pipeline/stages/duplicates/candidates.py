"""duplicates.candidates: join what has equal texts or shares a band, over small columns and within a memory budget.

`verify` goes on from there. Documents are numbered over all parts, those of earlier runs (`against`) first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Tick
from pipeline.core.ledger import Part, alive_rows, read, row_groups, rows_in, writer
from pipeline.core.part import EarlierRun, RunFiles, texts_of
from pipeline.core.step import Step, columns, unhashed
from pipeline.errors import UserError
from pipeline.stages.duplicates.features import Work
from pipeline.stages.duplicates.signatures import SIGNATURES, band_names
from pipeline.stages.extract import EXTRACT

PER_DOCUMENT = 4 + 4 + 1 + 1
"""Bytes that the clustering holds of every document: two roots and two marks (8 more beyond 2**31 documents)."""
LIBRARIES = 350_000_000
"""Bytes that Python, Arrow, Numba and a row group at work take, whatever the number of documents."""
SMALLEST_TABLE = 100_000_000

OUTCOMES = "duplicates.documents"
"""The step that reads the candidates and writes what becomes of each document."""

Roots = npt.NDArray[np.signedinteger[Any]]
CANDIDATES = pa.schema([("text", pa.int64()), ("candidates", pa.int64())])
COLUMNS = {
    "text": "number of the first document with an equal text; documents are numbered over all parts",
    "candidates": "number of the first document that equal texts and bands join to it",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A part of this run or of an earlier one."""

    root: Path
    part: Part
    earlier: bool
    layers: tuple[str, ...]
    gate: str

    def file(self, step: Step | str) -> Path:
        """The part's file of a step in ledger/."""
        return self.root / "ledger" / (step if isinstance(step, str) else step.name) / f"{self.part.name}.parquet"

    def texts(self) -> Iterator[pa.Array]:
        """The text so far, a row group at a time."""
        return texts_of([self.file(layer) for layer in self.layers])

    def alive(self) -> npt.NDArray[np.bool_]:
        """The rows that take part: of this run what came as far as here, of an earlier one what it kept."""
        return kept_documents(self.file(OUTCOMES)) if self.earlier else alive_rows(self.file(self.gate))


def sources(files: RunFiles, *steps: Step) -> tuple[Source, ...]:
    """All parts, those of earlier runs first; raises UserError where a file of these steps has not the part's rows."""
    [gate] = files.gates
    earlier = [Source(run.root, part, True, run.layers, "") for run in files.earlier for part in run.parts]
    everything = (*earlier, *(Source(files.root, part, False, files.layers, gate) for part in files.parts))
    for source in everything:
        for step in steps:
            check_rows(source.file(step), rows_in(source.file(EXTRACT)))
    return everything


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The runs to deduplicate against; the number of bands is in the key of the signatures."""

    earlier: tuple[EarlierRun, ...]
    bands: int
    memory: int = unhashed()


def find_candidates(files: RunFiles, options: Options, tick: Tick) -> int:
    """Write for each document the first one with its text, and the first one that bands join to it."""
    from pipeline.filters.dedup.clusters import firsts, join_column, settle

    everything = sources(files, SIGNATURES)
    alive = np.concatenate([np.zeros(0, np.bool_), *(source.alive() for source in everything)])
    memory = left_over(alive.size, options.memory, PER_DOCUMENT)
    columns = ["content_hash", *band_names(options.bands)]

    def column(name: str) -> Iterator[pa.ChunkedArray]:
        for source in everything:
            for group in row_groups(source.file(SIGNATURES), [name]):
                yield group[name]

    work = Work(files)
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
        path = source_file(files, number, source)
        with writer(path, CANDIDATES, files.part_key(source.part)) as out:
            for group in row_groups(source.file(EXTRACT), ["id"]):
                rows = slice(start, start + len(group))
                arrays = [pa.array(found[rows].astype(np.int64), mask=~alive[rows]) for found in (exact, roots)]
                out.write_table(pa.Table.from_arrays(arrays, schema=CANDIDATES))
                start += len(group)
    work.clear()
    return int(alive.size)


def source_file(files: RunFiles, number: int, source: Source) -> Path:
    """Where the candidates of a source are written: those of earlier runs lie beside this run's parts."""
    folder = CANDIDATES_STEP.folder(files.root)
    return folder / (f"against-{number:05d}.parquet" if source.earlier else f"{source.part.name}.parquet")


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    return Options(earlier=tuple(earlier), bands=config.duplicates.bands, memory=config.duplicates.memory)


def _kernels(options: Options) -> None:
    from pipeline.filters.dedup.clusters import warm_up

    warm_up()


CANDIDATES_STEP = Step(
    name="duplicates.candidates",
    title="find candidates",
    version=1,
    run=find_candidates,
    options=_options,
    reads=(SIGNATURES,),
    whole=True,
    kernels=_kernels,
    compiles=2,
    shows=False,
    columns=lambda: columns(CANDIDATES, COLUMNS),
)
