"""Splits of tokens, their windows, and the order of an epoch: a pure function of the seed, the epoch and the split's size."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Split(Protocol):
    """One split of the shards, as from `pipeline.tokenize.shards.open`."""

    @property
    def tokens(self) -> int:
        """Tokens in the split, including end-of-text."""
        ...

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text in the split; 0 if unknown."""
        ...

    def read(self, start: int, length: int) -> NDArray[Any]:
        """`length` token ids from `start` on."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """A split in memory: texts to measure on that are not in shards."""

    ids: NDArray[np.integer[Any]]  # [tokens], with an end-of-text after each document as in shards
    bytes: int  # UTF-8 bytes of the texts

    @property
    def tokens(self) -> int:
        """Tokens, including end-of-text."""
        return self.ids.size

    def read(self, start: int, length: int) -> NDArray[Any]:
        """`length` token ids from `start` on."""
        return self.ids[start : start + length]

    def documents(self, end_of_text: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The start and the length, including end-of-text, of each document: int64 [documents]."""
        ends = np.flatnonzero(self.ids == end_of_text) + 1
        starts = np.append(0, ends[:-1])[: len(ends)]
        return starts, ends - starts

    @property
    def sha256(self) -> str:
        """The SHA-256 of the ids as little-endian 64-bit numbers."""
        return hashlib.sha256(self.ids.astype("<i8").tobytes()).hexdigest()


def window_count(tokens: int, context: int) -> int:
    """The number of disjoint windows of `context` inputs; the last input of each needs one more token as target."""
    return max(0, tokens - 1) // context


@lru_cache(maxsize=2)  # a batch may straddle two epochs
def window_order(seed: int, epoch: int, windows: int) -> NDArray[np.int64]:
    """The epoch's permutation of the windows.

    It sorts random keys, because NumPy guarantees stable streams of its bit generators, but not of `Generator.permutation`.
    """
    keys = np.random.PCG64(np.random.SeedSequence((seed, epoch))).random_raw(windows)
    return np.argsort(keys, kind="stable")
