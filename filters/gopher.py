"""Gopher's rules for MassiveText: Rae et al. 2021 (arXiv:2112.11446), appendix A1.1 and its table A1.

The paper gives thresholds and says little about what it counts. A word here is a word, as the paper writes, not a token:
symbols do not count (`pipeline.filters.kernels.words`). Where the paper is silent we count as datatrove does, since
FineWeb's ablations ran on that code: n-grams run over words and symbols, and the first occurrence of a repeated line,
paragraph or n-gram does not count as a repetition. Shares of characters are shares of all characters of the text. Unlike
in datatrove, blank lines do not count as lines (`pipeline.filters.kernels.layout`).

The paper does not say whether "The" is the stop word "the", nor whether a stop word that occurs twice counts twice. Here a
stop word counts in any case and once: DCLM too takes any case, while datatrove and dolma take lower case only; datatrove too
counts each once (`datatrove_stop_words`, `dolma_stop_words` and `dclm_stop_words` count as they do).

The choice of words or tokens matters most for the share with a letter: punctuation makes up about a sixth of running text,
so per token the bound of 0.8 cuts through good pages. Of 982 English pages it drops 4 per word and 219 per token
(datatrove's own code: 171; tests/benchmarks/conformance/datatrove.py). `alpha_token_ratio` is there for comparison.

A signal is NaN where it is undefined: a ratio per word without words, a ratio of an empty text.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.kernels.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS
from pipeline.filters.rules import Rule
from pipeline.filters.verdicts import Verdicts, judge


def words(docs: Batch) -> FloatArray:
    """Words: tokens that are not symbols."""
    return docs.words.words.astype(np.float64)


def mean_word_length(docs: Batch) -> FloatArray:
    """Mean length of a word in characters; NaN without words."""
    return ratio(docs.words.word_characters, docs.words.words)


def hash_word_ratio(docs: Batch) -> FloatArray:
    """Hash signs (#) per word; NaN without words."""
    return ratio(docs.words.hashes, docs.words.words)


def ellipsis_word_ratio(docs: Batch) -> FloatArray:
    """Ellipses ("..." or "…") per word; NaN without words."""
    return ratio(docs.words.ellipses, docs.words.words)


def bullet_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines that begin with a bullet point (• ● * -); NaN without lines."""
    return ratio(docs.layout.bullet_lines, docs.layout.lines)


def ellipsis_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines that end with an ellipsis ("..." or "…"); NaN without lines."""
    return ratio(docs.layout.ellipsis_lines, docs.layout.lines)


def alpha_word_ratio(docs: Batch) -> FloatArray:
    """Share of words that contain a letter; NaN without words."""
    return ratio(docs.words.alphabetic, docs.words.words)


def alpha_token_ratio(docs: Batch) -> FloatArray:
    """Share of words and symbols that contain a letter, as datatrove counts; NaN without either."""
    return ratio(docs.words.alphabetic, docs.words.tokens)


def stop_words(docs: Batch) -> FloatArray:
    """How many of the words "the be to of and that have with" occur, in any case; each counts once."""
    return docs.words.stop_words.astype(np.float64)


def duplicate_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines that are copies of an earlier line; NaN without lines."""
    return ratio(docs.layout.duplicate_lines, docs.layout.lines)


def duplicate_paragraph_ratio(docs: Batch) -> FloatArray:
    """Share of paragraphs that are copies of an earlier paragraph; NaN without paragraphs."""
    return ratio(docs.layout.duplicate_paragraphs, docs.layout.paragraphs)


def duplicate_line_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in lines that are copies of an earlier line; NaN for an empty text."""
    return ratio(docs.layout.duplicate_line_characters, docs.words.characters)


def duplicate_paragraph_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in paragraphs that are copies of an earlier one; NaN for an empty text."""
    return ratio(docs.layout.duplicate_paragraph_characters, docs.words.characters)


def top_2gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in occurrences of the most frequent 2-gram, spaces between its tokens included."""
    return _top(docs, 2)


def top_3gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in occurrences of the most frequent 3-gram."""
    return _top(docs, 3)


def top_4gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in occurrences of the most frequent 4-gram."""
    return _top(docs, 4)


def duplicate_5gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in repeated 5-grams; none counts twice, first occurrences do not count."""
    return _duplicate(docs, 5)


def duplicate_6gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in repeated 6-grams."""
    return _duplicate(docs, 6)


def duplicate_7gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in repeated 7-grams."""
    return _duplicate(docs, 7)


def duplicate_8gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in repeated 8-grams."""
    return _duplicate(docs, 8)


def duplicate_9gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in repeated 9-grams."""
    return _duplicate(docs, 9)


def duplicate_10gram_char_ratio(docs: Batch) -> FloatArray:
    """Share of all characters in repeated 10-grams."""
    return _duplicate(docs, 10)


def _top(docs: Batch, n: int) -> FloatArray:
    return ratio(docs.words.top[:, TOP_NGRAMS.index(n)], docs.words.characters)


def _duplicate(docs: Batch, n: int) -> FloatArray:
    return ratio(docs.words.duplicate[:, DUPLICATE_NGRAMS.index(n)], docs.words.characters)


SIGNALS = (
    words,
    mean_word_length,
    hash_word_ratio,
    ellipsis_word_ratio,
    bullet_line_ratio,
    ellipsis_line_ratio,
    alpha_word_ratio,
    alpha_token_ratio,
    stop_words,
    duplicate_line_ratio,
    duplicate_paragraph_ratio,
    duplicate_line_char_ratio,
    duplicate_paragraph_char_ratio,
    top_2gram_char_ratio,
    top_3gram_char_ratio,
    top_4gram_char_ratio,
    duplicate_5gram_char_ratio,
    duplicate_6gram_char_ratio,
    duplicate_7gram_char_ratio,
    duplicate_8gram_char_ratio,
    duplicate_9gram_char_ratio,
    duplicate_10gram_char_ratio,
)

# Appendix A1.1, "Quality filtering". The stop words are English: the rule does not apply to documents in other languages.
GOPHER_QUALITY = (
    Rule(signal="words", min=50, max=100_000),  # "between 50 and 100,000 words"
    Rule(signal="mean_word_length", min=3, max=10),  # "outside the range of 3 to 10 characters"
    Rule(signal="hash_word_ratio", max=0.1),  # "symbol-to-word ratio greater than 0.1 for either the hash symbol …
    Rule(signal="ellipsis_word_ratio", max=0.1),  # … or the ellipsis"
    Rule(signal="bullet_line_ratio", max=0.9),  # "more than 90% of lines starting with a bullet point"
    Rule(signal="ellipsis_line_ratio", max=0.3),  # "more than 30% ending with an ellipsis"
    Rule(signal="alpha_word_ratio", min=0.8),  # "80% of words contain at least one alphabetic character"
    Rule(signal="stop_words", min=2, languages=("en",)),  # "at least two of" the eight
)

# Table A1, "Thresholds for repetitious text": documents above any of them are removed.
GOPHER_REPETITION = (
    Rule(signal="duplicate_line_ratio", max=0.30),
    Rule(signal="duplicate_paragraph_ratio", max=0.30),
    Rule(signal="duplicate_line_char_ratio", max=0.20),
    Rule(signal="duplicate_paragraph_char_ratio", max=0.20),
    Rule(signal="top_2gram_char_ratio", max=0.20),
    Rule(signal="top_3gram_char_ratio", max=0.18),
    Rule(signal="top_4gram_char_ratio", max=0.16),
    Rule(signal="duplicate_5gram_char_ratio", max=0.15),
    Rule(signal="duplicate_6gram_char_ratio", max=0.14),
    Rule(signal="duplicate_7gram_char_ratio", max=0.13),
    Rule(signal="duplicate_8gram_char_ratio", max=0.12),
    Rule(signal="duplicate_9gram_char_ratio", max=0.11),
    Rule(signal="duplicate_10gram_char_ratio", max=0.10),
)


def evaluate(texts: Texts, rules: Sequence[Rule] = GOPHER_QUALITY + GOPHER_REPETITION) -> Verdicts:
    """Judge texts (taken as English) by Gopher's rules, or by rules of your own on this module's signals."""
    return judge(texts, rules, SIGNALS)
