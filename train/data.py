"""Batches of token windows: which windows come when is a pure function of the seed, the step and the split's size.

So a run resumes at any step without replaying, and there is no sampler whose state must be kept.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import UserError


class Split(Protocol):
    """One split of the token shards, as `pipeline.tokenize.shards.open` gives it."""

    @property
    def tokens(self) -> int:
        """Tokens in the split, end-of-text tokens included."""
        ...

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text in the split; 0 where that is unknown."""
        ...

    def read(self, start: int, length: int) -> NDArray[Any]:
        """`length` token ids from `start` on."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """A split held in memory: texts to measure on that no shards hold."""

    ids: NDArray[np.integer[Any]]  # [tokens], an end-of-text behind each document as in the shards
    bytes: int  # UTF-8 bytes of the texts

    @property
    def tokens(self) -> int:
        """Tokens, those of end-of-text included."""
        return self.ids.size

    def read(self, start: int, length: int) -> NDArray[Any]:
        """`length` token ids from `start` on."""
        return self.ids[start : start + length]

    @property
    def sha256(self) -> str:
        """Of the ids, as little-endian 64-bit numbers."""
        return hashlib.sha256(self.ids.astype("<i8").tobytes()).hexdigest()


def window_count(tokens: int, context: int) -> int:
    """How many windows of `context` inputs lie side by side; the last input of each needs one more token as target."""
    return max(0, tokens - 1) // context


@lru_cache(maxsize=2)  # a batch may straddle two epochs
def window_order(seed: int, epoch: int, windows: int) -> NDArray[np.int64]:
    """The epoch's permutation of the windows.

    Sorted random keys, because NumPy promises that its bit generators keep their streams and does not promise that
    of `Generator.permutation`.
    """
    keys = np.random.PCG64(np.random.SeedSequence((seed, epoch))).random_raw(windows)
    return np.argsort(keys, kind="stable")


def window_indices(seed: int, step: int, batch_size: int, windows: int) -> list[int]:
    """The windows of batch `step`, counted from 0: the epochs' permutations, one after another, cut into batches."""
    places = (divmod(place, windows) for place in range(step * batch_size, (step + 1) * batch_size))
    return [int(window_order(seed, epoch, windows)[rank]) for epoch, rank in places]


def check_size(split: Split, context: int) -> None:
    """`UserError` where the training split is shorter than one window and its last target."""
    if window_count(split.tokens, context) == 0:
        raise UserError(
            f"the train split holds {split.tokens:,} tokens, but one window takes train.context + 1 = {context + 1:,}: "
            "lower train.context or bring more text"
        )


def batch(split: Split, *, seed: int, step: int, batch_size: int, context: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets of one step, each int64 [batch_size, context]; targets are the inputs one token on.

    `UserError` as `check_size`.
    """
    check_size(split, context)
    windows = window_indices(seed, step, batch_size, window_count(split.tokens, context))
    rows = np.stack([split.read(window * context, context + 1).astype(np.int64) for window in windows])
    tokens = torch.from_numpy(rows)
    return tokens[:, :-1], tokens[:, 1:]
