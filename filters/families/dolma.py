"""Gopher's rules as dolma counts (python/dolma/taggers/gopher.py): words are pieces between white space; the word length is a
median; the first occurrence of a repeat counts too; overlapping n-grams all count; lines are not stripped.

Only "…" counts as an ellipsis, and the symbol ratio counts words that contain a symbol. The mixing configurations of Dolma
1.5 and 1.6 name attributes for the most common n-grams that the tagger does not write, so those three rules never fire.
"""

from collections.abc import Callable

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.kernels.whitespace_words import NGRAMS


def dolma_words(docs: Batch) -> FloatArray:
    """Pieces between white space."""
    return docs.pieces.counts.pieces.astype(np.float64)


def dolma_median_word_length(docs: Batch) -> FloatArray:
    """Median length of a piece in characters; 0 without pieces."""
    return docs.pieces.counts.median_twice / 2


def dolma_symbol_word_ratio(docs: Batch) -> FloatArray:
    """Share of pieces that contain "#" or "…"; 0 without pieces."""
    return _share(docs.pieces.counts.with_symbol, docs.pieces.counts.pieces)


def dolma_alpha_word_ratio(docs: Batch) -> FloatArray:
    """Share of pieces that contain a letter; 0 without pieces."""
    return _share(docs.pieces.counts.alphabetic, docs.pieces.counts.pieces)


def dolma_stop_words(docs: Batch) -> FloatArray:
    """Occurrences of Gopher's eight stop words as pieces, in lower case."""
    return docs.pieces.counts.stop_words.astype(np.float64)


def dolma_bullet_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, including blank ones, whose first character is * or -."""
    return _share(docs.pieces.counts.raw_bullets, docs.pieces.counts.raw_lines)


def dolma_ellipsis_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, including blank ones, that end with "…"."""
    return _share(docs.pieces.counts.raw_ellipses, docs.pieces.counts.raw_lines)


def dolma_duplicate_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, including blank ones, that occur more than once."""
    return _share(docs.pieces.counts.raw_copies, docs.pieces.counts.raw_lines)


def dolma_duplicate_line_char_ratio(docs: Batch) -> FloatArray:
    """Characters in lines that occur more than once, per character in pieces; 0 without pieces."""
    return _share(docs.pieces.counts.raw_copy_characters, docs.pieces.counts.characters)


def _share(
    part: np.ndarray[tuple[int], np.dtype[np.int64]], total: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> FloatArray:
    return part / np.maximum(total, 1)


def _top(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        return _share(docs.pieces.ngrams.top_first[:, n - NGRAMS[0]], docs.pieces.counts.characters)

    share.__name__ = f"dolma_top_{n}gram_char_ratio"
    share.__doc__ = f"Share of the characters of pieces in the most frequent {n}-gram of pieces."
    return share


def _duplicate(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        grams = docs.pieces.ngrams
        return ratio(grams.repeated[:, n - NGRAMS[0]], grams.all[:, n - NGRAMS[0]])

    share.__name__ = f"dolma_duplicate_{n}gram_char_ratio"
    share.__doc__ = f"Characters in repeated {n}-grams of pieces per character in all {n}-grams; overlaps count again."
    return share


SIGNALS = (
    dolma_words,
    dolma_median_word_length,
    dolma_symbol_word_ratio,
    dolma_alpha_word_ratio,
    dolma_stop_words,
    dolma_bullet_line_ratio,
    dolma_ellipsis_line_ratio,
    dolma_duplicate_line_ratio,
    dolma_duplicate_line_char_ratio,
    *(_top(n) for n in (2, 3, 4)),
    *(_duplicate(n) for n in range(5, 11)),
)
