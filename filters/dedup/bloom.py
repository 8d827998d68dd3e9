"""Paragraphs and documents whose n-grams have been seen: DCLM's `bff` (Li et al. 2024, section 4.2 and appendix K).

A text is divided at its line breaks (a break belongs to the paragraph after it). A paragraph's n-grams are looked up in
a Bloom filter; it goes if more than `threshold` of them are there, otherwise they are put in. A paragraph of fewer than
`ngram` tokens, but at least `min_tokens`, is one n-gram; a shorter one always stays. `remove`:

    paragraph   as above
    document    the same with the whole text for a paragraph
    old-both    paragraphs; and the whole text if more than `threshold` of all its n-grams were there (DCLM-Baseline)

There, threads race for the filter, so that no two runs agree. Here "seen" means "earlier in the corpus", so that the
outcome is the same with any number of workers. Differences: tokens are those of `words.py` (`bff` has UAX #29's; both
leave out white space); the filter's two hash functions are combined to as many as it needs (Kirsch and Mitzenmacher 2006).
"""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filters.kernels.arrays import Texts, as_text_array, text_buffers
from pipeline.filters.kernels.ascii import LINE_FEED
from pipeline.filters.kernels.spans import Ranges, join
from pipeline.filters.kernels.token_spans import Tokens, find_tokens
from pipeline.filters.kernels.unicode import mix
from pipeline.kernels import inner, kernel

Remove = Literal["paragraph", "document", "old-both"]
REMOVE: tuple[Remove, ...] = ("paragraph", "document", "old-both")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def filter_bits(ngrams: int, false_positives: float) -> int:
    """The bits of a Bloom filter for so many n-grams: -n ln p / (ln 2)**2 (Bloom 1970)."""
    return max(64, math.ceil(-ngrams * math.log(false_positives) / math.log(2) ** 2))


def filter_hashes(ngrams: int, bits: int) -> int:
    """As many hash functions as `bff` takes: bits / n * ln 2, rounded up."""
    return max(1, math.ceil(bits / max(1, ngrams) * math.log(2)))


@inner
def _in_filter(bits: Any, hashes: Any, value: Any) -> Any:
    """Whether all bits of a value are set."""
    step = mix(value ^ _FACTOR) | np.uint64(1)
    size = np.uint64(bits.size * 64)
    for _ in range(hashes):
        place = value % size
        if not bits[place >> np.uint64(6)] >> (place & np.uint64(63)) & np.uint64(1):
            return False
        value += step
    return True


@inner
def _put(bits: Any, hashes: Any, value: Any) -> None:
    """Set the bits of a value."""
    step = mix(value ^ _FACTOR) | np.uint64(1)
    size = np.uint64(bits.size * 64)
    for _ in range(hashes):
        place = value % size
        bits[place >> np.uint64(6)] |= np.uint64(1) << (place & np.uint64(63))
        value += step


@inner
def _ngrams(values: Any, first: Any, last: Any, ngram: Any, shortest: Any, out: Any) -> Any:
    """Write the hashes of the n-grams of values[first:last]; their number."""
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
    threshold: Any, whole: Any, also_whole: Any, bits: Any, hashes: Any, counts: Any, froms: Any, tos: Any,
) -> Any:  # fmt: skip
    """Ranges to take out of each text; with an empty filter only their n-grams are counted. Returns that count."""
    grams = np.empty(values.size + 1, np.uint64)
    k = 0
    every = 0
    for text in range(begins.size):
        size = lasts[text] - begins[text]
        token, until = offsets[text], offsets[text + 1]
        begin = k
        total = seen = 0
        start = 0
        while start < size:
            end = start + (data[begins[text] + start] == LINE_FEED)
            while end < size and (whole or data[begins[text] + end] != LINE_FEED):
                end += 1
            first = token
            while token < until and starts[token] < end:
                token += 1
            n = _ngrams(values, first, token, ngram, shortest, grams)
            total += n
            if bits.size:
                here = 0
                for g in range(n):
                    here += _in_filter(bits, hashes, grams[g])
                seen += here
                if n and here / n > threshold:
                    froms[k], tos[k] = start, end
                    k += 1
                else:
                    for g in range(n):
                        _put(bits, hashes, grams[g])
            start = end
        if also_whole and total and seen / total > threshold:
            k = begin
            froms[k], tos[k] = 0, size
            k += 1
        counts[text + 1] = k
        every += total
    return every


class NgramFilter:
    """The filter and what it has seen; chunks of texts come in the order of the corpus."""

    def __init__(
        self, ngrams: int, *, ngram: int, min_tokens: int, threshold: float, false_positives: float, remove: Remove
    ) -> None:
        self._arguments = (ngram, min_tokens, threshold, remove == "document", remove == "old-both")
        bits = filter_bits(ngrams, false_positives)
        self._hashes = filter_hashes(ngrams, bits)
        self._bits = np.zeros(-(-bits // 64), np.uint64)

    def __call__(self, texts: pa.Array) -> Ranges:
        """The ranges to take out of each text."""
        return _run(texts, self._arguments, self._bits, self._hashes)[1]


def count_ngrams(texts: pa.Array, *, ngram: int, min_tokens: int, remove: Remove) -> int:
    """How many n-grams a filter for these texts must hold."""
    return _run(texts, (ngram, min_tokens, 1.0, remove == "document", False), np.zeros(0, np.uint64), 0)[0]


def _run(texts: pa.Array, arguments: Any, bits: npt.NDArray[np.uint64], hashes: int) -> tuple[int, Ranges]:
    data, begins, lasts = text_buffers(texts)
    tokens: Tokens = find_tokens(texts)
    counts = np.zeros(len(texts) + 1, np.int64)
    room = len(texts) + (int(np.count_nonzero(data == LINE_FEED)) if bits.size else 0)
    froms, tos = np.zeros(room, np.int64), np.zeros(room, np.int64)
    total = _dedup(
        data, begins, lasts, tokens.offsets, tokens.starts, tokens.hashes, *arguments, bits, hashes, counts, froms, tos
    )
    return int(total), join(Ranges(counts, froms[: counts[-1]], tos[: counts[-1]]))


def dedup_ngrams(
    texts: Texts,
    *,
    ngram: int = 13,
    min_tokens: int = 13,
    threshold: float = 0.8,
    false_positives: float = 0.01,
    remove: Remove = "old-both",
) -> Ranges:
    """The ranges of texts in memory whose n-grams have been seen before; `pipeline.filters.kernels.spans.apply` takes them out.

    The defaults are DCLM-Baseline's (its dedup/README and Li et al. 2024, appendix K.4).
    """
    array = as_text_array(texts)
    ngrams = count_ngrams(array, ngram=ngram, min_tokens=min_tokens, remove=remove)
    seen = NgramFilter(
        ngrams, ngram=ngram, min_tokens=min_tokens, threshold=threshold, false_positives=false_positives, remove=remove
    )
    return seen(array)
