"""duplicates: the steps that need all parts at once, over small columns and within a memory budget.

`find_candidates` joins what has equal texts or shares a band; `decide` compares the candidates, chooses the best of each
cluster and writes what happened. Documents are numbered over all parts, those of earlier runs (`against`) first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engines import Tick
from pipeline.errors import UserError
from pipeline.ledger import DROPPED, Part, alive_rows, read, reasons_to_dropped, row_groups, rows_in, writer
from pipeline.stages.evidence import Store, Work
from pipeline.stages.job import View, part_file, part_key
from pipeline.stages.measure import band_names

PER_DOCUMENT = 4 + 4 + 1 + 1
"""Bytes that the clustering holds of every document: two roots and two marks (8 more beyond 2**31 documents)."""
LIBRARIES = 300_000_000
"""Bytes that Python, Arrow, Numba and a row group at work take, whatever the number of documents."""
SMALLEST_TABLE = 16_000_000

Roots = npt.NDArray[np.signedinteger[Any]]
CANDIDATES = pa.schema([("text", pa.int64()), ("candidates", pa.int64())])
SCHEMA = pa.schema(
    [("cluster", pa.string()), ("cluster_size", pa.int32()), ("similarity", pa.float32()), ("dropped", DROPPED)]
)


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
        return alive_rows(self.file("duplicates" if self.earlier else "quality.decide"))


def sources(view: View, *steps: str) -> tuple[Source, ...]:
    """All parts, those of earlier runs first; raises UserError where a file of these steps has not the part's rows."""
    earlier = [Source(root, part, True, edited) for root, parts, edited in view.earlier for part in parts]
    found = (*earlier, *(Source(view.root, part, False, view.config.edits) for part in view.parts))
    for source in found:
        for step in steps:
            check_rows(source.file(step), rows_in(source.file("extract")))
    return found


def check_rows(path: Path, rows: int) -> None:
    """A file of another length than its part is no file of this part."""
    if rows_in(path) != rows:
        raise UserError(f"{path}: damaged ({rows_in(path):,} rows, not {rows:,}); delete it and run again")


def table_bytes(documents: int, memory: int) -> int:
    """What a budget for the whole process leaves for the table of keys. Raises UserError where that is too little."""
    fixed = PER_DOCUMENT * documents + LIBRARIES
    if memory < fixed + SMALLEST_TABLE:
        least = (fixed + SMALLEST_TABLE) / 1e6
        raise UserError(f"duplicates.memory: {documents:,} documents need {least:,.0f}MB or more")
    return memory - fixed


def find_candidates(view: View, tick: Tick) -> int:
    """Write for each document the first one with its text, and the first one that bands join to it."""
    from pipeline.filters.clusters import firsts, join_column, settle

    options = view.config.duplicates
    everything = sources(view, "duplicates.signatures")
    alive = np.concatenate([np.zeros(0, np.bool_), *(source.alive() for source in everything)])
    memory = table_bytes(alive.size, options.memory_bytes)
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


def decide(view: View, tick: Tick) -> int:
    """Compare the candidates and write for each row the kept document, its similarity, and why the row goes."""
    from pipeline.filters import stars
    from pipeline.filters.clusters import members_of
    from pipeline.filters.keep import best_first, parse_keep
    from pipeline.filters.signals import all_signals

    options = view.config.duplicates
    everything = sources(view, "duplicates.signatures", "quality")
    alive, exact, roots = read_candidates(view, everything)
    members = members_of(roots)
    old = int(sum(rows_in(source.file("extract")) for source in everything if source.earlier))

    def values(step: str, name: str, wanted: npt.NDArray[np.int64] = members) -> pa.ChunkedArray:
        return of_documents(everything, step, name, wanted)

    def column(name: str) -> Any:
        if name == "file":
            return files_of(everything, members)
        step = {"text_bytes": "duplicates.signatures", "language_score": "language"}.get(name)
        return values(step or ("extract" if name in ("date", "url") else "quality"), name)

    order = best_first(members, parse_keep(options.keep, all_signals()), column, values("extract", "id"))
    preferred = order
    if old:  # what an earlier run has kept comes first
        order = np.concatenate([order[order < old], order[order >= old]])
    if options.verify == "none":
        choice = stars.choose(order, roots, exact)
    else:
        store = Store(view, everything, stars.contenders(order, roots, exact))
        similar = stars.jaccard_of_sorted if options.verify == "exact" else stars.share_of_equal
        choice = stars.verify(
            order, roots, exact, store, similar, options.threshold, settled=lambda document: document < old
        )
    if old and view.note:
        _tell_of_better_ones(view.note, choice.kept, preferred, old)
    sizes = np.bincount(choice.kept[alive], minlength=alive.size).astype(np.int32)[choice.kept]
    _write(view, everything, alive, choice, sizes, values)
    Work(view).clear()
    return int(alive.size - old)


def _tell_of_better_ones(note: Callable[[str], None], kept: Roots, preferred: npt.NDArray[np.int64], old: int) -> None:
    """Where a run against an earlier one cannot equal the run over both: the earlier one's documents are out."""
    rank = np.full(kept.size, kept.size, np.int64)
    rank[preferred] = np.arange(preferred.size)
    new = np.arange(old, kept.size)
    better = int(((kept[new] < old) & (rank[new] < rank[kept[new]])).sum())
    if better:
        note(
            f"{better:,} documents are dropped for one of an earlier run though duplicates.keep prefers them; "
            f"a run over both inputs would keep them"
        )


def read_candidates(view: View, everything: tuple[Source, ...]) -> tuple[npt.NDArray[np.bool_], Roots, Roots]:
    """The living documents, and the roots that `find_candidates` wrote; a document that is not alive is its own."""
    total = sum(rows_in(source.file("extract")) for source in everything)
    alive = np.zeros(total, np.bool_)
    exact: Roots = np.arange(total, dtype=np.int32 if total < 2**31 else np.int64)
    roots = exact.copy()
    start = 0
    for number, source in enumerate(everything):
        path = source_file(view, number, source)
        check_rows(path, rows_in(source.file("extract")))
        table = read(path, CANDIDATES.names)
        rows = slice(start, start + len(table))
        alive[rows] = table["text"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
        for name, found in zip(CANDIDATES.names, (exact, roots), strict=True):
            np.copyto(found[rows], pc.fill_null(table[name], 0).to_numpy(), where=alive[rows], casting="same_kind")
        start += len(table)
    return alive, exact, roots


def of_documents(
    everything: tuple[Source, ...], step: str, name: str, wanted: npt.NDArray[np.int64]
) -> pa.ChunkedArray:
    """A column's values of some documents, by ascending index: only they take memory."""
    chunks, start, kind = [], 0, None
    for source in everything:
        for group in row_groups(source.file(step), [name]):
            kind = group[name].type
            low, high = np.searchsorted(wanted, [start, start + len(group)])
            if low < high:
                chunks.append(group[name].combine_chunks().take(pa.array(wanted[low:high] - start)))
            start += len(group)
    return pa.chunked_array(chunks, type=kind or pa.null())


def files_of(everything: tuple[Source, ...], wanted: npt.NDArray[np.int64]) -> pa.Array:
    """The archive each of these documents lies in."""
    bounds = np.cumsum([rows_in(source.file("extract")) for source in everything])
    names = pa.array([source.part.path for source in everything], pa.string())
    return names.take(pa.array(np.searchsorted(bounds, wanted, side="right")))


def _write(
    view: View,
    everything: tuple[Source, ...],
    alive: npt.NDArray[np.bool_],
    choice: Any,
    sizes: npt.NDArray[np.int32],
    values: Callable[[str, str, npt.NDArray[np.int64]], pa.ChunkedArray],
) -> None:
    own = np.arange(alive.size, dtype=choice.kept.dtype)
    drops_all = view.config.duplicates.keep == ("none",)
    goes = (sizes > 1) if drops_all else (choice.kept != own)
    if drops_all:  # the centre goes as its members do: as an exact copy where it has nothing but exact copies
        near = np.zeros(alive.size, np.bool_)
        near[choice.kept[goes & ~choice.exact & (choice.kept != own)]] = True
        exact = choice.exact | ((choice.kept == own) & ~near)
    else:
        exact = choice.exact
    centres = np.unique(choice.kept[choice.kept != own]).astype(np.int64)
    names = values("extract", "id", centres)
    start = 0
    for source in everything:
        if source.earlier:
            start += rows_in(source.file("extract"))
            continue
        with writer(view.file("duplicates", source.part), SCHEMA, part_key(view.key, source.part)) as out:
            signed = row_groups(source.file("duplicates.signatures"), ["content_hash"])
            for group, hashes in zip(row_groups(source.file("extract"), ["id"]), signed, strict=True):
                rows = slice(start, start + len(group))
                here = pa.array(alive[rows])
                kept = choice.kept[rows]
                joined = kept != own[rows]
                place = pa.array(np.searchsorted(centres, kept), mask=~joined)
                reason = pc.if_else(pa.array(exact[rows]), "exact", "minhash")
                reason = pc.if_else(pa.array(goes[rows]), reason, pa.scalar(None, pa.string()))
                reason = pc.if_else(pc.is_null(hashes["content_hash"].combine_chunks()), "crashed", reason)
                lists = pa.ListArray.from_arrays(list_offsets(reason), reason.drop_null(), type=DROPPED)
                similarity = choice.similarity[rows]
                columns = [
                    pc.if_else(
                        here, pc.coalesce(_one(names.take(place), names.type), group["id"].combine_chunks()), None
                    ),
                    pa.array(sizes[rows], mask=~alive[rows]),
                    pa.array(similarity, mask=~alive[rows] | np.isnan(similarity)),
                    reasons_to_dropped(here, lists),
                ]
                out.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))
                start += len(group)


def _one(chunked: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    return pa.concat_arrays(chunked.chunks) if chunked.num_chunks else pa.array([], kind)


def list_offsets(values: pa.Array) -> pa.Array:
    """Offsets of lists that hold each value of an array alone, and nothing for a null."""
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(values.is_valid().to_numpy(zero_copy_only=False), out=offsets[1:])
    return pa.array(offsets)
