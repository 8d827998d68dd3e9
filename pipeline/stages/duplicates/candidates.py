"""duplicates.candidates: cluster documents that have equal texts or share a band, within a memory budget.

It reads small columns only; `verify` continues from its clusters. Documents are numbered over all parts, those of earlier
runs (`against`) first.
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
from pipeline.core.engines import Progress
from pipeline.core.fingerprint import unhashed
from pipeline.core.ledger import Part, alive_rows, read, row_groups, rows_in, writer
from pipeline.core.part import EarlierRun, RunFiles, texts_of
from pipeline.core.step import Step, columns
from pipeline.errors import UserError
from pipeline.stages.duplicates.features import Work
from pipeline.stages.duplicates.signatures import SIGNATURES, band_names
from pipeline.stages.extract import EXTRACT

PER_DOCUMENT = 4 + 4 + 1 + 1
"""Bytes held per document: two roots and two flags (8 more beyond 2**31 documents)."""
LIBRARIES = 350_000_000
"""Bytes that Python, Arrow, Numba and a row group in memory take, whatever the number of documents."""
SMALLEST_TABLE = 100_000_000
"""Bytes that a hash table needs at least."""

OUTCOMES = "duplicates.documents"
"""The step that reads the candidates and decides which documents are kept."""

Roots = npt.NDArray[np.signedinteger[Any]]
CANDIDATES = pa.schema([("text", pa.int64()), ("candidates", pa.int64())])
COLUMNS = {
    "text": "number of the first document with an equal text; documents are numbered over all parts",
    "candidates": "number of the first document of its cluster, joined by equal texts and shared bands",
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
        """The file in ledger/ that a step writes for the part."""
        return self.root / "ledger" / (step if isinstance(step, str) else step.name) / f"{self.part.name}.parquet"

    def texts(self) -> Iterator[pa.Array]:
        """The text so far, a row group at a time."""
        return texts_of([self.file(layer) for layer in self.layers])

    def alive(self) -> npt.NDArray[np.bool_]:
        """The rows that take part: of this run those that the gate lets in, of an earlier run those that it kept."""
        return kept_documents(self.file(OUTCOMES)) if self.earlier else alive_rows(self.file(self.gate))


def sources(files: RunFiles, *steps: Step) -> tuple[Source, ...]:
    """All parts, those of earlier runs first; UserError if a file of these steps does not have the part's number of rows."""
    [gate] = files.gates
    earlier = [Source(run.root, part, True, run.layers, "") for run in files.earlier for part in run.parts]
    all_sources = (*earlier, *(Source(files.root, part, False, files.layers, gate) for part in files.parts))
    for source in all_sources:
        for step in steps:
            check_rows(source.file(step), rows_in(source.file(EXTRACT)))
    return all_sources


def kept_documents(path: Path) -> npt.NDArray[np.bool_]:
    """Mask of the rows that duplicates.documents kept, whatever is cut out of them later."""
    table = read(path, ["cluster", "reason"])
    mask = pc.and_(pc.is_valid(table["cluster"]), pc.is_null(table["reason"]))
    return np.asarray(mask.to_numpy(), np.bool_)


def check_rows(path: Path, rows: int) -> None:
    """UserError if a file does not have its part's number of rows."""
    if rows_in(path) != rows:
        raise UserError(f"{path}: damaged ({rows_in(path):,} rows, not {rows:,}); delete it and run again")


def left_over(documents: int, memory: int, per_document: int) -> int:
    """Bytes that a budget for the whole process leaves for tables; UserError if it is too small."""
    fixed = per_document * documents + LIBRARIES
    if memory < fixed + SMALLEST_TABLE:
        needed = (fixed + SMALLEST_TABLE) / 1e6
        raise UserError(f"duplicates.memory: {documents:,} documents need at least {needed:,.0f}MB")
    return memory - fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The runs to deduplicate against, and the number of bands."""

    earlier: tuple[EarlierRun, ...]
    bands: int
    memory: int = unhashed()


def find_candidates(files: RunFiles, options: Options, progress: Progress) -> int:
    """Write for each document the first one with the same text, and the first one of its cluster; returns the documents."""
    from pipeline.filters.dedup.clusters import firsts, join_column, settle

    all_sources = sources(files, SIGNATURES)
    alive = np.concatenate([np.zeros(0, np.bool_), *(source.alive() for source in all_sources)])
    memory = left_over(alive.size, options.memory, PER_DOCUMENT)
    columns = ["content_hash", *band_names(options.bands)]

    def column(name: str) -> Iterator[pa.ChunkedArray]:
        for source in all_sources:
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
        progress(total, total)
    settle(roots)
    start = 0
    for number, source in enumerate(all_sources):
        path = source_file(files, number, source)
        with writer(path, CANDIDATES, files.part_key(source.part)) as out:
            for group in row_groups(source.file(EXTRACT), ["id"]):
                rows = slice(start, start + len(group))
                arrays = [pa.array(numbers[rows].astype(np.int64), mask=~alive[rows]) for numbers in (exact, roots)]
                out.write_table(pa.Table.from_arrays(arrays, schema=CANDIDATES))
                start += len(group)
    work.clear()
    return int(alive.size)


def source_file(files: RunFiles, number: int, source: Source) -> Path:
    """The file for the candidates of a source; those of earlier runs are written into this run's folder too."""
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
