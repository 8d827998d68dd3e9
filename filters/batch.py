"""A batch of documents as every signal sees it: Arrow's own bytes, and what the kernels find in them, computed once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arguments import text_array
from pipeline.filters.kernels.arrays import Texts, packed, text_buffers
from pipeline.filters.kernels.layout import LayoutStatistics, layout_statistics
from pipeline.filters.kernels.line_patterns import count_phrases
from pipeline.filters.kernels.whitespace_words import Statistics, WordNgrams, piece_statistics, spelt, word_ngrams
from pipeline.filters.kernels.words import WordStatistics, word_statistics

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Documents; some may be null. `words` and `layout` are counted on first use and shared by all signals.

    A null document counts as an empty text here; `pipeline.filters.signals.measure` returns null for it.
    """

    array: pa.Array  # of string or large_string: for signals written with pyarrow.compute
    data: npt.NDArray[np.uint8]  # the UTF-8 of all texts, not copied
    starts: npt.NDArray[np.int64]  # document i is data[starts[i]:ends[i]]
    ends: npt.NDArray[np.int64]
    shared: dict[str, Any] = field(default_factory=dict)  # results that several signals of one module share
    languages: pa.Array | None = None  # one label per document, if known

    @classmethod
    def from_arrow(cls, array: Texts, languages: pa.Array | None = None) -> "Batch":
        """A batch over a string or large_string array, which may be a slice and may have nulls. Only chunks cost a copy.

        languages: one label per document.
        """
        array = text_array(array)
        return cls(array, *text_buffers(array), languages=languages)

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def words(self) -> WordStatistics:
        """Tokens, words, characters, sentences and repeated n-grams, as defined in `pipeline.filters.kernels.words`."""
        return word_statistics(self.data, self.starts, self.ends)

    @cached_property
    def layout(self) -> LayoutStatistics:
        """Lines and paragraphs, as defined in `pipeline.filters.kernels.layout`."""
        return layout_statistics(self.data, self.starts, self.ends)

    @cached_property
    def pieces(self) -> Statistics:
        """Pieces between white space, their n-grams, raw and stripped lines (`pipeline.filters.kernels.whitespace_words`)."""
        return piece_statistics(self.data, self.starts, self.ends)

    @cached_property
    def folded(self) -> Statistics:
        """Pieces in lower case and without ASCII punctuation, and their n-grams."""
        texts = Batch.from_arrow(spelt(self.array))
        return piece_statistics(texts.data, texts.starts, texts.ends, fold=True)

    @cached_property
    def word_ngrams(self) -> WordNgrams:
        """n-grams of words without symbols, and how often tokens follow themselves."""
        return word_ngrams(self.data, self.starts, self.ends)

    def count(self, *phrases: str) -> FloatArray:
        """Occurrences of ASCII phrases, in any case, in one pass. Occurrences of the same phrase do not overlap."""
        lowered = [phrase.lower().encode("ascii") for phrase in phrases]
        begins = np.zeros(256, np.bool_)
        for phrase in lowered:
            begins[[phrase[0], ord(phrase[:1].upper())]] = True
        counts, free = np.zeros(len(self), np.float64), np.empty(len(lowered), np.int64)
        count_phrases(self.data, self.starts, self.ends, packed(lowered), begins, free, counts)
        return counts


def ratio(part: npt.NDArray[Any], total: npt.NDArray[Any]) -> FloatArray:
    """`part / total`, NaN where `total` is 0."""
    result = np.full(len(total), np.nan)
    np.divide(part, total, out=result, where=total != 0)
    return result


SignalFunction = Callable[[Batch], FloatArray]
"""A signal: a number for each document of a batch."""
