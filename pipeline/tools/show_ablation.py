"""`ablate` on the terminal."""

from statistics import fmean

from rich.console import Console

from pipeline.core.progress import safe
from pipeline.core.screen import byte_size, counted, table
from pipeline.tools.ablate import Ablation, RunDifference


def show_ablation(ablation: Ablation, console: Console) -> None:
    """A line for each run: what it was trained on, what it loses, and whether it is better than the first."""
    seeds = len(ablation.seeds)
    console.print(
        f"{counted(ablation.steps, 'step')} from {counted(seeds, 'seed')}, measured on {counted(ablation.documents, 'text')}, "
        f"{byte_size(ablation.bytes)}, of {safe(', '.join(ablation.on))}",
        highlight=False,
    )
    numbers = ("documents", "tokens", "epochs", "bits per byte", "to the first", "95 %")
    shown = table("run", *numbers, "verdict", right=numbers)
    differences = {difference.run: difference for difference in ablation.against_first}
    for arm in ablation.arms:
        difference = differences.get(arm.run)
        shown.add_row(
            safe(arm.run),
            f"{arm.documents:,}",
            f"{arm.tokens:,}",
            f"{arm.epochs:.2f}",
            f"{fmean(arm.bits_per_byte):.4f}",
            *(_cells(difference) if difference else ()),
        )
    console.print(shown)


def _cells(difference: RunDifference) -> tuple[str, str, str]:
    interval = difference.interval
    verdict = "no difference seen"
    if difference.seen:
        verdict = "better" if difference.mean < 0 else "worse"
    shown = "one seed" if interval is None else f"{interval[0]:+.4f} to {interval[1]:+.4f}"
    return f"{difference.mean:+.4f}", shown, verdict
