"""`duplicates` on the terminal."""

from rich.console import Console
from rich.table import Table

from pipeline.core.progress import safe
from pipeline.report.duplicates import Duplicates, Pair, differing_spans
from pipeline.stages.duplicates.outcome import similarity_in_words

SPANS = 6
"""Differing spans shown of a pair."""
SPAN = 160
"""Characters shown of a differing span."""


def show_duplicates(report: Duplicates, console: Console) -> None:
    """The largest clusters, and how many of the similar pairs the bands find."""
    clusters = Table("size", "kept document", "URL", title="largest clusters", title_justify="left")
    for cluster in report.clusters:
        clusters.add_row(f"{cluster.size:,}", safe(cluster.id), safe(cluster.url or "(not here)"))
    console.print(clusters)
    bands = report.bands
    console.print(
        f"among {bands.documents:,} different texts ({bands.pairs:,} pairs), {bands.similar:,} pairs have a similarity of "
        f"{bands.threshold:g} or more; the bands propose {bands.proposed:,}: "
        f"recall {bands.recall:.3f}, precision {bands.precision:.3f}",
        highlight=False,
    )
    table = Table("similarity", "pairs", "proposed", "predicted", title="what the bands find", title_justify="left")
    for entry in bands.bins:
        similarity = f"{entry.low:.1f} to {entry.low + 0.1:.1f}"
        table.add_row(similarity, f"{entry.pairs:,}", f"{entry.proposed:.3f}", f"{entry.predicted:.3f}")
    console.print(table)
    console.print(f"next: python -m pipeline duplicates {report.run} --sample 5", highlight=False, soft_wrap=True)


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
    table = Table("kept", "dropped", title=title, title_justify="left", expand=True)
    table.add_row(*(safe(f"{document.url}\n{document.id}  {document.date}") for document in (pair.kept, pair.dropped)))
    table.add_row(*(f"{len(text):,} characters, {len(text.split()):,} words" for text in texts), end_section=True)
    spans = differing_spans(*texts)
    for span in spans[:SPANS]:
        table.add_row(*(safe(text[:SPAN] + ("…" if len(text) > SPAN else "")) for text in span))
    if not spans:
        table.add_row("(the same words)", "(the same words)")
    if len(spans) > SPANS:
        table.add_row(f"… {len(spans) - SPANS:,} more places", "")
    console.print(table)
