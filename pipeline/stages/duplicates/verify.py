"""duplicates.documents: compare the candidates, choose the best of each cluster, and write what happened.

Candidates' clusters are independent, so they are decided in batches that the memory budget holds. What a batch has decided
lies on disk, so that a killed run goes on with the next one; at the end the batches are written out part by part.

In memory: 10 bytes a document (14 beyond 2**31 of them); of the documents in the batch at work `PER_MEMBER` bytes each, which
have an equal text or share a band with another one; and of its texts to compare `verify.PER_KEY` bytes a band.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Tick
from pipeline.core.ledger import read, row_groups, rows_in, writer
from pipeline.core.part import EarlierRun, RunFiles
from pipeline.core.step import Step, columns, unhashed
from pipeline.errors import UserError
from pipeline.filters.plugins import PluginFile, load, locate
from pipeline.stages.duplicates.candidates import (
    CANDIDATES,
    CANDIDATES_STEP,
    Roots,
    Source,
    check_rows,
    left_over,
    source_file,
    sources,
)
from pipeline.stages.duplicates.features import PER_CONTENDER, Mask, Store, Work
from pipeline.stages.duplicates.signatures import SIGNATURES, signature_options
from pipeline.stages.duplicates.signatures import Options as Signed
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality import QUALITY

PER_DOCUMENT = 1 + 1 + 4 + 4
"""Bytes held of every document: alive or not, compared or not, its root, and how many documents its cluster has."""
PER_MEMBER = 400
"""Bytes held of a document in the batch at work: id, what `keep` asks for (URLs are the longest), ranks, outcome; measured
by tests/benchmarks/duplicates_scale.py."""
ROWS = 1 << 16

Places = npt.NDArray[np.int64]
OUTCOME = [
    ("cluster", pa.string()),
    ("cluster_size", pa.int32()),
    ("similarity", pa.float32()),
    ("reason", pa.string()),
]
SCHEMA = pa.schema(OUTCOME)
CLUSTERS = {
    "cluster": "id of the document that is kept of the row's copies; its own where it is kept, or has no copies",
    "cluster_size": "documents of the cluster, the kept one too",
    "similarity": "Jaccard similarity with the kept document; null where nothing was compared",
}
COLUMNS = CLUSTERS | {"reason": "`exact` or `minhash` where the row goes; null where it stays"}
BATCH = pa.schema([("document", pa.int64()), *OUTCOME, ("outranks", pa.bool_())])


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What `find_candidates` has found, (n,) each."""

    alive: Mask
    compared: Mask
    """The documents that speak for a text which has another one in its cluster."""
    roots: Roots
    """The first document that bands join to it."""
    documents: npt.NDArray[np.int32]
    """Under a root: the living documents of its cluster."""

    def members(self, low: int, high: int) -> Places:
        """The documents whose cluster is of several and has its root in [low, high), ascending."""
        found = []
        for start in range(low, self.roots.size, 1 << 20):  # a root is the smallest of its cluster
            roots = self.roots[start : start + (1 << 20)]
            inside = (roots >= low) & (roots < high) & (self.documents[roots] > 1)
            found.append(np.flatnonzero(inside) + start)
        return np.concatenate([np.zeros(0, np.int64), *found])


def read_candidates(files: RunFiles, everything: tuple[Source, ...]) -> Candidates:
    """The living documents, and the roots that `find_candidates` wrote; a document that is not alive is its own."""
    total = sum(rows_in(source.file(EXTRACT)) for source in everything)
    alive, compared = np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    roots: Roots = np.arange(total, dtype=np.int32 if total < 2**31 else np.int64)
    start = 0
    for path, source in zip(candidate_files(files, everything), everything, strict=True):
        check_rows(path, rows_in(source.file(EXTRACT)))
        for group in row_groups(path, CANDIDATES.names):
            rows = np.arange(start, start + len(group))
            here = group["text"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
            text, root = (pc.fill_null(group[name], -1).to_numpy() for name in CANDIDATES.names)
            alive[rows[here]] = True
            roots[rows[here]] = root[here]
            # the first of a cluster speaks for its own text, so that a second one that does makes two
            second = here & (text == rows) & (root != rows)
            compared[rows[second]] = compared[root[second]] = True
            start += len(group)
    documents = np.zeros(total, np.int32)  # np.bincount would need twice the memory, and one more array
    np.add.at(documents, roots[alive], 1)
    return Candidates(alive, compared, roots, documents)


def candidate_files(files: RunFiles, everything: tuple[Source, ...]) -> list[Path]:
    """What `find_candidates` wrote of each part."""
    return [source_file(files, number, source) for number, source in enumerate(everything)]


def plan_batches(documents: npt.NDArray[np.int32], room: int) -> list[tuple[int, int]]:
    """Ranges [low, high) of roots whose clusters have `room` documents and fewer together, or one larger cluster."""
    bounds, filled = [0], 0
    for start in range(0, documents.size, 1 << 20):
        sizes = documents[start : start + (1 << 20)]
        for root in (np.flatnonzero(sizes > 1)).tolist():
            if filled and filled + int(sizes[root]) > room:
                bounds.append(start + root)
                filled = 0
            filled += int(sizes[root])
    return [*pairwise(bounds), (bounds[-1], documents.size)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How candidates are compared, and which are kept."""

    signed: Signed
    verify: Literal["exact", "signature", "none"]
    threshold: float
    keep: tuple[str, ...]
    plugins: tuple[PluginFile, ...] = unhashed(())
    """Whose signals `keep` may name; what they compute is in the key of what has measured them."""
    memory: int = unhashed()


def decide(files: RunFiles, options: Options, tick: Tick) -> int:
    """Write for each row the kept document, its similarity, and why the row goes."""
    from pipeline.filters.dedup import verify

    everything = sources(files, SIGNATURES, QUALITY)
    total = sum(rows_in(source.file(EXTRACT)) for source in everything)
    memory = left_over(total, options.memory, PER_DOCUMENT)
    candidates = read_candidates(files, everything)
    member = PER_MEMBER
    if options.verify != "none":
        member += PER_CONTENDER + verify.PER_KEY * options.signed.bands
        memory -= verify.HELD
    largest = int(candidates.documents.max(initial=0))
    if largest > 1 and largest * member > memory:
        least = (options.memory - memory + largest * member) / 1e6
        raise UserError(f"duplicates.memory: {largest:,} documents hang together, which needs {least:,.0f}MB or more")
    batches = plan_batches(candidates.documents, memory // member)
    work = Work(files)
    store = Store(files, options.signed, everything, candidates.compared) if options.verify != "none" else None
    old = sum(rows_in(source.file(EXTRACT)) for source in everything if source.earlier)
    # By its range: a killed run may go on with another budget, and so with other batches.
    decided = [work.folder / f"batch-{low}-{high}.parquet" for low, high in batches]
    for file, (low, high) in zip(decided, batches, strict=True):
        if not file.is_file():
            _decide_batch(files, options, everything, candidates, store, candidates.members(low, high), old, file)
        tick(high, high)
    _write(files, everything, candidates.alive, decided)
    if old and files.note:
        _note_better_ones(files.note, decided)
    work.clear()
    return int(total - old)


def _decide_batch(
    run: RunFiles,
    options: Options,
    everything: tuple[Source, ...],
    candidates: Candidates,
    store: Store | None,
    members: Places,
    old: int,
    file: Path,
) -> None:
    """Decide some whole clusters and write the outcome of each of their documents; here documents are their places."""
    from pipeline.filters.dedup import verify
    from pipeline.filters.dedup.keep_policy import best_first, parse_keep
    from pipeline.filters.signals import all_signals

    def files(step: Step) -> list[Path]:
        return [source.file(step) for source in everything]

    def column(name: str) -> Any:
        if name == "file":
            return files_of(everything, members)
        step = {
            "text_bytes": SIGNATURES,
            "language_score": LANGUAGE,
            "date": EXTRACT,
            "url": EXTRACT,
        }
        return of_documents(files(step.get(name, QUALITY)), name, members)

    texts = of_documents(candidate_files(run, everything), "text", members).to_numpy()
    ids = of_documents(files(EXTRACT), "id", members).cast(pa.large_string()).combine_chunks()
    places = np.arange(members.size)
    preferred = best_first(places, parse_keep(options.keep, all_signals(load(options.plugins).signals)), column, ids)
    roots, exact = (np.searchsorted(members, found) for found in (candidates.roots[members], texts))
    settled = int(np.searchsorted(members, old))  # what an earlier run has kept comes first
    order = np.concatenate([preferred[preferred < settled], preferred[preferred >= settled]])
    if store is None:
        choice = verify.choose(order, roots, exact)
    else:
        evidence = store.of(members[candidates.compared[members]])
        similar = verify.jaccard_of_sorted if options.verify == "exact" else verify.share_of_equal
        choice = verify.choose_verified(
            order,
            roots,
            exact,
            lambda place: evidence(int(texts[place])),
            similar,
            options.threshold,
            settled=lambda place: place < settled,
        )
    rank = np.empty(members.size, np.int64)
    rank[preferred] = places
    outranks = (choice.kept < settled) & (places >= settled) & (rank < rank[choice.kept])
    sizes = np.bincount(choice.kept, minlength=members.size)[choice.kept].astype(np.int32)
    similarity = pa.array(choice.similarity, mask=np.isnan(choice.similarity))
    reason = _reasons(choice, sizes, drops_all=options.keep == ("none",))
    with writer(file, BATCH, run.key) as out:
        for start in range(0, members.size, ROWS):
            rows = slice(start, start + ROWS)
            names = ids.take(pa.array(choice.kept[rows])).cast(pa.string())
            columns = [members[rows], names, sizes[rows], similarity[rows], reason[rows], outranks[rows]]
            out.write_table(pa.Table.from_arrays([pa.array(values) for values in columns], schema=BATCH))


def _reasons(choice: Any, sizes: npt.NDArray[np.int32], *, drops_all: bool) -> pa.Array:
    """Why each document goes, null where it stays."""
    own = np.arange(choice.kept.size)
    exact, goes = choice.exact, choice.kept != own
    if drops_all:  # the centre goes as its members do: as an exact copy where it has nothing but exact copies
        near = np.zeros(own.size, np.bool_)
        near[choice.kept[goes & ~exact]] = True
        exact, goes = exact | (~goes & ~near), sizes > 1
    return pc.if_else(pa.array(goes), pc.if_else(pa.array(exact), "exact", "minhash"), pa.scalar(None, pa.string()))


def _note_better_ones(note: Callable[[str], None], files: list[Path]) -> None:
    """Where a run against an earlier one cannot equal the run over both: the earlier one's documents are out."""
    better = sum(pc.sum(group["outranks"]).as_py() or 0 for file in files for group in row_groups(file, ["outranks"]))
    if better:
        note(
            f"{better:,} documents are dropped for one of an earlier run though duplicates.keep prefers them; "
            f"a run over both inputs would keep them"
        )


def of_documents(files: list[Path], name: str, wanted: Places) -> pa.ChunkedArray:
    """A column's values of some documents, by ascending index: only they take memory."""
    chunks, start, kind = [], 0, None
    for file in files:
        for group in row_groups(file, [name]):
            kind = group[name].type
            low, high = np.searchsorted(wanted, [start, start + len(group)])
            if low < high:
                chunks.append(group[name].combine_chunks().take(pa.array(wanted[low:high] - start)))
            start += len(group)
    if kind is None:  # no file has a row, and so none a row group
        kind = read(files[0], [name])[name].type
    return pa.chunked_array(chunks, type=kind)


def files_of(everything: tuple[Source, ...], wanted: Places) -> pa.Array:
    """The archive each of these documents lies in."""
    bounds = np.cumsum([rows_in(source.file(EXTRACT)) for source in everything])
    names = pa.array([source.part.path for source in everything], pa.string())
    return names.take(pa.array(np.searchsorted(bounds, wanted, side="right")))


class _Outcomes:
    """A batch's rows in order, a row group at a time."""

    def __init__(self, file: Path) -> None:
        self._groups = row_groups(file, BATCH.names)
        self._waiting = BATCH.empty_table()

    def before(self, end: int) -> Iterator[pa.Table]:
        """The rows of documents before `end` that have not been given yet."""
        while True:
            count = int(np.searchsorted(self._waiting["document"].to_numpy(), end))
            yield self._waiting.slice(0, count)
            self._waiting = self._waiting.slice(count)
            if len(self._waiting) or (group := next(self._groups, None)) is None:
                return
            self._waiting = group


def _write(files: RunFiles, everything: tuple[Source, ...], alive: Mask, decided: list[Path]) -> None:
    """The outcome of every row of this run: what the batches say, or that it is alone."""
    batches = [_Outcomes(file) for file in decided]
    start = 0
    for source in everything:
        if source.earlier:
            start += rows_in(source.file(EXTRACT))
            continue
        with writer(files.out(source.part), SCHEMA, files.part_key(source.part)) as out:
            for group in row_groups(source.file(EXTRACT), ["id"]):
                end = start + len(group)
                found = pa.concat_tables(table for batch in batches for table in batch.before(end))
                found = found.filter(pc.greater_equal(found["document"], start))  # the others are of earlier runs
                place = np.arange(len(group))
                place[found["document"].to_numpy() - start] = len(group) + np.arange(len(found))
                alone = [
                    group["id"],
                    pa.array(np.ones(len(group), np.int32)),
                    pa.nulls(len(group), pa.float32()),
                    pa.nulls(len(group), pa.string()),
                ]
                table = pa.concat_tables([pa.table(alone, schema=SCHEMA), found.select(SCHEMA.names)])
                here = pa.array(place, mask=~alive[start:end])
                out.write_table(table.combine_chunks().take(here))
                start = end


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    options = config.duplicates
    return Options(
        signed=signature_options(config),
        verify=options.verify,
        threshold=options.threshold,
        keep=options.keep,
        plugins=locate(config.plugins),
        memory=options.memory,
    )


def _kernels(options: Options) -> None:
    if options.verify != "none":
        from pipeline.filters.dedup.verify import warm_up

        warm_up()


DOCUMENTS = Step(
    name="duplicates.documents",
    title="choose among copies",
    version=1,
    run=decide,
    options=_options,
    reads=(CANDIDATES_STEP, SIGNATURES, QUALITY, LANGUAGE, EXTRACT),
    whole=True,
    text=True,
    kernels=_kernels,
    compiles=3,
    shows=False,
    columns=lambda: columns(SCHEMA, COLUMNS),
)
