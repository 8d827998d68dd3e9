"""Paragraphs and documents whose n-grams occurred before: DCLM's `bff` (Li et al. 2024, section 4.2 and appendix K).

A text is divided at its line breaks (a break belongs to the paragraph after it). A paragraph's n-grams are looked up in
a Bloom filter. If more than the share `threshold` of them are in it, the paragraph is removed; otherwise they are added. A
paragraph of fewer than `ngram` tokens, but at least `min_tokens`, is one n-gram; a shorter one always stays. `remove`:

    paragraph   as above
    document    the same, with the whole text as one paragraph
    old-both    paragraphs; and the whole text if more than `threshold` of all its n-grams were known (DCLM-Baseline)

In `bff`, threads race for the filter, so no two runs agree. Here "seen" means "earlier in the corpus", so the outcome is
the same with any number of workers. Differences: tokens are those of `words.py` (`bff` uses UAX #29; both leave out white
space); the filter's hash functions are combinations of two (Kirsch and Mitzenmacher 2006).
"""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arguments import text_array
from pipeline.filters.kernels.arrays import Texts, text_buffers
from pipeline.filters.kernels.ascii import LINE_FEED
from pipeline.filters.kernels.spans import Ranges, join
from pipeline.filters.kernels.token_spans import Tokens, find_tokens
from pipeline.filters.kernels.unicode import mix
from pipeline.kernels import inner, kernel

Remove = Literal["paragraph", "document", "old-both"]
REMOVE: tuple[Remove, ...] = ("paragraph", "document", "old-both")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def filter_bits(ngrams: int, false_positives: float) -> int:
    """The bits of a Bloom filter for n n-grams: -n ln p / (ln 2)**2, p the false positive rate (Bloom 1970)."""
    return max(64, math.ceil(-ngrams * math.log(false_positives) / math.log(2) ** 2))


def filter_hashes(ngrams: int, bits: int) -> int:
    """The number of hash functions, as in `bff`: bits / n * ln 2, rounded up."""
    return max(1, math.ceil(bits / max(1, ngrams) * math.log(2)))


@inner
def _in_filter(bits: Any, hashes: Any, value: Any) -> Any:
    """Whether all bits of a value are set."""
    step = mix(value ^ _FACTOR) | np.uint64(1)
    size = np.uint64(bits.size * 64)
    for _ in range(hashes):
        bit = value % size
        if not bits[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1):
            return False
        value += step
    return True


@inner
def _put(bits: Any, hashes: Any, value: Any) -> None:
    """Set the bits of a value."""
    step = mix(value ^ _FACTOR) | np.uint64(1)
    size = np.uint64(bits.size * 64)
    for _ in range(hashes):
        bit = value % size
        bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        value += step


@inner
def _ngrams(values: Any, first: Any, last: Any, ngram: Any, shortest: Any, out: Any) -> Any:
    """Write the hashes of the n-grams of values[first:last] to `out`; returns their number."""
    count = last - first
    if count < shortest or count == 0:
        return 0
    size = min(count, ngram)
    n = count - size + 1
    for k in range(n):
        value: Any = np.uint64(0)
        for t in range(size):
            value = value * _FACTOR + values[first + k + t]
        out[k] = mix(value)
    return n


@kernel(allocates=True)
def _dedup(
    data: Any, begins: Any, lasts: Any, offsets: Any, starts: Any, values: Any, ngram: Any, shortest: Any,
    threshold: Any, per_document: Any, also_documents: Any, bits: Any, hashes: Any, counts: Any, cut_starts: Any, cut_ends: Any,
) -> Any:  # fmt: skip
    """Write the ranges to remove from each text; returns the number of n-grams. With empty `bits` it only counts them."""
    ngrams = np.empty(values.size + 1, np.uint64)
    cut = 0
    all_ngrams = 0
    for text in range(begins.size):
        size = lasts[text] - begins[text]
        token, last_token = offsets[text], offsets[text + 1]
        first_cut = cut
        total = seen = 0
        start = 0
        while start < size:
            end = start + (data[begins[text] + start] == LINE_FEED)
            while end < size and (per_document or data[begins[text] + end] != LINE_FEED):
                end += 1
            first = token
            while token < last_token and starts[token] < end:
                token += 1
            n = _ngrams(values, first, token, ngram, shortest, ngrams)
            total += n
            if bits.size:
                known = 0
                for g in range(n):
                    known += _in_filter(bits, hashes, ngrams[g])
                seen += known
                if n and known / n > threshold:
                    cut_starts[cut], cut_ends[cut] = start, end
                    cut += 1
                else:
                    for g in range(n):
                        _put(bits, hashes, ngrams[g])
            start = end
        if also_documents and total and seen / total > threshold:
            cut = first_cut
            cut_starts[cut], cut_ends[cut] = 0, size
            cut += 1
        counts[text + 1] = cut
        all_ngrams += total
    return all_ngrams


class NgramFilter:
    """A Bloom filter of the n-grams seen so far. Call it with chunks of texts in the order of the corpus."""

    def __init__(
        self, ngrams: int, *, ngram: int, min_tokens: int, threshold: float, false_positives: float, remove: Remove
    ) -> None:
        self._arguments = (ngram, min_tokens, threshold, remove == "document", remove == "old-both")
        bits = filter_bits(ngrams, false_positives)
        self._hashes = filter_hashes(ngrams, bits)
        self._bits = np.zeros(-(-bits // 64), np.uint64)

    def __call__(self, texts: pa.Array) -> Ranges:
        """The ranges to remove from each text."""
        return _run(texts, self._arguments, self._bits, self._hashes)[1]


def count_ngrams(texts: pa.Array, *, ngram: int, min_tokens: int, remove: Remove) -> int:
    """The number of n-grams a filter for these texts must hold."""
    return _run(texts, (ngram, min_tokens, 1.0, remove == "document", False), np.zeros(0, np.uint64), 0)[0]


def _run(texts: pa.Array, arguments: Any, bits: npt.NDArray[np.uint64], hashes: int) -> tuple[int, Ranges]:
    data, begins, lasts = text_buffers(texts)
    tokens: Tokens = find_tokens(texts)
    counts = np.zeros(len(texts) + 1, np.int64)
    room = len(texts) + (int(np.count_nonzero(data == LINE_FEED)) if bits.size else 0)
    cut_starts, cut_ends = np.zeros(room, np.int64), np.zeros(room, np.int64)
    total = _dedup(
        data,
        begins,
        lasts,
        tokens.offsets,
        tokens.starts,
        tokens.hashes,
        *arguments,
        bits,
        hashes,
        counts,
        cut_starts,
        cut_ends,
    )
    return int(total), join(Ranges(counts, cut_starts[: counts[-1]], cut_ends[: counts[-1]]))


def dedup_ngrams(
    texts: Texts,
    *,
    ngram: int = 13,
    min_tokens: int = 13,
    threshold: float = 0.8,
    false_positives: float = 0.01,
    remove: Remove = "old-both",
) -> Ranges:
    """The ranges of texts in memory whose n-grams occurred before; `pipeline.filters.kernels.spans.apply` removes them.

    The defaults are DCLM-Baseline's (its dedup/README and Li et al. 2024, appendix K.4).
    """
    array = text_array(texts)
    ngrams = count_ngrams(array, ngram=ngram, min_tokens=min_tokens, remove=remove)
    seen = NgramFilter(
        ngrams, ngram=ngram, min_tokens=min_tokens, threshold=threshold, false_positives=false_positives, remove=remove
    )
    return seen(array)
