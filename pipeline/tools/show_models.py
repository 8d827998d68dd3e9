"""`classifier train` and `perplexity train` on the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column

from pipeline.core.progress import safe
from pipeline.core.screen import byte_size, counted, table
from pipeline.tools.models import PerplexityTraining

if TYPE_CHECKING:
    from pipeline.filters.classifier import QualityClassifier


def show_classifier(model: "QualityClassifier", out: Path, console: Console) -> None:
    """The held-out figures and the histogram."""
    report = model.report
    console.print(
        f"trained on {counted(report.training, 'text')}, half of each side; held out {report.held_out:,}: "
        f"precision {report.precision:.3f}, recall {report.recall:.3f} at a score of 0.5",
        highlight=False,
    )
    shown = table("score", "good", "bad", Column("", no_wrap=True), right=("good", "bad"), title="held-out texts")
    bins, highest = len(report.good), max(*report.good, *report.bad, 1)
    for k, (good, bad) in enumerate(zip(report.good, report.bad, strict=True)):
        bar = f"[green]{'█' * -(-good * 30 // highest)}[/][red]{'░' * -(-bad * 30 // highest)}[/]"
        shown.add_row(f"{k / bins:.2f} to {(k + 1) / bins:.2f}", f"{good:,}", f"{bad:,}", bar)
    console.print(shown)
    console.print(f"{safe(str(out))}, {safe(str(out))}.json", highlight=False, soft_wrap=True)
    commands = model.about.get("commands")
    if commands:
        console.print(f"texts with one of {len(commands)} commands: {', '.join(commands[:8])}, …", highlight=False)
    name, bound = ("math", "min = 0.8") if commands else ("quality_score", "top = 0.1")
    console.print(
        f'next, in a config:\n[scores.{name}]\nkind = "fasttext"\nmodel = "{out}"\n[quality]\n{name} = {{ {bound} }}',
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def show_perplexity(training: PerplexityTraining, out: Path, console: Console) -> None:
    """What was trained, and what to do with it."""
    counts = ", ".join(f"{count:,}" for count in training.ngrams)
    console.print(f"trained on {training.words:,} words; n-grams by order: {counts}", highlight=False)
    console.print(f"{safe(str(out))}, {byte_size(out.stat().st_size)}", highlight=False, soft_wrap=True)
    console.print(
        f'next, in a config (keeps CCNet\'s head and middle):\n[scores.perplexity]\nkind = "perplexity"\nmodel = "{out}"\n'
        '[quality]\nperplexity = { bottom = 0.6, by = "language" }',
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
