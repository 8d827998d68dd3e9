"""`contamination` on the terminal."""

from rich.console import Console

from pipeline.core.progress import safe
from pipeline.core.screen import counted, table
from pipeline.report.contamination import Contamination, Holder

DOCUMENTS = 3
"""Shown of each item."""


def show_contamination(report: Contamination, console: Console) -> None:
    """The items, and a few documents of each."""
    too_short = f"; {counted(report.short, 'item')} too short to be found" if report.short else ""
    console.print(
        f"{len(report.matches):,} of {counted(report.items, 'item')} found: their {report.ngram}-grams are in "
        f"{counted(report.documents, 'document')}{too_short}",
        highlight=False,
    )
    if not report.matches:
        return
    found = table("share of its n-grams", "item", "document", "outcome", right=("share of its n-grams",))
    found.columns[0].no_wrap = False
    for match in report.matches:
        for holder in match.documents[:DOCUMENTS]:
            found.add_row(f"{holder.share:.0%}", safe(match.item), safe(str(holder.url or holder.id)), _outcome(holder))
        if (more := len(match.documents) - DOCUMENTS) > 0:
            found.add_row("", "", f"and {more:,} more (--json has all)", "")
    console.print(found)


def _outcome(holder: Holder) -> str:
    if not holder.kept:
        return "dropped"
    return "cut out" if holder.cut else "kept"
