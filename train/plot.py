"""The loss curve as a picture."""

import json
import os
from pathlib import Path

import numpy as np


def plot_losses(metrics: Path, picture: Path) -> None:
    """Draw the training and validation loss of `metrics` (the loop's JSON lines) over the tokens seen, as a PNG.

    The picture's bytes depend on the numbers and on matplotlib's version alone: no date is written in.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second, and only this function needs it
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    steps = [(line["tokens"], line["loss"]) for line in lines if "loss" in line]
    checks = [(line["tokens"], line["validation_loss"]) for line in lines if "validation_loss" in line]

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if steps:
        tokens, losses = np.array(steps).T
        axes.plot(tokens, losses, color="#9db8d2", linewidth=0.8, label="training, each step")
        span = max(1, len(losses) // 25)
        if span > 1:
            mean = np.convolve(losses, np.full(span, 1 / span), mode="valid")
            middles = tokens[span // 2 :][: len(mean)]
            axes.plot(middles, mean, color="#1f5f99", linewidth=1.8, label=f"training, mean of {span} steps")
    if checks:
        tokens, losses = np.array(checks).T
        axes.plot(tokens, losses, color="#d1495b", linewidth=1.8, marker="o", markersize=4, label="validation")
        last = next(line for line in reversed(lines) if "validation_loss" in line)
        bits = last["bits_per_byte"]
        axes.annotate(
            f"{last['validation_loss']:.2f} nats a token" + (f"\n{bits:.2f} bits a byte" if bits is not None else ""),
            (last["tokens"], last["validation_loss"]),
            xytext=(0, 18),
            textcoords="offset points",
            ha="right",
            color="#d1495b",
        )
    axes.set_xlabel("tokens seen")
    axes.set_ylabel("loss (nats per token)")
    axes.xaxis.set_major_formatter(lambda tokens, _: _short(tokens))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    scratch = picture.with_name(picture.name + ".tmp")
    figure.savefig(scratch, format="png", metadata={"Software": None})
    os.replace(scratch, picture)


def _short(tokens: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(tokens) >= size:
            return f"{tokens / size:g}{letter}"
    return f"{tokens:g}"
