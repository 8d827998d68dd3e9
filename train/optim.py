"""AdamW and its schedule."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from pipeline.arguments import kind_of, one_number
from pipeline.train.config import TrainConfig

DEFAULTS = TrainConfig()


def learning_rate(
    step: int,
    config: TrainConfig = DEFAULTS,
    *,
    steps: int | None = None,
    learning_rate: float | None = None,
    min_learning_rate: float | None = None,
    warmup_steps: int | None = None,
) -> float:
    """Learning rate of update `step`, counted from 0. Numbers that are given replace those of `config`.

    A linear warm-up from 0, one step before the first, to the peak at step `config.warmup`, then half a cosine
    (Loshchilov & Hutter 2017, arXiv 1608.03983) down to `config.final_learning_rate` at the last step. ValueError for numbers
    that contradict each other, TypeError for anything but numbers.
    """
    one_number(step, "step")
    if not step >= 0:
        raise ValueError(f"step must be at least 0, not {step}")
    config = _with(
        config,
        steps=steps,
        learning_rate=learning_rate,
        min_learning_rate=min_learning_rate,
        warmup_steps=warmup_steps,
    )
    if step < config.warmup:
        return config.learning_rate * (step + 1) / (config.warmup + 1)
    progress = (step - config.warmup) / max(1, config.steps - 1 - config.warmup)
    return config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * (
        0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    )


def _with(config: TrainConfig, **numbers: float | None) -> TrainConfig:
    """The config with the numbers that are not None."""
    if not isinstance(config, TrainConfig):
        raise TypeError(
            f"config must be a TrainConfig, not {kind_of(config)}; give numbers by name: learning_rate=3e-3"
        )
    given: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
    return replace(config, **given) if given else config


def decays(name: str, weights: nn.Parameter) -> bool:
    """Whether weight decay applies: to matrices, not to norms (vectors) or embeddings (the row of a rare token would only
    decay)."""
    return weights.ndim > 1 and not name.startswith("embedding.")


def adamw(
    model: nn.Module,
    config: TrainConfig = DEFAULTS,
    *,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    beta1: float | None = None,
    beta2: float | None = None,
) -> torch.optim.AdamW:
    """AdamW with two groups of parameters, with and without weight decay. `eps` is GPT-3's and torch's 1e-8.

    Numbers that are given replace those of `config`. ValueError for numbers out of range, TypeError for other types.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch module, not {kind_of(model)}")
    config = _with(config, learning_rate=learning_rate, weight_decay=weight_decay, beta1=beta1, beta2=beta2)
    named = list(model.named_parameters())
    groups = [
        {"params": [w for name, w in named if decays(name, w)], "weight_decay": config.weight_decay},
        {"params": [w for name, w in named if not decays(name, w)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=1e-8, fused=True)
