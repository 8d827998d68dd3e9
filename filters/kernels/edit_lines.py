"""Applies the rules on lines: the loop of `pipeline.filters.edits`."""

from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.filters.kernels.arrays import Strings
from pipeline.filters.kernels.ascii import LINE_FEED
from pipeline.filters.kernels.line_patterns import (
    ends_well,
    holds,
    is_counter,
    scan,
    without_boilerplate,
    without_citations,
)
from pipeline.filters.options import LineRules
from pipeline.kernels import inner, kernel

RULES = tuple(rule.name for rule in fields(LineRules))
"""In the order they are checked; a line is removed for the first one that it breaks."""
# Columns of `Outcome.lines` and `Outcome.words`.
_LONG_WORD = RULES.index("max_word_characters")
_CITATION = RULES.index("citations")
BLANK = RULES.index("blank_lines")
_NO_END_MARK = RULES.index("end_marks")
_FEW_WORDS = RULES.index("min_line_words")
_PHRASE = RULES.index("phrases")
_CAPITALS = RULES.index("max_uppercase_ratio")
_NUMERIC = RULES.index("numeric_lines")
_COUNTER = RULES.index("counter_lines")
_BOILERPLATE = RULES.index("boilerplate")
KEPT = -1

_SHORT = 10  # words; RefinedWeb: "if it is short (≤ 10 words) and matches a pattern"


class Checks(NamedTuple):
    """`LineRules` as the kernel reads them."""

    citations: bool
    blank_lines: bool
    max_word_characters: int
    end_marks: npt.NDArray[np.int64]  # code points
    min_line_words: int
    phrases: Strings
    max_uppercase_ratio: float  # infinity: off
    numeric_lines: bool
    counter_lines: bool
    counted: Strings
    boilerplate: bool


class Outcome(NamedTuple):
    """What the kernel writes about n documents."""

    buffer: npt.NDArray[np.uint8]  # the edited texts, one after another
    offsets: npt.NDArray[np.int64]  # (n + 1,) of the texts in it
    lines: npt.NDArray[np.int32]  # (n, rules) lines removed
    words: npt.NDArray[np.int32]  # (n, rules) words removed
    totals: npt.NDArray[np.int64]  # (n, 2) lines that are not blank, and words
    log: npt.NDArray[np.int64]  # (0 or enough, 3) start, end and rule of each line that is removed or changed


@kernel
def mark_unchanged(data: Any, starts: Any, ends: Any, buffer: Any, offsets: Any, same: Any) -> None:
    """Write for each document whether its edited text equals its text."""
    for document in range(len(starts)):
        size = ends[document] - starts[document]
        if offsets[document + 1] - offsets[document] == size:
            k = 0
            while k < size and data[starts[document] + k] == buffer[offsets[document] + k]:
                k += 1
            same[document] = k == size


@inner
def _note(log: Any, row: Any, start: Any, end: Any, rule: Any) -> Any:
    """Write a line into the log, if there is one; returns the next row."""
    if len(log) == 0:
        return row
    log[row, 0], log[row, 1], log[row, 2] = start, end, rule
    return row + 1


@kernel
def edit(data: Any, starts: Any, ends: Any, classes: Any, checks: Any, out: Any) -> None:
    """Edit the documents `data[starts[i]:ends[i]]` by `Checks` into `Outcome`.

    A line is copied to its position in the output and changed there; a removed line is overwritten by the next.
    """
    buffer, lines, words, log = out.buffer, out.lines, out.words, out.log
    written = 0  # bytes of output
    for document in range(len(starts)):
        begin, content, log_row = written, written, 0  # `content`: the end of the last non-blank line in the output
        i, end = starts[document], ends[document]
        while i < end:
            stop, after, total, counted_words, longest, upper, digits, length, first, last, bracket = scan(
                data, i, end, classes
            )
            out.totals[document, 0] += first < last
            out.totals[document, 1] += counted_words
            text_start, text_end = (first, last) if checks.blank_lines else (i, stop)
            reason, kept_words = KEPT, counted_words
            line_start = written + (content > begin)  # after a line feed, except for the first line
            size = text_end - text_start
            if longest > checks.max_word_characters:
                reason = _LONG_WORD
            elif first == last:
                reason = BLANK if checks.blank_lines else KEPT
            else:
                for k in range(size):
                    buffer[line_start + k] = data[text_start + k]

                # Remove citations, then measure the line again.
                if checks.citations and bracket:
                    shorter = without_citations(buffer, line_start, line_start + size) - line_start
                    if shorter < size:
                        size = shorter
                        _, _, total, kept_words, _, upper, digits, length, first, last, _ = scan(
                            buffer, line_start, line_start + size, classes
                        )
                        words[document, _CITATION] += counted_words - kept_words
                        if first == last:
                            reason = _CITATION
                        else:
                            log_row = _note(log, log_row, i, stop, _CITATION)

                # Judge the rest of the line.
                if (
                    reason == KEPT
                    and len(checks.end_marks)
                    and not ends_well(buffer, line_start, line_start + size, checks.end_marks)
                ):
                    reason = _NO_END_MARK
                elif reason == KEPT and total < checks.min_line_words:
                    reason = _FEW_WORDS
                elif reason == KEPT and holds(buffer, line_start, line_start + size, checks.phrases):
                    reason = _PHRASE
                elif reason == KEPT and upper > checks.max_uppercase_ratio * length:
                    reason = _CAPITALS
                elif reason == KEPT and checks.numeric_lines and digits == length:
                    reason = _NUMERIC
                elif (
                    reason == KEPT
                    and checks.counter_lines
                    and is_counter(buffer, line_start, line_start + size, classes, checks.counted)
                ):
                    reason = _COUNTER
                elif reason == KEPT and checks.boilerplate and total <= _SHORT:
                    shorter = without_boilerplate(buffer, line_start, line_start + size, classes) - line_start
                    if shorter < size:
                        size = shorter
                        _, _, _, words_after, _, _, _, _, first, last, _ = scan(
                            buffer, line_start, line_start + size, classes
                        )
                        if first == last:
                            reason = _BOILERPLATE
                        else:
                            words[document, _BOILERPLATE] += kept_words - words_after
                            log_row = _note(log, log_row, i, stop, _BOILERPLATE)

            if reason != KEPT:
                lines[document, reason] += 1
                words[document, reason] += kept_words if reason != _CITATION else 0
                log_row = _note(log, log_row, i, stop, reason)
            elif first == last:  # a blank line stays, unless it comes first
                if content > begin:
                    buffer[written] = LINE_FEED
                    for k in range(size):
                        buffer[written + 1 + k] = data[text_start + k]
                    written += 1 + size
            else:
                if content > begin:
                    buffer[written] = LINE_FEED
                written = line_start + size
                content = written
            i = after
        written = content  # drop blank lines at the end
        out.offsets[document + 1] = written
