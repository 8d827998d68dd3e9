"""Lines as datatrove 0.10 counts them, where `pipeline.filters.gopher` and `fineweb` count as the papers read.

GopherQualityFilter counts blank lines among the lines; GopherRepetitionFilter strips nothing; FineWebQualityFilter looks at
the last character of a line, white space too, and takes lines of 30 characters for short. Its words are spaCy's tokens, symbols
among them; ours differ from these where spaCy knows an abbreviation or keeps an address in one piece.
"""

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio


def datatrove_alpha_word_ratio(docs: Batch) -> FloatArray:
    """Share of words and symbols that hold a letter, contractions in two as spaCy has them (do|n't); NaN without either."""
    parts = docs.words.contractions
    return ratio(docs.words.alphabetic + parts, docs.words.tokens + parts)


def datatrove_bullet_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, blank ones too, that begin with • or -; NaN for an empty text."""
    return ratio(docs.pieces.counts.few_bullets, _lines(docs))


def datatrove_ellipsis_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, blank ones too, that end with "..." or "…"; NaN for an empty text."""
    return ratio(docs.pieces.counts.plain_ellipses, _lines(docs))


def datatrove_duplicate_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, not stripped, that are copies of an earlier line; NaN without lines."""
    return ratio(docs.pieces.counts.filled_copies, docs.pieces.counts.filled_lines)


def datatrove_duplicate_line_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters that lie in lines, not stripped, which are copies of an earlier line; NaN for an empty text."""
    return ratio(docs.pieces.counts.filled_copy_characters, docs.words.characters)


def datatrove_line_punct_ratio(docs: Batch) -> FloatArray:
    """Share of lines, not stripped, that end with a sentence terminal; NaN without lines."""
    return ratio(docs.pieces.counts.raw_terminals, docs.pieces.counts.lines)


def datatrove_short_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, not stripped, of up to 30 characters; NaN without lines."""
    return ratio(docs.pieces.counts.raw_short, docs.pieces.counts.lines)


def datatrove_duplicate_char_ratio(docs: Batch) -> FloatArray:
    """Share of characters, line feeds left out, in lines, not stripped, that are copies of an earlier one (FineWeb's)."""
    counts = docs.pieces.counts
    return ratio(counts.visible_copy_characters, docs.words.characters - (counts.raw_lines - 1))


def _lines(docs: Batch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    counts = docs.pieces.counts
    return counts.raw_lines - 1 + counts.unclosed * (docs.words.characters > 0)


SIGNALS = (
    datatrove_alpha_word_ratio,
    datatrove_bullet_line_ratio,
    datatrove_ellipsis_line_ratio,
    datatrove_duplicate_line_ratio,
    datatrove_duplicate_line_char_ratio,
    datatrove_line_punct_ratio,
    datatrove_short_line_ratio,
    datatrove_duplicate_char_ratio,
)
