"""`duplicates` on the terminal."""

from rich.console import Console
from rich.table import Column

from pipeline.core.progress import safe
from pipeline.core.screen import counted, table
from pipeline.report.duplicates import Document, Duplicates, Pair, differing_spans
from pipeline.stages.duplicates.outcome import similarity_in_words

SPANS = 6
"""Differing spans shown of a pair."""
SPAN = 160
"""Characters shown of a differing span."""


def show_duplicates(report: Duplicates, console: Console) -> None:
    """The largest clusters, and how many of the similar pairs the bands find."""
    if report.clusters:
        clusters = table("size", "kept document", "URL", right=("size",), title="largest clusters")
        for cluster in report.clusters:
            clusters.add_row(f"{cluster.size:,}", safe(cluster.id), safe(cluster.url or "(no URL, or of another run)"))
        console.print(clusters)
    else:
        console.print("no duplicates")
    bands = report.bands
    shares = f": recall {bands.recall:.3f}" if bands.similar else ""
    shares += f", precision {bands.precision:.3f}" if bands.similar and bands.proposed else ""
    have = "pair has" if bands.similar == 1 else "pairs have"
    console.print(
        f"\namong {counted(bands.documents, 'different text')} ({counted(bands.pairs, 'pair')}), {bands.similar:,} {have} a "
        f"similarity of {bands.threshold:g} or more; the bands propose {bands.proposed:,}{shares}",
        highlight=False,
    )
    if bands.bins:
        numbers = ("pairs", "proposed", "predicted")
        found = table("similarity", *numbers, right=numbers)
        for entry in bands.bins:
            similarity = f"{entry.low:.1f} to {entry.low + 0.1:.1f}"
            found.add_row(similarity, f"{entry.pairs:,}", f"{entry.proposed:.3f}", f"{entry.predicted:.3f}")
        console.print(found)
    console.print(
        f"next: python -m pipeline duplicates {safe(str(report.run))} --sample 5", highlight=False, soft_wrap=True
    )


def show_pair(pair: Pair, console: Console) -> None:
    """Kept and dropped document side by side: where they are from, how similar they are, where they differ."""
    from pipeline.filters.minhash import jaccard

    similarity = similarity_in_words(pair.rule, pair.similarity) or "not compared"
    if pair.kept is None:
        name = safe(str(pair.dropped.url or pair.dropped.id))
        console.print(f"[bold]{name}[/]: duplicates.{pair.rule}, {similarity}; the kept one is not here")
        return
    texts = pair.kept.text or "", pair.dropped.text or ""
    if pair.similarity is None:
        similarity = f"not compared when it was dropped; word 5-grams: {jaccard(*texts):.3f}"
    title = f"duplicates.{pair.rule}: {similarity}"
    sides = table(*(Column(name, ratio=1, overflow="fold") for name in ("kept", "dropped")), title=title)
    sides.expand, sides.columns[0].no_wrap = True, False
    for names in zip(*(_named(document) for document in (pair.kept, pair.dropped)), strict=True):
        if any(names):
            sides.add_row(*map(safe, names))
    sides.add_row(*(f"{len(text):,} characters, {counted(len(text.split()), 'word')}\n" for text in texts))
    spans = differing_spans(*texts)
    for span in spans[:SPANS]:
        sides.add_row(*(safe(text[:SPAN] + ("…" if len(text) > SPAN else "")) for text in span))
    if not spans:
        sides.add_row("(the same words)", "(the same words)")
    if len(spans) > SPANS:
        sides.add_row(f"… {counted(len(spans) - SPANS, 'more place')}", "")
    console.print(sides)
    console.print()


def _named(document: Document) -> tuple[str, str, str]:
    """URL, id and date; empty where it has none."""
    return document.url or "", document.id, document.date or ""
