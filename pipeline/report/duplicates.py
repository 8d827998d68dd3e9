"""A look at what the duplicates stage did: the largest clusters, pairs side by side, and how much the bands find."""

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from pipeline.core.ledger import Part, read
from pipeline.core.progress import safe
from pipeline.errors import UserError
from pipeline.report.why import find, row_of, text_of
from pipeline.run.run import Run, earlier_runs
from pipeline.stages.duplicates.outcome import DUPLICATES
from pipeline.stages.duplicates.signatures import SIGNATURES, band_names
from pipeline.stages.duplicates.verify import DOCUMENTS
from pipeline.stages.extract import EXTRACT

LARGEST = 10
MEASURED = 1_000  # documents among which all pairs are compared
SPAN = 160  # characters shown of a differing span
SPANS = 6
WORDS = 3_000  # of a text that are compared word by word


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A dropped document and the kept one it goes for; texts are None where nobody has them any more."""

    rule: str
    similarity: float | None
    dropped: dict[str, Any]
    kept: dict[str, Any] | None


def check_decided(run: Run) -> None:
    """The run has come as far as its duplicates."""
    if not run.is_done(DUPLICATES):
        raise UserError(f"{run.root}: its duplicates are not decided; python -m pipeline run goes on")


def dropped_rows(run: Run) -> Iterator[tuple[Part, pa.Table]]:
    """The rows that went for another document, a part at a time, with their place."""
    for part in run.parts:
        table = read(run.file(DOCUMENTS, part), ["cluster", "cluster_size", "similarity", "reason"])
        goes = pc.is_valid(table["reason"])
        table = table.append_column("row", pa.array(np.arange(len(table))))
        yield part, table.filter(goes)


def largest_clusters(run: Run) -> list[tuple[str, int]]:
    """(kept document's id, size), the largest first."""
    sizes: dict[str, int] = {}
    for _, table in dropped_rows(run):
        best = table.sort_by([("cluster_size", "descending"), ("cluster", "ascending")])
        seen = dict(zip(best["cluster"].to_pylist(), best["cluster_size"].to_pylist(), strict=True))
        sizes = dict(sorted((sizes | seen).items(), key=lambda entry: (-entry[1], entry[0]))[:LARGEST])
    return list(sizes.items())


def pairs(run: Run, *, cluster: str | None = None, url: str | None = None, count: int = 20) -> Iterator[Pair]:
    """Dropped documents beside the kept ones: of a cluster, of a URL or id, or a fixed choice by the hash of their ids."""
    places = set(find(run, url)) if url else None
    if places is not None and not places:
        raise UserError(f"--url {url}: no such URL or document id in {run.root}")
    chosen: list[tuple[bytes, Part, int]] = []
    for part, table in dropped_rows(run):
        if cluster:
            table = table.filter(pc.equal(table["cluster"], cluster))
        for row in table["row"].to_pylist():
            if places is None or (part, row) in places:
                chosen.append((hashlib.blake2b(f"{part.name} {row}".encode()).digest(), part, row))
        chosen = sorted(chosen, key=lambda entry: entry[0])[:count]
    if not chosen:
        what = f"--cluster {cluster}" if cluster else f"--url {url}" if url else str(run.root)
        raise UserError(f"{what}: the duplicates stage dropped nothing there")
    for _, part, row in chosen:
        decided = row_of(run, DOCUMENTS, part, row)
        assert decided is not None
        yield Pair(
            rule=decided["reason"],
            similarity=decided["similarity"],
            dropped=_record_at(run, part, row),
            kept=_record(run, decided["cluster"]),
        )


def _record(run: Run, document: str) -> dict[str, Any] | None:
    """The extract of a document by its id, in this run or in those it was run against."""
    for place in (run, *earlier_runs(run.config)):
        for part, row in find(place, document):
            return _record_at(place, part, row)
    return None


def _record_at(run: Run, part: Part, row: int) -> dict[str, Any]:
    """The extract of a row, with its text as it was compared."""
    record = row_of(run, EXTRACT, part, row)
    assert record is not None
    return record | {"text": text_of(run, part, row)}


def differing_spans(kept: str, dropped: str) -> list[tuple[str, str]]:
    """What stands in one text only, word by word: (in the kept one, in the dropped one)."""
    one, other = kept.split()[:WORDS], dropped.split()[:WORDS]
    matcher = difflib.SequenceMatcher(a=one, b=other, autojunk=False)
    return [(" ".join(one[a:b]), " ".join(other[c:d])) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]


def show_pair(pair: Pair, console: Console) -> None:
    """Kept and dropped side by side: where they are from, how alike they are, where they differ."""
    from pipeline.filters.minhash import jaccard

    alike = "not compared" if pair.similarity is None else f"similarity {pair.similarity:.3f}"
    if pair.kept is None:
        console.print(
            f"[bold]{safe(pair.dropped['url'])}[/]: duplicates.{pair.rule}, {alike}; the kept one is not here"
        )
        return
    texts = pair.kept["text"] or "", pair.dropped["text"] or ""
    if pair.similarity is None:
        alike = f"not compared when it was dropped; word 5-grams: {jaccard(*texts):.3f}"
    table = Table("kept", "dropped", title=f"duplicates.{pair.rule}: {alike}", title_justify="left", expand=True)
    table.add_row(*(safe(f"{record['url']}\n{record['id']}  {record['date']}") for record in (pair.kept, pair.dropped)))
    table.add_row(*(f"{len(text):,} characters, {len(text.split()):,} words" for text in texts), end_section=True)
    spans = differing_spans(*texts)
    for span in spans[:SPANS]:
        table.add_row(*(safe(text[:SPAN] + ("…" if len(text) > SPAN else "")) for text in span))
    if not spans:
        table.add_row("(the same words)", "(the same words)")
    if len(spans) > SPANS:
        table.add_row(f"… {len(spans) - SPANS:,} more places", "")
    console.print(table)


def measure(run: Run) -> dict[str, Any]:
    """Among a sample of documents, every pair's exact Jaccard similarity beside what the bands proposed.

    `{"documents", "pairs", "similar", "proposed", "both", "bins": [(low, pairs, proposed share, predicted share)]}`.
    """
    from pipeline.filters.dedup.shingles import shingle_hashes
    from pipeline.filters.dedup.verify import jaccard_of_sorted
    from pipeline.filters.minhash import candidate_probability

    options = run.config.duplicates
    names = band_names(options.bands)
    chosen: list[tuple[bytes, list[Any], str]] = []
    for part in run.parts:
        signed = read(run.file(SIGNATURES, part), ["content_hash", *names])
        decided = read(run.file(DUPLICATES, part), ["dropped"])["dropped"]
        texts = pa.chunked_array(run.part_files(DOCUMENTS, part).texts(), pa.string())
        alive = pc.indices_nonzero(pc.and_(pc.is_valid(decided), pc.is_valid(signed[names[0]])))
        taken = signed.take(alive)
        keys = list(zip(*(taken[name].to_pylist() for name in names), strict=True))
        hashes = taken["content_hash"].to_pylist()
        rows = zip(hashes, keys, alive.to_pylist(), strict=True)
        chosen += [(digest, list(key), str(texts[row])) for digest, key, row in sorted(rows)[:MEASURED]]
        chosen = sorted({entry[0]: entry for entry in chosen}.values(), key=lambda entry: entry[0])[:MEASURED]
    sets = [np.unique(found) for found in shingle_hashes([text for _, _, text in chosen], options.ngram, options.unit)]
    bins = [[0, 0, 0.0] for _ in range(10)]
    similar = proposed = both = 0
    for i in range(len(chosen)):
        for j in range(i):
            sizes = sorted((sets[i].size, sets[j].size))
            met = any(a == b for a, b in zip(chosen[i][1], chosen[j][1], strict=True))
            if not met and sizes[0] < 0.1 * sizes[1]:
                continue
            value = float(jaccard_of_sorted(sets[i], sets[j]))
            proposed += met
            similar += value >= options.threshold
            both += met and value >= options.threshold
            if value < 0.1:
                continue
            place = bins[min(9, int(value * 10))]
            place[0] += 1
            place[1] += met
            place[2] += float(candidate_probability(value, options.bands, options.rows))
    return {
        "documents": len(chosen),
        "pairs": len(chosen) * (len(chosen) - 1) // 2,
        "similar": similar,
        "proposed": proposed,
        "both": both,
        "bins": [(n / 10, count, hit / count, sure / count) for n, (count, hit, sure) in enumerate(bins) if count],
    }


def show_overview(run: Run, console: Console) -> None:
    """The largest clusters, how alike the dropped ones were, and what the bands find of what there is."""
    clusters = Table("size", "kept document", "URL", title="largest clusters", title_justify="left")
    for document, size in largest_clusters(run):
        record = _record(run, document)
        clusters.add_row(f"{size:,}", document, safe(str(record["url"]) if record else "(not here)"))
    console.print(clusters)
    found = measure(run)
    threshold = run.config.duplicates.threshold
    recall = found["both"] / found["similar"] if found["similar"] else float("nan")
    precision = found["both"] / found["proposed"] if found["proposed"] else float("nan")
    console.print(
        f"among {found['documents']:,} different texts ({found['pairs']:,} pairs): {found['similar']:,} pairs are "
        f"{threshold:g} similar or more; the bands propose {found['proposed']:,}: "
        f"recall {recall:.3f}, precision {precision:.3f}",
        highlight=False,
    )
    table = Table(
        "similarity", "pairs", "proposed", "the S-curve says", title="what the bands find", title_justify="left"
    )
    for low, count, share, predicted in found["bins"]:
        table.add_row(f"{low:.1f} to {low + 0.1:.1f}", f"{count:,}", f"{share:.3f}", f"{predicted:.3f}")
    console.print(table)
    console.print(f"next: python -m pipeline duplicates {run.root} --sample 5", highlight=False, soft_wrap=True)
