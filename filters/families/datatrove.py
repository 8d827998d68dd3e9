"""Words, n-grams and lines as datatrove 0.10 counts them; `gopher`, `c4` and `fineweb` count as the papers describe.

Its words are spaCy's English tokens, symbols included (`pipeline.filters.kernels.spacy_tokens`). GopherQualityFilter counts
blank lines. GopherRepetitionFilter strips nothing. FineWebQualityFilter looks at the last character of a line even if it is
white space, and counts lines of 30 characters as short. C4QualityFilter uses spaCy's sentences.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.kernels.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS
from pipeline.filters.kernels.spacy_counts import TokenStatistics, token_statistics

_Counts = npt.NDArray[np.int64]


def _tokens(docs: Batch) -> TokenStatistics:
    if "spacy" not in docs.shared:
        docs.shared["spacy"] = token_statistics(docs.data, docs.starts, docs.ends)
    statistics: TokenStatistics = docs.shared["spacy"]
    return statistics


def datatrove_words(docs: Batch) -> FloatArray:
    """Words: tokens that are not punctuation throughout."""
    return _tokens(docs).words.astype(np.float64)


def datatrove_mean_word_length(docs: Batch) -> FloatArray:
    """Mean length of a word in characters; NaN without words."""
    return ratio(_tokens(docs).word_characters, _tokens(docs).words)


def datatrove_hash_word_ratio(docs: Batch) -> FloatArray:
    """Hash signs (#) per token; NaN without tokens."""
    return ratio(docs.words.hashes, _tokens(docs).tokens)


def datatrove_ellipsis_word_ratio(docs: Batch) -> FloatArray:
    """Ellipses ("..." or "…") per token; NaN without tokens."""
    return ratio(docs.words.ellipses, _tokens(docs).tokens)


def datatrove_alpha_word_ratio(docs: Batch) -> FloatArray:
    """Share of tokens, symbols included, that contain a letter; NaN without tokens."""
    return ratio(_tokens(docs).alphabetic, _tokens(docs).tokens)


def datatrove_stop_words(docs: Batch) -> FloatArray:
    """How many of the words "the be to of and that have with" occur as tokens, in lower case; each counts once."""
    return _tokens(docs).stop_words.astype(np.float64)


def datatrove_line_break_word_ratio(docs: Batch) -> FloatArray:
    """Line feeds per token; NaN without tokens."""
    return ratio(docs.pieces.counts.raw_lines - 1, _tokens(docs).tokens)


def datatrove_sentences(docs: Batch) -> FloatArray:
    """Sentences, counted line by line; a line without a terminal mark is one sentence."""
    return _tokens(docs).sentences.astype(np.float64)


def _top(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        return ratio(_tokens(docs).top[:, TOP_NGRAMS.index(n)], docs.words.characters)

    share.__name__ = f"datatrove_top_{n}gram_char_ratio"
    share.__doc__ = f"Share of all characters in the most frequent {n}-gram of tokens, spaces between them included."
    return share


def _duplicate(n: int) -> Callable[[Batch], FloatArray]:
    def share(docs: Batch) -> FloatArray:
        return ratio(_tokens(docs).duplicate[:, DUPLICATE_NGRAMS.index(n)], docs.words.characters)

    share.__name__ = f"datatrove_duplicate_{n}gram_char_ratio"
    share.__doc__ = (
        f"Share of all characters in repeated {n}-grams of tokens; none counts twice, first occurrences do not count."
    )
    return share


def datatrove_bullet_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, including blank ones, that begin with • or -; NaN for an empty text."""
    return ratio(docs.pieces.counts.few_bullets, _lines(docs))


def datatrove_ellipsis_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines, including blank ones, that end with "..." or "…"; NaN for an empty text."""
    return ratio(docs.pieces.counts.plain_ellipses, _lines(docs))


def datatrove_duplicate_line_ratio(docs: Batch) -> FloatArray:
    """Share of unstripped lines that are copies of an earlier line; NaN without lines."""
    return ratio(docs.pieces.counts.filled_copies, docs.pieces.counts.filled_lines)


def datatrove_duplicate_line_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in unstripped lines that are copies of an earlier line; NaN for an empty text."""
    return ratio(docs.pieces.counts.filled_copy_characters, docs.words.characters)


def datatrove_duplicate_paragraph_ratio(docs: Batch) -> FloatArray:
    """Share of unstripped paragraphs that are copies of an earlier one; NaN without paragraphs."""
    return ratio(docs.pieces.counts.raw_paragraph_copies, docs.pieces.counts.raw_paragraphs)


def datatrove_duplicate_paragraph_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in unstripped paragraphs that are copies of an earlier one; NaN for an empty text."""
    return ratio(docs.pieces.counts.raw_paragraph_copy_characters, docs.words.characters)


def datatrove_line_punct_ratio(docs: Batch) -> FloatArray:
    """Share of unstripped lines that end with a sentence terminal; NaN without lines."""
    return ratio(docs.pieces.counts.raw_terminals, docs.pieces.counts.lines)


def datatrove_short_line_ratio(docs: Batch) -> FloatArray:
    """Share of unstripped lines with at most 30 characters; NaN without lines."""
    return ratio(docs.pieces.counts.raw_short, docs.pieces.counts.lines)


def datatrove_duplicate_char_ratio(docs: Batch) -> FloatArray:
    """Share of characters other than line feeds in unstripped lines that are copies of an earlier one (FineWeb's rule)."""
    counts = docs.pieces.counts
    return ratio(counts.visible_copy_characters, docs.words.characters - (counts.raw_lines - 1))


def _lines(docs: Batch) -> _Counts:
    counts = docs.pieces.counts
    return counts.raw_lines - 1 + counts.unclosed * (docs.words.characters > 0)


SIGNALS = (
    datatrove_words,
    datatrove_mean_word_length,
    datatrove_hash_word_ratio,
    datatrove_ellipsis_word_ratio,
    datatrove_alpha_word_ratio,
    datatrove_stop_words,
    datatrove_line_break_word_ratio,
    datatrove_sentences,
    datatrove_bullet_line_ratio,
    datatrove_ellipsis_line_ratio,
    datatrove_duplicate_line_ratio,
    datatrove_duplicate_line_char_ratio,
    datatrove_duplicate_paragraph_ratio,
    datatrove_duplicate_paragraph_char_ratio,
    datatrove_line_punct_ratio,
    datatrove_short_line_ratio,
    datatrove_duplicate_char_ratio,
    *(_top(n) for n in TOP_NGRAMS),
    *(_duplicate(n) for n in DUPLICATE_NGRAMS),
)
