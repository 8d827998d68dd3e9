"""`suggest` on the terminal, and its histograms as a picture."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Column

from pipeline.core.screen import table
from pipeline.errors import UserError
from pipeline.files import atomic
from pipeline.filters.thresholds import FloatArray
from pipeline.report.suggest import SuggestedRule, Suggestions

WIDE = 110
"""Columns from which on there is room for the densities."""
_BARS = " ▁▂▃▄▅▆▇█"


def show_suggestions(report: Suggestions, console: Console) -> None:
    """The table, the best signal first, and the lines to paste."""
    console.print(f"{report.good:,} good and {report.bad:,} bad documents", highlight=False)
    wide = console.width >= WIDE
    numbers = ("of good", "of bad", "excess")
    densities = (Column("densities: good over bad", no_wrap=True),) if wide else ()
    shown = table("signal", Column("bound", no_wrap=True), *numbers, *densities, right=numbers)
    for rule in report.signals:
        bars = f"[green]{_bar(rule.good, rule.bad)}[/]\n[red]{_bar(rule.bad, rule.good)}[/]"
        shown.add_row(rule.signal, *_cells(rule), *((bars,) if wide else ()))
    console.print(shown)
    if not wide:
        console.print(f"  (from {WIDE} columns on, and with --png, also the densities)", highlight=False)
    if report.not_compared:
        names = ", ".join(report.not_compared)
        console.print(f"left out: {names} (.txt is cut into passages of one length)", highlight=False)
    if lines := report.lines_to_paste():
        console.print(
            "\nreview before pasting: each bound was chosen on its own\n[quality]", highlight=False, markup=False
        )
        for line in lines:
            bounds, _, comment = line.partition("   # ")
            too_long = console.is_terminal and len(line) > console.width
            shown_line = f"# {comment}\n{bounds}" if too_long else line
            console.print(shown_line, highlight=False, markup=False, soft_wrap=True)


def _cells(rule: SuggestedRule) -> list[str]:
    """The cells bound, of good, of bad and excess, a line for each bound."""
    if not rule.cuts:
        return ["none", "", "", ""]
    rows = [
        (f"{cut.side} {cut.bound:g}", f"{cut.good:.1%}", f"{cut.bad:.1%}", f"{cut.separation:.3f}") for cut in rule.cuts
    ]
    return ["\n".join(cells) for cells in zip(*rows, strict=True)]


def _bar(densities: FloatArray, others: FloatArray) -> str:
    """A density as a line of blocks; the highest block is the maximum of both densities."""
    highest = max(densities.max(), others.max()) or 1.0
    return "".join(_BARS[int(np.ceil(value / highest * 8))] for value in densities)


def plot_suggestions(report: Suggestions, out: Path) -> None:
    """A PNG with a small histogram for each signal, the best first. UserError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("--png needs matplotlib: pip install matplotlib") from None
    columns = 4
    rows = -(-len(report.signals) // columns)
    figure = Figure(figsize=(3.2 * columns, 1.9 * rows), layout="constrained")
    for number, rule in enumerate(report.signals, 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.stairs(rule.good, rule.edges, fill=True, alpha=0.5, color="tab:blue", label="good")
        axes.stairs(rule.bad, rule.edges, fill=True, alpha=0.5, color="tab:orange", label="bad")
        for cut in rule.cuts:
            axes.axvline(cut.bound, color="black", linewidth=1)
        axes.set_title(rule.signal, fontsize=8)
        axes.tick_params(labelsize=6)
        if number == 1:
            axes.legend(fontsize=6)
    try:
        with atomic(out) as temporary:
            FigureCanvasAgg(figure).print_figure(str(temporary), format="png", metadata={"Software": None})
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
