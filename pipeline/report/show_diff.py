"""`diff` on the terminal."""

from rich.console import Console
from rich.text import Text

from pipeline.core.progress import safe
from pipeline.core.screen import counted, paragraph, table
from pipeline.report.diff import Diff
from pipeline.run.run import Run


def show_diff(first: Run, second: Run, report: Diff, console: Console) -> None:
    """The counts, the rules that make the difference, and a few documents of each kind."""
    neither = report.neither - report.not_pages
    texts = f", {report.other_text:,} of them with other text" if report.other_text else ""
    console.print(f"kept by both {report.both:,}{texts}; by neither {neither:,}", highlight=False)
    for run, other, count in ((first, second, report.unmatched), (second, first, report.unmatched_second)):
        if count:
            records = counted(count, "record")
            console.print(f"{records} of {safe(str(run.root))} not in {safe(str(other.root))}", highlight=False)
    sides = (
        (first, second, report.first, report.first_because, report.examples.first),
        (second, first, report.second, report.second_because, report.examples.second),
    )
    for run, other, count, because, examples in sides:
        console.print(f"\n[bold]kept only by {safe(str(run.root))}: {count:,}[/]", highlight=False, soft_wrap=True)
        if not count:
            continue
        rules = table("documents", f"rule of {safe(str(other.root))} that drops them", right=("documents",))
        for rule, documents in because.items():
            rules.add_row(f"{documents:,}", safe(rule))
        console.print(rules)
        for example in examples:
            console.print(f"  {safe(example.url or example.id)}", highlight=False, soft_wrap=True)
            paragraph(Text.from_markup(safe(", ".join(example.dropped))), console, indent=4)
