"""FineWeb's own three rules: Penedo et al. 2024 (arXiv:2406.17557), section 3.6.

The paper removes documents whose fraction of lines ending with punctuation is ≤ 0.12 (10.14 % of tokens), whose
fraction of characters in duplicated lines is ≥ 0.1 (12.47 %), or whose fraction of lines shorter than 30 characters is
≥ 0.67 (3.73 %). RULES has the paper's numbers. datatrove's FineWebQualityFilter, which made FineWeb, has
char_duplicates_ratio = 0.01 and also counts lines of exactly 30 characters as short; DATATROVE_RULES has its numbers.
"""

from collections.abc import Sequence

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.rules import Rule
from pipeline.filters.verdicts import Verdicts, judge


def line_punct_ratio(docs: Batch) -> FloatArray:
    """Share of lines that end with a sentence terminal (. ! ? … and other scripts'); NaN without lines.

    Quotes, brackets and citations behind it ("gone.”", "gone.[1]") are left out, which datatrove does not do: the lines of a
    dialogue are sentences too. `datatrove_line_punct_ratio` counts as datatrove does.
    """
    return ratio(docs.layout.terminal_lines, docs.layout.lines)


def short_line_ratio(docs: Batch) -> FloatArray:
    """Share of lines with fewer than 30 characters; NaN without lines."""
    return ratio(docs.layout.short_lines, docs.layout.lines)


def fineweb_duplicate_line_char_ratio(docs: Batch) -> FloatArray:
    """Share of characters in copies of an earlier line, line breaks not counted; NaN without characters."""
    return ratio(docs.layout.duplicate_line_characters, docs.words.characters - docs.words.breaks)


def line_break_word_ratio(docs: Batch) -> FloatArray:
    """Line breaks per token (datatrove's unpublished "list_ratio"); NaN without tokens."""
    return ratio(docs.words.breaks, docs.words.tokens)


SIGNALS = (line_punct_ratio, short_line_ratio, fineweb_duplicate_line_char_ratio, line_break_word_ratio)

RULES = (
    Rule(signal="line_punct_ratio", above=0.12),
    Rule(signal="fineweb_duplicate_line_char_ratio", below=0.1),
    Rule(signal="short_line_ratio", below=0.67),
)

DATATROVE_RULES = (
    Rule(signal="line_punct_ratio", min=0.12),
    Rule(signal="fineweb_duplicate_line_char_ratio", max=0.01),
    Rule(signal="short_line_ratio", max=0.67),
    Rule(signal="line_break_word_ratio", max=0.3),
)


def evaluate(texts: Texts, rules: Sequence[Rule] = RULES) -> Verdicts:
    """Judge texts by FineWeb's three rules, or by rules of your own on this module's signals."""
    return judge(texts, rules, SIGNALS)
