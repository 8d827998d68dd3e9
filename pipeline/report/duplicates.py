"""What the duplicates stage did: the largest clusters, pairs side by side, and how many similar pairs the bands find."""

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import Part, read
from pipeline.errors import UserError
from pipeline.report.rows import Row, find, rows_of, texts_of
from pipeline.run.run import AGAINST, Run, earlier_runs
from pipeline.stages.duplicates.candidates import CANDIDATES_STEP
from pipeline.stages.duplicates.outcome import DUPLICATES
from pipeline.stages.duplicates.signatures import SIGNATURES, band_names
from pipeline.stages.duplicates.verify import DOCUMENTS
from pipeline.stages.extract import EXTRACT

LARGEST = 10
"""Clusters listed."""
MEASURED = 1_000
"""Documents among which all pairs are compared."""
WORDS = 3_000
"""Words of a text that are compared one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document of a pair."""

    id: str
    url: str | None
    date: str | None
    text: str | None
    """As it was compared: what the edits have left, or what was extracted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A dropped document and the kept one that it is a copy of."""

    rule: str
    """"exact", "minhash" or another rule of the stage."""
    similarity: float | None
    """Jaccard similarity, where the two were compared."""
    dropped: Document
    kept: Document | None
    """None where neither this run nor one it was run against has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A kept document and its copies."""

    id: str
    """Of the kept document."""
    size: int
    """Documents, the kept one among them."""
    url: str | None
    """Of the kept document; None where it has none, or is not in this run or those it was run against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Pairs of one range of similarity."""

    low: float
    """The smallest similarity of the bin, which is 0.1 wide."""
    pairs: int
    proposed: float
    """Share of the pairs that the bands proposed."""
    predicted: float
    """Share that they should propose: the S-curve 1 - (1 - s ^ rows) ^ bands, over the pairs' similarities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandReport:
    """Among a sample of documents, every pair's exact Jaccard similarity beside what the bands proposed."""

    documents: int
    """Different texts in the sample."""
    pairs: int
    threshold: float
    """Pairs of this similarity or more are duplicates."""
    similar: int
    """Pairs at or above the threshold."""
    proposed: int
    """Pairs that the bands proposed."""
    both: int
    """Pairs that are similar and were proposed."""
    bins: tuple[Bin, ...]
    """Of similarity 0.1 and more; empty bins are left out."""

    @property
    def recall(self) -> float:
        """Share of the similar pairs that were proposed; NaN where there are none."""
        return self.both / self.similar if self.similar else float("nan")

    @property
    def precision(self) -> float:
        """Share of the proposed pairs that are similar; NaN where there are none."""
        return self.both / self.proposed if self.proposed else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """An overview of the stage."""

    run: str
    """The run directory."""
    clusters: tuple[Cluster, ...]
    """The `LARGEST` largest."""
    bands: BandReport


def duplicates(run: Run) -> Duplicates:
    """The largest clusters, and how well the bands find similar pairs. UserError where duplicates are not decided."""
    check_decided(run)
    sizes = largest_clusters(run)
    documents = _kept_documents(run, [place for place, _ in sizes], texts=False)
    clusters = tuple(
        Cluster(id=place[1], size=size, url=documents[place].url if place in documents else None)
        for place, size in sizes
    )
    return Duplicates(run=str(run.root), clusters=clusters, bands=measure_bands(run))


def check_decided(run: Run) -> None:
    """UserError where the run has not finished its duplicates stage."""
    if not run.is_done(DUPLICATES):
        raise UserError(f"{run.root}: its duplicates stage is not finished; run the same command again to finish it")


def dropped_rows(run: Run) -> Iterator[tuple[Part, pa.Table]]:
    """The documents dropped as copies, a part at a time: cluster, cluster_size, similarity, reason, candidates, row."""
    for part in run.parts:
        table = read(run.file(DOCUMENTS, part), ["cluster", "cluster_size", "similarity", "reason"])
        table = table.append_column("candidates", _candidates(run.file(CANDIDATES_STEP, part)))
        table = table.append_column("row", pa.array(np.arange(len(table))))
        yield part, table.filter(pc.is_valid(table["reason"]))


def _candidates(path: Path) -> pa.ChunkedArray:
    """The number of the first document of each row's candidates: documents of other candidates are no copies."""
    return read(path, ["candidates"])["candidates"]


Kept = tuple[int, str]
"""Which document is kept, as a dropped row says it: the number of its candidates, and its id, which need not be unique."""


def largest_clusters(run: Run) -> list[tuple[Kept, int]]:
    """The kept document and the size of each cluster, the largest first."""
    sizes: dict[Kept, int] = {}
    for _, table in dropped_rows(run):
        kept = zip(table["candidates"].to_pylist(), table["cluster"].to_pylist(), strict=True)
        sizes |= dict(zip(kept, table["cluster_size"].to_pylist(), strict=True))
        sizes = dict(sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0][1], entry[0][0]))[:LARGEST])
    return list(sizes.items())


def duplicate_pairs(run: Run, *, cluster: str | None = None, url: str | None = None, count: int = 20) -> Iterator[Pair]:
    """At most `count` dropped documents beside the kept ones: of a cluster, of a URL or id, or of the whole run.

    The choice is by the hash of part and row, so that it is the same each time. UserError where nothing was dropped.
    """
    check_decided(run)
    of_url = set(find(run, url)) if url else None
    if of_url is not None and not of_url:
        raise UserError(f"--url {url}: no such URL or document id in {run.root}")
    chosen: list[tuple[bytes, Part, int]] = []
    for part, table in dropped_rows(run):
        if cluster:
            table = table.filter(pc.equal(table["cluster"], cluster))
        for row in table["row"].to_pylist():
            if of_url is None or (part, row) in of_url:
                chosen.append((hashlib.blake2b(f"{part.name} {row}".encode()).digest(), part, row))
        chosen = sorted(chosen, key=lambda entry: entry[0])[:count]
    if not chosen:
        where = f"--cluster {cluster}" if cluster else f"--url {url}" if url else str(run.root)
        raise UserError(f"{where}: the duplicates stage dropped nothing there")
    places = [(part, row) for _, part, row in chosen]
    decisions: dict[tuple[Part, int], Row] = {}
    for part, rows in _by_part(places):
        candidates = rows_of(run, CANDIDATES_STEP, part, rows, ["candidates"]) or ()
        decided = rows_of(run, DOCUMENTS, part, rows) or ()
        for row, one, other in zip(rows, decided, candidates, strict=True):
            decisions[part, row] = {**one, **other}
    dropped = _documents_at(run, places)
    kept = _kept_documents(run, [(d["candidates"], d["cluster"]) for d in decisions.values()])
    for place in places:
        decision = decisions[place]
        yield Pair(
            rule=decision["reason"],
            similarity=decision["similarity"],
            dropped=dropped[place],
            kept=kept.get((decision["candidates"], decision["cluster"])),
        )


def _by_part(places: Iterable[tuple[Part, int]]) -> list[tuple[Part, list[int]]]:
    """(part, row) by part, so that each of a part's files is opened once for all of its rows."""
    rows: dict[int, tuple[Part, list[int]]] = {}
    for part, row in places:
        rows.setdefault(part.index, (part, []))[1].append(row)
    return list(rows.values())


def _documents_at(
    run: Run, places: Iterable[tuple[Part, int]], *, texts: bool = True
) -> dict[tuple[Part, int], Document]:
    """The documents of these rows (part, row), with their texts or without."""
    documents = {}
    for part, rows in _by_part(places):
        names = rows_of(run, EXTRACT, part, rows, ["id", "url", "date"])
        assert names is not None
        columns = texts_of(run, part, rows) if texts else [None] * len(rows)
        for row, name, text in zip(rows, names, columns, strict=True):
            documents[part, row] = Document(**name, text=text)
    return documents


def _kept_documents(run: Run, kept: Sequence[Kept], *, texts: bool = True) -> dict[Kept, Document]:
    """Kept documents, of this run or of those it was run against."""
    documents: dict[Kept, Document] = {}
    number = 0
    for source in (*earlier_runs(run.config), run):
        places: dict[Kept, tuple[Part, int]] = {}
        for part in source.parts:
            path = run.file(CANDIDATES_STEP, part)
            if source is not run:
                path = path.with_name(f"{AGAINST}{number:05d}.parquet")
                number += 1
            for found, row in _kept_rows(source, part, path, kept):
                places.setdefault(found, (part, row))
        by_place = _documents_at(source, places.values(), texts=texts)
        documents = {found: by_place[place] for found, place in places.items()} | documents
    return documents


def _kept_rows(source: Run, part: Part, candidates: Path, kept: Sequence[Kept]) -> list[tuple[Kept, int]]:
    """Those of the kept documents that a part has, with their rows."""
    decided = read(source.file(DOCUMENTS, part), ["cluster", "reason"])
    table = pa.table(
        {
            "candidates": _candidates(candidates),
            "id": read(source.file(EXTRACT, part), ["id"])["id"],
            "cluster": decided["cluster"],
            "dropped": pc.is_valid(decided["reason"]),
            "row": pa.array(np.arange(len(decided))),
        }
    )
    own = pc.and_(pc.equal(table["id"], table["cluster"]), pc.is_in(table["id"], pa.array([name for _, name in kept])))
    rows = table.filter(pc.fill_null(own, False)).sort_by([("dropped", "ascending"), ("row", "ascending")]).to_pylist()
    return [(found, row["row"]) for row in rows if (found := (row["candidates"], row["id"])) in set(kept)]


def differing_spans(kept: str, dropped: str) -> list[tuple[str, str]]:
    """Where the texts differ, word by word: (words of the kept one, words of the dropped one)."""
    words = kept.split()[:WORDS], dropped.split()[:WORDS]
    matcher = difflib.SequenceMatcher(a=words[0], b=words[1], autojunk=False)
    return [
        (" ".join(words[0][a:b]), " ".join(words[1][c:d]))
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """A document of the sample: the hash of its content, its key in each band, its text."""

    content_hash: bytes
    keys: tuple[object, ...]
    text: str


def measure_bands(run: Run) -> BandReport:
    """Compare all pairs of a fixed sample of `MEASURED` different texts, and count which of them the bands proposed."""
    from pipeline.filters.dedup.shingles import shingle_hashes
    from pipeline.filters.dedup.verify import jaccard_of_sorted
    from pipeline.filters.minhash import candidate_probability

    options = run.config.duplicates
    sample = _signed_sample(run)
    texts = [document.text for document in sample]
    sets = [np.unique(hashes) for hashes in shingle_hashes(texts, options.ngram, options.unit)]
    pairs, proposed_pairs, predicted = [0] * 10, [0] * 10, [0.0] * 10  # by bin
    similar = proposed = both = 0
    for i in range(len(sample)):
        for j in range(i):
            meet = any(a == b for a, b in zip(sample[i].keys, sample[j].keys, strict=True))
            smaller, larger = sorted((sets[i].size, sets[j].size))
            if not meet and smaller < 0.1 * larger:
                continue  # their similarity is below 0.1
            similarity = float(jaccard_of_sorted(sets[i], sets[j]))
            proposed += meet
            similar += similarity >= options.threshold
            both += meet and similarity >= options.threshold
            if similarity < 0.1:
                continue
            tenth = min(9, int(similarity * 10))
            pairs[tenth] += 1
            proposed_pairs[tenth] += meet
            predicted[tenth] += float(candidate_probability(similarity, options.bands, options.rows))
    return BandReport(
        documents=len(sample),
        pairs=len(sample) * (len(sample) - 1) // 2,
        threshold=options.threshold,
        similar=similar,
        proposed=proposed,
        both=both,
        bins=tuple(
            Bin(
                low=number / 10,
                pairs=count,
                proposed=proposed_pairs[number] / count,
                predicted=predicted[number] / count,
            )
            for number, count in enumerate(pairs)
            if count
        ),
    )


def _signed_sample(run: Run) -> list[_Signed]:
    """The `MEASURED` different texts of the smallest content hashes, among those that came to the stage."""
    names = band_names(run.config.duplicates.bands)
    sample: dict[bytes, _Signed] = {}
    for part in run.parts:
        signatures = read(run.file(SIGNATURES, part), ["content_hash", *names])
        decided = read(run.file(DUPLICATES, part), ["dropped"])["dropped"]
        texts = pa.chunked_array(run.part_files(DOCUMENTS, part).texts(), pa.string())
        rows = pc.indices_nonzero(pc.and_(pc.is_valid(decided), pc.is_valid(signatures[names[0]])))
        signed = signatures.take(rows)
        keys = zip(*(signed[name].to_pylist() for name in names), strict=True)
        smallest = sorted(zip(signed["content_hash"].to_pylist(), keys, rows.to_pylist(), strict=True))[:MEASURED]
        for content_hash, document_keys, row in smallest:
            sample[content_hash] = _Signed(content_hash=content_hash, keys=document_keys, text=str(texts[row]))
        sample = dict(sorted(sample.items())[:MEASURED])
    return list(sample.values())
