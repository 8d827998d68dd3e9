"""AdamW and its schedule."""

import math

import torch
from torch import nn

from pipeline.train.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """Learning rate of update `step`, counted from 0.

    A linear warm-up from 0, one step before the first, to the peak at step `config.warmup`, then half a cosine
    (Loshchilov & Hutter 2017, arXiv 1608.03983) down to `config.final_learning_rate` at the last step.
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / (config.warmup + 1)
    progress = (step - config.warmup) / max(1, config.steps - 1 - config.warmup)
    return config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * (
        0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    )


def decays(name: str, weights: nn.Parameter) -> bool:
    """Whether weight decay applies: to matrices, not to norms (vectors) or embeddings (the row of a rare token would only
    decay)."""
    return weights.ndim > 1 and not name.startswith("embedding.")


def adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with two groups of parameters, with and without weight decay. `eps` is GPT-3's and torch's 1e-8."""
    named = list(model.named_parameters())
    groups = [
        {"params": [w for name, w in named if decays(name, w)], "weight_decay": config.weight_decay},
        {"params": [w for name, w in named if not decays(name, w)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=1e-8, fused=True)
