"""`diff` on the terminal."""

from rich.console import Console
from rich.table import Table

from pipeline.core.progress import safe
from pipeline.report.diff import Diff
from pipeline.run.run import Run


def show_diff(first: Run, second: Run, report: Diff, console: Console) -> None:
    """The counts, the rules that make the difference, and a few documents of each kind."""
    console.print(f"kept by both {report.both:,}, by neither {report.neither:,}", highlight=False)
    if report.unmatched:
        console.print(f"{report.unmatched:,} records of {first.root} are not in {second.root}", highlight=False)
    sides = (
        (first, second, report.first, report.first_because, report.examples.first),
        (second, first, report.second, report.second_because, report.examples.second),
    )
    for run, other, count, because, examples in sides:
        console.print(f"\n[bold]kept only by {run.root}: {count:,}[/]", highlight=False, soft_wrap=True)
        if not count:
            continue
        table = Table(f"rule of {other.root} that drops it", "documents")
        table.columns[1].justify = "right"
        for rule, documents in because.items():
            table.add_row(safe(rule), f"{documents:,}")
        console.print(table)
        for example in examples:
            reasons = safe(", ".join(example.dropped))
            console.print(f"  {safe(str(example.url))}   {reasons}", highlight=False, soft_wrap=True)
