"""duplicates.documents: compare the candidates, choose the best of each cluster, and write the decisions.

Clusters of candidates are independent, so they are decided in batches that fit the memory budget. Decided batches are on
disk, so that a killed run continues with the next one; at the end they are written out part by part.

In memory: 10 bytes per document (14 beyond 2**31 of them); `PER_MEMBER` bytes per document of the current batch, which are
documents with an equal text or a shared band; and `verify.PER_KEY` bytes per band of its texts to compare.
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
from pipeline.core.engines import Progress
from pipeline.core.fingerprint import unhashed
from pipeline.core.ledger import read, row_groups, rows_in, writer
from pipeline.core.part import EarlierRun, Origins, RunFiles
from pipeline.core.step import Step, columns
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
"""Bytes held per document: alive or not, compared or not, its root, and how many documents its cluster has."""
PER_MEMBER = 400
"""Bytes held per document of the current batch: id, what `keep` asks for (URLs are the longest), ranks, outcome; measured by
tests/benchmarks/duplicates_scale.py."""
ROWS = 1 << 16

Documents = npt.NDArray[np.int64]
OUTCOME = [
    ("cluster", pa.string()),
    ("cluster_size", pa.int32()),
    ("similarity", pa.float32()),
    ("reason", pa.string()),
]
SCHEMA = pa.schema(OUTCOME)
CLUSTERS = {
    "cluster": "id of the document that is kept among the row's copies; its own id if it is kept or has no copies",
    "cluster_size": "number of documents in the cluster, the kept one included",
    "similarity": "Jaccard similarity with the kept document; null where nothing was compared",
}
COLUMNS = CLUSTERS | {"reason": "`exact` or `minhash` where the row is dropped; null where it is kept"}
BATCH = pa.schema([("document", pa.int64()), *OUTCOME, ("outranks", pa.bool_())])


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The clusters that `find_candidates` wrote; arrays are (documents,)."""

    alive: Mask
    compared: Mask
    """The first documents of texts, where their cluster has other texts."""
    roots: Roots
    """The first document of the cluster."""
    documents: npt.NDArray[np.int32]
    """At a root: the number of alive documents in its cluster."""

    def members(self, low: int, high: int) -> Documents:
        """The documents of clusters with several members and a root in [low, high), ascending."""
        members = []
        for start in range(low, self.roots.size, 1 << 20):  # a root is the smallest of its cluster
            roots = self.roots[start : start + (1 << 20)]
            inside = (roots >= low) & (roots < high) & (self.documents[roots] > 1)
            members.append(np.flatnonzero(inside) + start)
        return np.concatenate([np.zeros(0, np.int64), *members])


def read_candidates(files: RunFiles, all_sources: tuple[Source, ...]) -> Candidates:
    """The alive documents, and the roots that `find_candidates` wrote; a document that is not alive is its own root."""
    total = sum(rows_in(source.file(EXTRACT)) for source in all_sources)
    alive, compared = np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    roots: Roots = np.arange(total, dtype=np.int32 if total < 2**31 else np.int64)
    start = 0
    for path, source in zip(candidate_files(files, all_sources), all_sources, strict=True):
        check_rows(path, rows_in(source.file(EXTRACT)))
        for group in row_groups(path, CANDIDATES.names):
            rows = np.arange(start, start + len(group))
            valid = group["text"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
            text, root = (pc.fill_null(group[name], -1).to_numpy() for name in CANDIDATES.names)
            alive[rows[valid]] = True
            roots[rows[valid]] = root[valid]
            # a root is the first document of its text; a cluster with another such document has texts to compare
            second = valid & (text == rows) & (root != rows)
            compared[rows[second]] = compared[root[second]] = True
            start += len(group)
    documents = np.zeros(total, np.int32)  # np.bincount would need twice the memory, and one more array
    np.add.at(documents, roots[alive], 1)
    return Candidates(alive, compared, roots, documents)


def candidate_files(files: RunFiles, all_sources: tuple[Source, ...]) -> list[Path]:
    """The file that `find_candidates` wrote for each part."""
    return [source_file(files, number, source) for number, source in enumerate(all_sources)]


def plan_batches(documents: npt.NDArray[np.int32], room: int) -> list[tuple[int, int]]:
    """Ranges [low, high) of roots whose clusters have at most `room` documents in total; a larger cluster is alone."""
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
    """Plugins whose signals `keep` may name; their code is in the key of the step that measured them."""
    memory: int = unhashed()


def decide(files: RunFiles, options: Options, progress: Progress) -> int:
    """Write for each row the document that is kept, the similarity to it, and why the row is dropped."""
    from pipeline.filters.dedup import verify

    all_sources = sources(files, SIGNATURES, QUALITY)
    total = sum(rows_in(source.file(EXTRACT)) for source in all_sources)
    memory = left_over(total, options.memory, PER_DOCUMENT)
    candidates = read_candidates(files, all_sources)
    member = PER_MEMBER
    if options.verify != "none":
        member += PER_CONTENDER + verify.PER_KEY * options.signed.bands
        memory -= verify.HELD
    largest = int(candidates.documents.max(initial=0))
    if largest > 1 and largest * member > memory:
        needed = (options.memory - memory + largest * member) / 1e6
        raise UserError(f"duplicates.memory: a cluster of {largest:,} documents needs at least {needed:,.0f}MB")
    batches = plan_batches(candidates.documents, memory // member)
    work = Work(files)
    store = Store(files, options.signed, all_sources, candidates.compared) if options.verify != "none" else None
    earlier = sum(rows_in(source.file(EXTRACT)) for source in all_sources if source.earlier)
    # Named by range: a killed run may continue with another budget, and so with other batches.
    decided = [work.folder / f"batch-{low}-{high}.parquet" for low, high in batches]
    for file, (low, high) in zip(decided, batches, strict=True):
        if not file.is_file():
            _decide_batch(files, options, all_sources, candidates, store, candidates.members(low, high), earlier, file)
        progress(high, high)
    _write(files, all_sources, candidates.alive, decided)
    if earlier and files.note:
        _note_outranked(files.note, decided)
    work.clear()
    return int(total - earlier)


def _decide_batch(
    run: RunFiles,
    options: Options,
    all_sources: tuple[Source, ...],
    candidates: Candidates,
    store: Store | None,
    members: Documents,
    earlier: int,
    file: Path,
) -> None:
    """Decide whole clusters, of the documents `members`, and write the outcome of each. In here a document is an index into
    `members`; `earlier` is the number of documents of earlier runs."""
    from pipeline.filters.dedup import verify
    from pipeline.filters.dedup.keep_policy import best_first, parse_keep
    from pipeline.filters.signals import all_signals

    def files(step: Step) -> list[Path]:
        return [source.file(step) for source in all_sources]

    def column(name: str) -> Any:
        if name == "file":
            return files_of(all_sources, members)
        step = {
            "text_bytes": SIGNATURES,
            "language_score": LANGUAGE,
            "date": EXTRACT,
            "url": EXTRACT,
        }
        return of_documents(files(step.get(name, QUALITY)), name, members)

    texts = of_documents(candidate_files(run, all_sources), "text", members).to_numpy()
    ids = of_documents(files(EXTRACT), "id", members).cast(pa.large_string()).combine_chunks()
    indices = np.arange(members.size)
    preferred = best_first(indices, parse_keep(options.keep, all_signals(load(options.plugins).signals)), column, ids)
    roots, exact = (np.searchsorted(members, documents) for documents in (candidates.roots[members], texts))
    settled = int(np.searchsorted(members, earlier))  # documents kept by an earlier run come first
    order = np.concatenate([preferred[preferred < settled], preferred[preferred >= settled]])
    if store is None:
        choice = verify.choose(order, roots, exact)
    else:
        features = store.of(members[candidates.compared[members]])
        similar = verify.jaccard_of_sorted if options.verify == "exact" else verify.share_of_equal
        choice = verify.choose_verified(
            order,
            roots,
            exact,
            lambda index: features(int(texts[index])),
            similar,
            options.threshold,
            settled=lambda index: index < settled,
        )
    rank = np.empty(members.size, np.int64)
    rank[preferred] = indices
    outranks = (choice.kept < settled) & (indices >= settled) & (rank < rank[choice.kept])
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
    """Why each document is dropped; null where it is kept."""
    own = np.arange(choice.kept.size)
    exact, goes = choice.exact, choice.kept != own
    if drops_all:  # the representative too: as an exact copy if all its copies are exact, else as a near copy
        near = np.zeros(own.size, np.bool_)
        near[choice.kept[goes & ~exact]] = True
        exact, goes = exact | (~goes & ~near), sizes > 1
    return pc.if_else(pa.array(goes), pc.if_else(pa.array(exact), "exact", "minhash"), pa.scalar(None, pa.string()))


def _note_outranked(note: Callable[[str], None], files: list[Path]) -> None:
    """Note where a run against an earlier one differs from a run over both: documents that the earlier run kept are final."""
    better = sum(pc.sum(group["outranks"]).as_py() or 0 for file in files for group in row_groups(file, ["outranks"]))
    if better:
        note(
            f"{better:,} documents are dropped as copies of an earlier run's although duplicates.keep prefers them; "
            f"a run over both inputs would keep them"
        )


def of_documents(files: list[Path], name: str, documents: Documents) -> pa.ChunkedArray:
    """A column's values for some documents, given in ascending order; only these values are held in memory."""
    chunks, start, kind = [], 0, None
    for file in files:
        for group in row_groups(file, [name]):
            kind = group[name].type
            low, high = np.searchsorted(documents, [start, start + len(group)])
            if low < high:
                chunks.append(group[name].combine_chunks().take(pa.array(documents[low:high] - start)))
            start += len(group)
    if kind is None:  # no file has a row group, because none has rows
        kind = read(files[0], [name])[name].type
    return pa.chunked_array(chunks, type=kind)


def files_of(all_sources: tuple[Source, ...], documents: Documents) -> pa.Array:
    """The path of the input file of each of these documents."""
    bounds = np.cumsum([0, *(rows_in(source.file(EXTRACT)) for source in all_sources)])
    cuts = np.searchsorted(documents, bounds)
    chunks = []
    for source, start, low, high in zip(all_sources, bounds[:-1], cuts[:-1], cuts[1:], strict=True):
        if low < high:
            origins = Origins.of(source.part, source.file(EXTRACT), 0)
            chunks.append(origins.paths(documents[low:high] - start))
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())


class _Outcomes:
    """The rows of a decided batch in order, read a row group at a time."""

    def __init__(self, file: Path) -> None:
        self._groups = row_groups(file, BATCH.names)
        self._waiting = BATCH.empty_table()

    def before(self, end: int) -> Iterator[pa.Table]:
        """The rows of documents before `end` that have not been yielded yet."""
        while True:
            count = int(np.searchsorted(self._waiting["document"].to_numpy(), end))
            yield self._waiting.slice(0, count)
            self._waiting = self._waiting.slice(count)
            if len(self._waiting) or (group := next(self._groups, None)) is None:
                return
            self._waiting = group


def _write(files: RunFiles, all_sources: tuple[Source, ...], alive: Mask, decided: list[Path]) -> None:
    """Write the outcome of every row of this run: the one of its batch, or that it has no copies."""
    batches = [_Outcomes(file) for file in decided]
    start = 0
    for source in all_sources:
        if source.earlier:
            start += rows_in(source.file(EXTRACT))
            continue
        with writer(files.out(source.part), SCHEMA, files.part_key(source.part)) as out:
            for group in row_groups(source.file(EXTRACT), ["id"]):
                end = start + len(group)
                outcomes = pa.concat_tables(table for batch in batches for table in batch.before(end))
                outcomes = outcomes.filter(pc.greater_equal(outcomes["document"], start))  # others are of earlier runs
                row = np.arange(len(group))
                row[outcomes["document"].to_numpy() - start] = len(group) + np.arange(len(outcomes))
                alone = [
                    group["id"],
                    pa.array(np.ones(len(group), np.int32)),
                    pa.nulls(len(group), pa.float32()),
                    pa.nulls(len(group), pa.string()),
                ]
                table = pa.concat_tables([pa.table(alone, schema=SCHEMA), outcomes.select(SCHEMA.names)])
                rows = pa.array(row, mask=~alive[start:end])
                out.write_table(table.combine_chunks().take(rows))
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
