"""Which data gives the better model: the same model, trained on each corpus from the same seeds, measured on the same texts.

DCLM (Li et al. 2024, arXiv 2406.11794, section 3) and FineWeb (arXiv 2406.17557, section 3.1) compare their filters this way:
everything but the data is fixed. With the same seed, two corpora share initial weights and the order of windows, so differences
are taken seed by seed. Losses are in bits per byte of the same texts, whatever tokenizer a corpus has.
"""

import json
import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UserError
from pipeline.train.config import TrainConfig
from pipeline.train.data import Tokens
from pipeline.train.loop import Progress, TrainResult, train

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t at 97.5 % for 1 to 9 degrees of freedom (Student 1908, Biometrika 6)."""
MOST_SEEDS = len(T_975) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One corpus of the comparison."""

    name: str
    shards: Path
    held_out: Tokens  # the texts to measure on, encoded with this corpus's tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Bits per byte of one corpus minus those of another: below 0, the first is better."""

    mean: float
    low: float  # of the 95 % confidence interval, over seeds; -inf with one seed
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def compare(first: Sequence[float], second: Sequence[float]) -> Difference:
    """The mean of first[k] - second[k] over the seeds k, and its confidence interval by Student's t."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean = statistics.fmean(differences)
    if len(differences) == 1:
        return Difference(mean=mean, low=-math.inf, high=math.inf)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    half_width = T_975[len(differences) - 2] * error
    return Difference(mean=mean, low=mean - half_width, high=mean + half_width)


def train_all(
    arms: Sequence[Arm],
    config: TrainConfig,
    out: Path,
    *,
    seeds: int,
    training: Callable[[str], AbstractContextManager[None]],
    progress: Callable[[Progress], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> dict[str, list[TrainResult]]:
    """Train each arm `seeds` times, from config.seed on, into out/NAME/seed-N; finished runs are left as they are.

    All arms are trained for one seed before the next, so that an interrupted comparison has results for some seeds. Each run is
    done within the context `training(name and seed)`. UserError for empty held-out texts, and for more than `MOST_SEEDS` seeds.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise UserError(f"ablate: {seeds} seeds; the number must be 1 to {MOST_SEEDS}")
    if (config.objective, config.packing) != ("causal", "contiguous"):
        raise UserError('ablate: compares bits per byte; train.objective must be "causal", train.packing "contiguous"')
    if any(not arm.held_out.bytes for arm in arms):
        raise UserError("ablate: the held-out texts are empty")
    results: dict[str, list[TrainResult]] = {arm.name: [] for arm in arms}
    for seed in range(config.seed, config.seed + seeds):
        for arm in arms:
            with training(f"{arm.name}, seed {seed}"):
                result = train(
                    replace(config, seed=seed, evaluation_tokens=None),
                    arm.shards,
                    out / arm.name / f"seed-{seed}",
                    validation=arm.held_out,
                    progress=progress,
                    note=note,
                )
            results[arm.name].append(result)
    return results


def curves(folder: Path) -> tuple[list[int], list[list[float]]]:
    """The numbers of tokens at which an arm was measured, and for each seed the bits per byte there."""
    tokens: list[int] = []
    losses = []
    for file in sorted(folder.glob("seed-*/metrics.jsonl")):
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        evaluations = [line for line in lines if line.get("bits_per_byte") is not None]
        tokens = [line["tokens"] for line in evaluations]
        losses.append([line["bits_per_byte"] for line in evaluations])
    return tokens, losses
