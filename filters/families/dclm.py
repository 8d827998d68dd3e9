"""Gopher's rules as DCLM counts (baselines/mappers/filters/content_filters.py): words are pieces between white space, but
n-grams run over words of UAX #29 without symbols; lines are stripped; the first occurrence of a repeat counts too, once.
"""

from collections.abc import Callable

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.kernels.whitespace_words import NGRAMS


def dclm_words(docs: Batch) -> FloatArray:
    """Pieces between white space that begin with a letter or number."""
    return docs.pieces.counts.worded.astype(np.float64)


def dclm_mean_word_length(docs: Batch) -> FloatArray:
    """Mean length of a piece in characters, including punctuation; NaN without pieces."""
    return ratio(docs.pieces.counts.characters, docs.pieces.counts.pieces)


def dclm_symbol_word_ratio(docs: Batch) -> FloatArray:
    """ "#", "...", ". . ." and "…" per piece; NaN without pieces."""
    symbols = docs.words.hashes + docs.words.ellipses + docs.count(". . .")
    return ratio(symbols, docs.pieces.counts.pieces)


def dclm_bullet_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines that begin with ● • * or -; NaN without lines."""
    return ratio(docs.pieces.counts.bullets, docs.pieces.counts.lines)


def dclm_ellipsis_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines that end with "...", ". . ." or "…"; NaN without lines."""
    return ratio(docs.pieces.counts.ellipses, docs.pieces.counts.lines)


def dclm_alpha_word_ratio(docs: Batch) -> FloatArray:
    """Share of pieces that contain a letter; NaN without pieces."""
    return ratio(docs.pieces.counts.alphabetic, docs.pieces.counts.pieces)


def dclm_stop_words(docs: Batch) -> FloatArray:
    """Occurrences of Gopher's eight stop words as pieces, in any case."""
    return docs.pieces.counts.stop_words_any_case.astype(np.float64)


def dclm_duplicate_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines that occur more than once; NaN without lines."""
    return ratio(docs.pieces.counts.copies, docs.pieces.counts.lines)


def dclm_duplicate_line_char_ratio(docs: Batch) -> FloatArray:
    """Share of the characters of lines in lines that occur more than once; NaN without lines."""
    return ratio(docs.pieces.counts.copy_characters, docs.pieces.counts.line_characters)


def dclm_duplicate_paragraph_ratio(docs: Batch) -> FloatArray:
    """Share of paragraphs that occur more than once; NaN without paragraphs."""
    return ratio(docs.pieces.counts.paragraph_copies, docs.pieces.counts.paragraphs)


def dclm_duplicate_paragraph_char_ratio(docs: Batch) -> FloatArray:
    """Share of the characters of paragraphs in paragraphs that occur more than once; NaN without paragraphs."""
    return ratio(docs.pieces.counts.paragraph_copy_characters, docs.pieces.counts.paragraph_characters)


def _top(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        return ratio(docs.word_ngrams.ngrams.top_longest[:, n - NGRAMS[0]], docs.word_ngrams.characters)

    share.__name__ = f"dclm_top_{n}gram_char_ratio"
    share.__doc__ = (
        f"Share of the characters of words in the most frequent {n}-gram, the longest of ties; 0 if none repeats."
    )
    return share


def _duplicate(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        return ratio(docs.word_ngrams.ngrams.covered[:, n - NGRAMS[0]], docs.word_ngrams.characters)

    share.__name__ = f"dclm_duplicate_{n}gram_char_ratio"
    share.__doc__ = f"Share of the characters of words that repeated {n}-grams cover; none counts twice."
    return share


SIGNALS = (
    dclm_words,
    dclm_mean_word_length,
    dclm_symbol_word_ratio,
    dclm_bullet_line_ratio,
    dclm_ellipsis_line_ratio,
    dclm_alpha_word_ratio,
    dclm_stop_words,
    dclm_duplicate_line_ratio,
    dclm_duplicate_line_char_ratio,
    dclm_duplicate_paragraph_ratio,
    dclm_duplicate_paragraph_char_ratio,
    *(_top(n) for n in (2, 3, 4)),
    *(_duplicate(n) for n in range(5, 11)),
)
