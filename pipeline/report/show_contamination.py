"""`contamination` on the terminal."""

from rich.console import Console
from rich.table import Table

from pipeline.core.progress import safe
from pipeline.report.contamination import Contamination, Holder

DOCUMENTS = 3
"""Shown of each item."""


def show_contamination(report: Contamination, console: Console) -> None:
    """The items, and a few documents of each."""
    console.print(
        f"{len(report.matches):,} of {report.items:,} items have {report.ngram}-grams in "
        f"{report.documents:,} documents; {report.short:,} are too short to be found",
        highlight=False,
    )
    if not report.matches:
        return
    table = Table("item", "share of its n-grams", "document", "")
    table.columns[1].justify = "right"
    for match in report.matches:
        for holder in match.documents[:DOCUMENTS]:
            table.add_row(safe(match.item), f"{holder.share:.0%}", safe(str(holder.url or holder.id)), _outcome(holder))
        if (more := len(match.documents) - DOCUMENTS) > 0:
            table.add_row("", "", f"and {more:,} more (--json has all)", "")
    console.print(table)


def _outcome(holder: Holder) -> str:
    if not holder.kept:
        return "dropped"
    return "cut out" if holder.cut else "kept"
