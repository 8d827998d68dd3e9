"""Lines as datatrove 0.10 counts them, where `pipeline.filters.gopher` and `fineweb` count as the papers read.

GopherQualityFilter counts blank lines among the lines; GopherRepetitionFilter strips nothing; FineWebQualityFilter looks at
the last character of a line, white space too, and takes lines of 30 characters for short. Its words are spaCy's tokens, symbols
among them; ours differ from these where spaCy knows an abbreviation or keeps an address in one piece.
"""

import numpy as np
import numpy.typing as npt

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.spacy import token_differences

_Counts = npt.NDArray[np.int64]


def datatrove_alpha_word_ratio(docs: Batch) -> FloatArray:
    """Share of spaCy's tokens, symbols among them, that hold a letter (`pipeline.filters.spacy`); NaN without any."""
    tokens, lettered = _differences(docs)
    return ratio(docs.words.alphabetic + lettered, docs.words.tokens + tokens)


def datatrove_line_break_word_ratio(docs: Batch) -> FloatArray:
    """Line feeds per token of spaCy's; NaN without any."""
    return ratio(docs.pieces.counts.raw_lines - 1, docs.words.tokens + _differences(docs)[0])


def _differences(docs: Batch) -> tuple[_Counts, _Counts]:
    if "spacy" not in docs.shared:
        docs.shared["spacy"] = token_differences(docs.data, docs.starts, docs.ends)
    found: tuple[_Counts, _Counts] = docs.shared["spacy"]
    return found


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


def datatrove_duplicate_paragraph_ratio(docs: Batch) -> FloatArray:
    """Share of paragraphs, not stripped, that are copies of an earlier one; NaN without paragraphs."""
    return ratio(docs.pieces.counts.raw_paragraph_copies, docs.pieces.counts.raw_paragraphs)


def datatrove_duplicate_paragraph_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in paragraphs, not stripped, which are copies of an earlier one; NaN for an empty text."""
    return ratio(docs.pieces.counts.raw_paragraph_copy_characters, docs.words.characters)


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


def _lines(docs: Batch) -> _Counts:
    counts = docs.pieces.counts
    return counts.raw_lines - 1 + counts.unclosed * (docs.words.characters > 0)


SIGNALS = (
    datatrove_alpha_word_ratio,
    datatrove_line_break_word_ratio,
    datatrove_bullet_line_ratio,
    datatrove_ellipsis_line_ratio,
    datatrove_duplicate_line_ratio,
    datatrove_duplicate_line_char_ratio,
    datatrove_duplicate_paragraph_ratio,
    datatrove_duplicate_paragraph_char_ratio,
    datatrove_line_punct_ratio,
    datatrove_short_line_ratio,
    datatrove_duplicate_char_ratio,
)
