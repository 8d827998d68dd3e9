"""Bounds for rules, from documents known to be good and documents known to be bad: a table, lines to paste, a picture."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from pipeline.config import Config
from pipeline.core.ledger import row_groups
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.files import atomic
from pipeline.filters.language import LanguageIdentifier
from pipeline.filters.signals import measure as signals
from pipeline.filters.signals import stored_signals
from pipeline.filters.thresholds import Cut, FloatArray, best_cut, histograms
from pipeline.run.run import Run
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality import QUALITY
from pipeline.stages.scores import SCORES, check_scores
from pipeline.tools.text_sources import read_texts

WORTH = 0.05
"""A bound that drops not so much more bad than good is left out of the lines to paste."""
_BARS = " ▁▂▃▄▅▆▇█"

Values = dict[str, FloatArray]


def suggest(
    run: Run, good: Sequence[str], bad: Sequence[str], *, language: str | None, documents: int, most: float
) -> dict[str, Any]:
    """Measure both sides by the run's signals and scores, and find the best bounds of each, the best signal first.

    Without `bad` that side is the run's own documents, as they came to the quality stage. Of each side at most 2 x `documents`
    are held, evenly chosen; 8 bytes a document and signal. `most`: the largest share of good that a bound may drop.
    """
    check_scores(run.config)
    sides = [_thinned(_measured(run.config, read_texts(good, language=language)), documents)]
    theirs = _measured(run.config, read_texts(bad, language=language)) if bad else _ledger(run, language)
    sides.append(_thinned(theirs, documents))
    for side, name in zip(sides, ("good", "bad"), strict=True):
        if not len(side["words"]):
            raise UserError(f"suggest: no {name} documents" + (f" in {language}" if language else ""))
    found: list[dict[str, Any]] = []
    for name in sides[0]:
        mine, other = sides[0][name], sides[1][name]
        cuts = [cut for side in ("min", "max") if (cut := best_cut(mine, other, side, most))]
        shapes = histograms(mine, other)
        cuts.sort(key=lambda cut: -cut.separation)
        found.append({"signal": name, "cuts": cuts, "edges": shapes.edges, "good": shapes.good, "bad": shapes.bad})
    found.sort(key=lambda entry: (-(entry["cuts"][0].separation if entry["cuts"] else 0), entry["signal"]))
    return {"good": len(sides[0]["words"]), "bad": len(sides[1]["words"]), "signals": found}


def _measured(config: Config, arrays: Iterable[pa.Array]) -> Iterator[Values]:
    """Every signal and score of texts."""
    from pipeline.filters.models.scorers import open_scorers

    scorers = open_scorers(config.scores)
    identifier = LanguageIdentifier() if scorers else None
    plugins = config.plugged.signals
    names = stored_signals(config.families, plugins)
    for array in arrays:
        values = {name: _numbers(column) for name, column in signals(array, names, plugins=plugins).items()}
        if identifier:
            labels, _ = identifier.predict_columns(array)
            values |= {name: scorer(array, labels) for name, scorer in scorers.items()}
        yield values


def _ledger(run: Run, language: str | None) -> Iterator[Values]:
    """Every signal and score of the run's documents, as they lie in the ledger."""
    sources: dict[Step, list[str]] = {QUALITY: list(stored_signals(run.config.families, run.config.plugged.signals))}
    if run.config.scores:
        sources[SCORES] = list(run.config.scores)
    for part in run.parts:
        for step in sources:
            if not run.is_done(step, part):
                raise UserError(f"{run.root}: has not finished its quality stage; run it again, or give --bad")
        groups = [row_groups(run.file(step, part), columns) for step, columns in sources.items()]
        for labels, *tables in zip(row_groups(run.file(LANGUAGE, part), ["language"]), *groups, strict=True):
            values = {name: _numbers(table[name].combine_chunks()) for table in tables for name in table.column_names}
            there = tables[0]["words"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
            if language:
                there = there & np.array([label == language for label in labels["language"].to_pylist()], np.bool_)
            yield {name: column[there] for name, column in values.items()}


def _numbers(column: pa.Array) -> FloatArray:
    return np.asarray(column.fill_null(math.nan).to_numpy(zero_copy_only=False), np.float64)


def _thinned(batches: Iterator[Values], documents: int) -> Values:
    """Every document, or, where there are more than 2 x `documents`, every second, fourth, eighth ... of them."""
    held: list[Values] = []
    stride, seen, count = 1, 0, 0
    for batch in batches:
        size = len(batch["words"])
        chosen = np.arange(-seen % stride, size, stride)
        seen += size
        held.append({name: values[chosen] for name, values in batch.items()})
        count += len(chosen)
        while count > 2 * documents:
            held = [{name: values[::2] for name, values in _joined(held).items()}]
            stride *= 2
            count = len(held[0]["words"])
    return _joined(held)


def _joined(batches: Sequence[Values]) -> Values:
    if not batches:
        return {"words": np.zeros(0)}
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def lines_to_paste(found: Mapping[str, Any]) -> list[str]:
    """The bounds worth having, as lines of [quality]."""
    lines = []
    for entry in found["signals"]:
        cuts: list[Cut] = [cut for cut in entry["cuts"] if cut.separation >= WORTH]
        if cuts:
            bounds = ", ".join(f"{cut.side} = {cut.bound!r}" for cut in cuts)
            told = "; ".join(f"{cut.bad:.1%} of bad, {cut.good:.1%} of good" for cut in cuts)
            lines.append(f"{entry['signal']} = {{ {bounds} }}   # drops {told}")
    return lines


def as_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """Everything as plain values."""
    plain = []
    for entry in found["signals"]:
        cuts = [
            {"side": cut.side, "bound": cut.bound, "good": cut.good, "bad": cut.bad, "separation": cut.separation}
            for cut in entry["cuts"]
        ]
        arrays = {name: entry[name].tolist() for name in ("edges", "good", "bad")}
        plain.append({"signal": entry["signal"], "cuts": cuts} | arrays)
    return {"good": found["good"], "bad": found["bad"], "signals": plain}


def show(found: Mapping[str, Any], console: Console) -> None:
    """The table, the best signal first, and the lines to paste."""
    console.print(f"{found['good']:,} good and {found['bad']:,} bad documents", highlight=False)
    table = Table("signal", "bound", "of good", "of bad", "excess", "densities: good over bad")
    for column in table.columns[2:5]:
        column.justify = "right"
    for entry in found["signals"]:
        bars = f"[green]{bar(entry['good'], entry['bad'])}[/]\n[red]{bar(entry['bad'], entry['good'])}[/]"
        cuts = entry["cuts"] or [None]
        columns = [
            [f"{cut.side} {cut.bound:g}", f"{cut.good:.1%}", f"{cut.bad:.1%}", f"{cut.separation:.3f}"]
            if cut
            else ["none", "", "", ""]
            for cut in cuts
        ]
        table.add_row(entry["signal"], *("\n".join(cells) for cells in zip(*columns, strict=True)), bars)
    console.print(table)
    if lines := lines_to_paste(found):
        console.print(
            "\nto paste, and to judge (each bound was found alone):\n[quality]", highlight=False, markup=False
        )
        for line in lines:
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def bar(densities: FloatArray, others: FloatArray) -> str:
    """A density as a line of blocks, as high as the higher of both allows."""
    most = max(densities.max(), others.max()) or 1.0
    return "".join(_BARS[int(np.ceil(value / most * 8))] for value in densities)


def plot(found: Mapping[str, Any], out: Path) -> None:
    """Small multiples of all signals, the best first."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("--png needs matplotlib: pip install matplotlib") from None
    entries = found["signals"]
    columns = 4
    rows = -(-len(entries) // columns)
    figure = Figure(figsize=(3.2 * columns, 1.9 * rows), layout="constrained")
    for place, entry in enumerate(entries):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.stairs(entry["good"], entry["edges"], fill=True, alpha=0.5, color="tab:green", label="good")
        axes.stairs(entry["bad"], entry["edges"], fill=True, alpha=0.5, color="tab:red", label="bad")
        for cut in entry["cuts"][:1]:
            axes.axvline(cut.bound, color="black", linewidth=1)
        axes.set_title(entry["signal"], fontsize=8)
        axes.tick_params(labelsize=6)
        if not place:
            axes.legend(fontsize=6)
    try:
        with atomic(out) as temporary:
            FigureCanvasAgg(figure).print_figure(str(temporary), format="png", metadata={"Software": None})
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
