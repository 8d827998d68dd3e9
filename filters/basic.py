"""Plain measures of a text, not from any paper: useful in histograms and in rules of your own."""

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio


def characters(docs: Batch) -> FloatArray:
    """Characters (code points)."""
    return docs.words.characters.astype(np.float64)


def lines(docs: Batch) -> FloatArray:
    """Lines that are not blank."""
    return docs.layout.lines.astype(np.float64)


def paragraphs(docs: Batch) -> FloatArray:
    """Paragraphs: runs of lines between blank lines."""
    return docs.layout.paragraphs.astype(np.float64)


def digit_char_ratio(docs: Batch) -> FloatArray:
    """Share of characters that are decimal digits; NaN for an empty text."""
    return ratio(docs.words.digits, docs.words.characters)


def whitespace_char_ratio(docs: Batch) -> FloatArray:
    """Share of characters that are white space; NaN for an empty text."""
    return ratio(docs.words.spaces, docs.words.characters)


def uppercase_letter_ratio(docs: Batch) -> FloatArray:
    """Upper-case letters per letter; NaN without letters."""
    return ratio(docs.words.uppercase, docs.words.letters)


SIGNALS = (characters, lines, paragraphs, digit_char_ratio, whitespace_char_ratio, uppercase_letter_ratio)
