"""Splits of tokens, their windows, and the order of an epoch: a pure function of the seed, the epoch and the split's size."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


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

    def documents(self, end_of_text: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each document starts and its length, end-of-text included, as int64 [documents]."""
        ends = np.flatnonzero(self.ids == end_of_text) + 1
        starts = np.append(0, ends[:-1])[: len(ends)]
        return starts, ends - starts

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
