"""Evaluation texts in the training data, found by common n-grams of words.

    index = EvaluationIndex(["a question and its answer ...", ...], ngram=13)
    found = index.search(texts)

GPT-3 looks for any common 13-gram of lower-cased words without punctuation (Brown et al. 2020, appendix C), PaLM for 70 % of
an example's 8-grams (Chowdhery et al. 2022, section 8), Llama 3 for a share of its tokens in common 8-grams (2024, section
5.1.4). Here each item has the share of its distinct n-grams that a document contains. A threshold on that share gives PaLM's
rule; no threshold gives GPT-3's first rule; filters/decontaminate/cuts.py has what GPT-3 cuts instead. Words are those of
filters/dedup/shingles.py. An item of fewer than n words cannot be found; `short` is the number of such items.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import uint64

from pipeline.arguments import text_array
from pipeline.errors import UserError
from pipeline.filters.dedup.shingles import shingle_hashes, word_hashes
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.kernels.unicode import table_size
from pipeline.kernels import inner, kernel


class Found(NamedTuple):
    """One entry per text."""

    share: npt.NDArray[np.float64]
    """The largest share of an item's n-grams that the text contains; 0 if it contains none."""
    ngrams: npt.NDArray[np.int32]
    """How many distinct n-grams of items it contains."""
    items: list[list[tuple[int, float]]]
    """The items with n-grams in the text, as (index of the item, share): the largest share first, ties by index."""


class EvaluationIndex:
    """The n-grams of evaluation texts, to look up in other texts. Memory: about 50 bytes per n-gram."""

    def __init__(self, texts: Sequence[str] | pa.Array, ngram: int = 13) -> None:
        if ngram < 1:
            raise UserError(f"ngram {ngram}: must be at least 1")
        array = text_array(texts)
        self.ngram = ngram
        lengths = np.array([len(words) for words in word_hashes(array)])
        self.short = int((lengths < ngram).sum())
        grams = [
            np.unique(hashes) if length >= ngram else hashes[:0]
            for hashes, length in zip(shingle_hashes(array, ngram), lengths, strict=True)
        ]
        self.sizes = np.array([len(hashes) for hashes in grams], np.int64)
        owners = np.repeat(np.arange(len(grams)), self.sizes)
        all_hashes = np.concatenate([np.zeros(0, np.uint64), *grams])
        order = np.lexsort((owners, all_hashes))
        keys, starts = np.unique(all_hashes[order], return_index=True)
        self._keys = keys
        self._owners = owners[order]
        self._starts = np.append(starts, len(all_hashes)).astype(np.int64)
        size = table_size.py_func(len(keys))
        self._table, self._slots = np.zeros(size, np.uint64), np.zeros(size, np.int64)
        _fill(keys, self._table, self._slots)

    @property
    def grams(self) -> int:
        """The number of distinct n-grams."""
        return len(self._keys)

    def occurrences(self, text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The first word and the number of each n-gram of items in a text, in the order of the text."""
        hashes = shingle_hashes([text], self.ngram)[0]
        numbers = np.minimum(np.searchsorted(self._keys, hashes), max(self.grams - 1, 0))
        words = np.flatnonzero(self._keys[numbers] == hashes) if self.grams else np.zeros(0, np.int64)
        return words, numbers[words]

    def search(self, texts: Texts) -> Found:
        """Which items' n-grams the texts contain."""
        array = text_array(texts)
        share, ngrams = np.zeros(len(array)), np.zeros(len(array), np.int32)
        items: list[list[tuple[int, float]]] = []
        for row, hashes in enumerate(shingle_hashes(array, self.ngram)):
            numbers = np.unique(_numbers_of(hashes, self._table, self._slots))
            ngrams[row] = len(numbers)
            items.append(self._items(numbers) if len(numbers) else [])
            share[row] = items[-1][0][1] if items[-1] else 0.0
        return Found(share, ngrams, items)

    def _items(self, numbers: npt.NDArray[np.int64]) -> list[tuple[int, float]]:
        owners = np.concatenate([self._owners[self._starts[gram] : self._starts[gram + 1]] for gram in numbers])
        items, counts = np.unique(owners, return_counts=True)
        shares = counts / self.sizes[items]
        order = np.lexsort((items, -shares))
        return list(zip(items[order].tolist(), shares[order].tolist(), strict=True))


@inner
def _slot(table: Any, key: Any) -> Any:
    """The slot of a key in the table, or the free slot for it; keys are hashes and never 0."""
    mask = uint64(table.size - 1)
    slot = key & mask
    while table[slot] != 0 and table[slot] != key:
        slot = (slot + uint64(1)) & mask
    return slot


@kernel
def _fill(keys: Any, table: Any, slots: Any) -> None:
    """Put each key into an empty table; `slots` gets the number of the key in each slot."""
    for i in range(keys.size):
        slot = _slot(table, keys[i])
        table[slot] = keys[i]
        slots[slot] = i


@kernel(allocates=True)
def _numbers_of(hashes: Any, table: Any, slots: Any) -> Any:
    """The numbers of the hashes that are in the table."""
    numbers = np.empty(hashes.size, np.int64)
    count = 0
    for i in range(hashes.size):
        slot = _slot(table, hashes[i])
        if table[slot] != 0:
            numbers[count] = slots[slot]
            count += 1
    return numbers[:count]
