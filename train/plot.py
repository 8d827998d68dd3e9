"""Curves of training as PNG files, whose bytes depend only on the numbers and on matplotlib's version."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import atomic


@contextmanager
def _over_tokens(picture: Path, ylabel: str) -> Iterator[Any]:
    """Axes to draw on, which are written to `picture` at the end, without a date."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # takes half a second, and only plots need it
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    yield axes
    axes.set_xlabel("tokens seen")
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_formatter(lambda tokens, _: _short(tokens))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic(picture) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def plot_losses(metrics: Path, picture: Path) -> None:
    """Draw the training and validation loss of `metrics` (the loop's JSON lines) over the tokens seen."""
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    steps = [(line["tokens"], line["loss"]) for line in lines if "loss" in line]
    evaluations = [(line["tokens"], line["validation_loss"]) for line in lines if "validation_loss" in line]
    with _over_tokens(picture, "loss (nats per token)") as axes:
        if steps:
            tokens, losses = np.array(steps).T
            axes.plot(tokens, losses, color="#9db8d2", linewidth=0.8, label="training, each step")
            span = max(1, len(losses) // 25)
            if span > 1:
                mean = np.convolve(losses, np.full(span, 1 / span), mode="valid")
                middles = tokens[span // 2 :][: len(mean)]
                axes.plot(middles, mean, color="#1f5f99", linewidth=1.8, label=f"training, mean of {span} steps")
        if evaluations:
            tokens, losses = np.array(evaluations).T
            axes.plot(tokens, losses, color="#d1495b", linewidth=1.8, marker="o", markersize=4, label="validation")
            last_evaluation = next(line for line in reversed(lines) if "validation_loss" in line)
            bits = last_evaluation["bits_per_byte"]
            axes.annotate(
                f"{last_evaluation['validation_loss']:.2f} nats per token"
                + (f"\n{bits:.2f} bits per byte" if bits is not None else ""),
                (last_evaluation["tokens"], last_evaluation["validation_loss"]),
                xytext=(0, 18),
                textcoords="offset points",
                ha="right",
                color="#d1495b",
            )


def plot_comparison(curves: Mapping[str, tuple[list[int], list[list[float]]]], picture: Path) -> None:
    """Draw bits per byte of the held-out texts over the tokens seen: for each name, the mean and the range of its seeds."""
    with _over_tokens(picture, "held-out texts, bits per byte") as axes:
        for name, (tokens, seeds) in curves.items():
            later = np.array(seeds)[:, 1:]  # before the first step all are equal
            [line] = axes.plot(tokens[1:], later.mean(axis=0), linewidth=1.8, marker="o", markersize=4, label=name)
            axes.fill_between(tokens[1:], later.min(axis=0), later.max(axis=0), color=line.get_color(), alpha=0.15)


def _short(tokens: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(tokens) >= size:
            return f"{tokens / size:g}{letter}"
    return f"{tokens:g}"
