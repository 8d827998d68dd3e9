"""Edits of lines: what C4 and RefinedWeb take out of a page before, or after, they judge it.

C4 (Raffel et al. 2020, section 2.2, and the code that made it, tensorflow_datasets' c4_utils.py): lines without a terminal
mark, of few words, with a very long word, with "javascript" or a policy notice go; so do Wikipedia's "[1]" and "[edit]".
RefinedWeb (Penedo et al. 2023, appendix G.2; DCLM's configuration of it has the numbers): lines mainly in upper case, of
digits alone, counters ("3 likes"), of a single word go; "sign-in", "read more..." and "items in cart" go out of short lines.

A line ends at a line break of any kind, and lines are joined again with line feeds. Blank lines at either end of the text
go. A *word* is what stands between white space; where shares of words are measured, only words that begin with a letter
or digit count (as in DCLM). A line that breaks several rules is counted under the first of REASONS.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.kernels.line_patterns import (
    ends_well,
    holds,
    is_counter,
    scan,
    without_boilerplate,
    without_citations,
)
from pipeline.filters.kernels.unicode import character_classes
from pipeline.filters.options import LineRules
from pipeline.kernels import kernel

REASONS = tuple(rule.name for rule in fields(LineRules))
"""Why a line goes, in the order in which the rules look; "citations" and "boilerplate" also count what goes out of a line."""
(
    LONG_WORD,
    CITATION,
    BLANK,
    NO_END_MARK,
    FEW_WORDS,
    PHRASE,
    CAPITALS,
    NUMERIC,
    COUNTER,
    BOILERPLATE,
) = range(10)
KEPT = -1

MEASURES = ("removed_line_ratio", "removed_word_ratio")
"""What an edit measures of itself, beside the signals of the text it leaves: shares of lines that are not blank, of words."""

_COUNTED = (
    *("likes", "shares", "comments", "retweets", "reposts", "quotes"),
    *("bookmarks", "upvotes", "downvotes", "downloads", "views", "followers"),
)
_SHORT = 10  # words; RefinedWeb: "if it is short (≤ 10 words) and matches a pattern"


@dataclass(frozen=True, slots=True)
class Edited:
    """The outcome of an edit: arrays of one entry a document."""

    texts: pa.Array
    """The edited text; null where the edit changes nothing (and for a null document)."""
    lines: dict[str, npt.NDArray[np.int32]]
    """Lines removed by each rule that is on."""
    words: dict[str, npt.NDArray[np.int32]]
    """Words removed by each rule that is on."""
    measures: dict[str, FloatArray]
    """MEASURES; NaN without lines, or words."""


def edit_lines(array: pa.Array | pa.ChunkedArray, rules: LineRules) -> Edited:
    """Apply line rules to documents, a string or large_string array. Memory: the bytes of the texts once more."""
    batch = Batch.from_arrow(array)
    n = len(batch)
    buffer, offsets, lines, words, totals = _run(batch, rules, np.zeros((0, 3), np.int64))
    same = _unchanged(batch.data, batch.starts, batch.ends, buffer, offsets)
    large = pa.types.is_large_string(batch.array.type)
    stored = offsets.astype(np.int64 if large else np.int32)
    texts = pa.Array.from_buffers(
        batch.array.type, n, [None, pa.py_buffer(stored), pa.py_buffer(buffer[: offsets[-1]].copy())]
    )
    unchanged = pa.array(same | np.asarray(batch.array.is_null()))
    texts = pc.if_else(unchanged, pa.scalar(None, texts.type), texts)
    measures = {
        "removed_line_ratio": ratio(lines.sum(axis=1) - lines[:, BLANK], totals[:, 0]),
        "removed_word_ratio": ratio(words.sum(axis=1), totals[:, 1]),
    }
    places = {name: REASONS.index(name) for name in rules.reasons}
    return Edited(
        texts,
        {name: lines[:, k].copy() for name, k in places.items()},
        {name: words[:, k].copy() for name, k in places.items()},
        measures,
    )


def removed_lines(text: str, rules: LineRules) -> Iterator[tuple[str, str]]:
    """(rule, line as it stood) for every line of a text that an edit removes or changes, blank ones left out."""
    batch = Batch.from_arrow(pa.array([text], pa.large_string()))
    found = np.full((int(batch.ends[0] - batch.starts[0]) + 1, 3), KEPT, np.int64)
    _run(batch, rules, found)
    data = bytes(batch.data)
    for start, end, reason in found.tolist():
        if start < 0:
            break
        if reason not in (KEPT, BLANK):
            yield REASONS[reason], data[start:end].decode("utf-8", "replace")


def _run(batch: Batch, rules: LineRules, found: npt.NDArray[np.int64]) -> tuple[Any, ...]:
    n = len(batch)
    phrases = [phrase.lower().encode() for phrase in rules.phrases]
    buffer = np.empty(int((batch.ends - batch.starts).sum()) + 1, np.uint8)
    offsets = np.zeros(n + 1, np.int64)
    lines, words = np.zeros((n, len(REASONS)), np.int32), np.zeros((n, len(REASONS)), np.int32)
    totals = np.zeros((n, 2), np.int64)
    switches = np.array(
        [
            rules.citations,
            rules.blank_lines,
            rules.max_word_characters or np.iinfo(np.int64).max,
            rules.min_line_words or 0,
            rules.numeric_lines,
            rules.counter_lines,
            rules.boilerplate,
        ],
        np.int64,
    )
    capitals = np.inf if rules.max_uppercase_ratio is None else float(rules.max_uppercase_ratio)
    marks = np.array([ord(mark) for mark in rules.end_marks], np.int64)
    _edit(
        batch.data, batch.starts, batch.ends, character_classes(), switches, capitals, marks,
        _packed(phrases), _packed([word.encode() for word in _COUNTED]),
        buffer, offsets, lines, words, totals, found,
    )  # fmt: skip
    return buffer, offsets, lines, words, totals


def _packed(strings: list[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Strings as one array of bytes and the offsets in it."""
    offsets = np.zeros(len(strings) + 1, np.int64)
    np.cumsum([len(string) for string in strings], out=offsets[1:])
    return np.frombuffer(b"".join(strings) + b"\0", np.uint8), offsets


@kernel
def _unchanged(data: Any, starts: Any, ends: Any, buffer: Any, offsets: Any) -> Any:
    same = np.zeros(starts.shape[0], np.bool_)
    for document in range(starts.shape[0]):
        size = ends[document] - starts[document]
        if offsets[document + 1] - offsets[document] == size:
            k = 0
            while k < size and data[starts[document] + k] == buffer[offsets[document] + k]:
                k += 1
            same[document] = k == size
    return same


@kernel
def _edit(
    data: Any, starts: Any, ends: Any, classes: Any, switches: Any, capitals: Any, marks: Any, phrases: Any, counted: Any,
    buffer: Any, offsets: Any, lines: Any, words: Any, totals: Any, found: Any,
) -> None:  # fmt: skip
    at = 0  # where the next byte of output goes
    for document in range(starts.shape[0]):
        begin, content, seen = at, at, 0  # `content`: the end of the output's last line that is not blank
        i, end = starts[document], ends[document]
        while i < end:
            stop, after, total, worth, longest, upper, digits, length, first, last, bracket = scan(
                data, i, end, classes
            )
            totals[document, 0] += first < last
            totals[document, 1] += worth
            low, high = (first, last) if switches[1] else (i, stop)
            reason, left = KEPT, worth
            place = at + (content > begin)  # where the line will stand, behind a line feed
            size = high - low
            if longest > switches[2]:
                reason = LONG_WORD
            elif first == last:
                reason = BLANK if switches[1] else KEPT
            else:
                for k in range(size):
                    buffer[place + k] = data[low + k]
                if switches[0] and bracket:
                    shorter = without_citations(buffer, place, place + size) - place
                    if shorter < size:
                        size = shorter
                        _, _, total, left, _, upper, digits, length, first, last, _ = scan(
                            buffer, place, place + size, classes
                        )
                        words[document, CITATION] += worth - left
                        if first == last:
                            reason = CITATION
                        if found.shape[0] and reason == KEPT:
                            found[seen, 0], found[seen, 1], found[seen, 2] = i, stop, CITATION
                            seen += 1
                if reason == KEPT and marks.shape[0] and not ends_well(buffer, place, place + size, marks):
                    reason = NO_END_MARK
                elif reason == KEPT and total < switches[3]:
                    reason = FEW_WORDS
                elif reason == KEPT and holds(buffer, place, place + size, phrases):
                    reason = PHRASE
                elif reason == KEPT and upper > capitals * length:
                    reason = CAPITALS
                elif reason == KEPT and switches[4] and digits == length:
                    reason = NUMERIC
                elif reason == KEPT and switches[5] and is_counter(buffer, place, place + size, classes, counted):
                    reason = COUNTER
                elif reason == KEPT and switches[6] and total <= _SHORT:
                    shorter = without_boilerplate(buffer, place, place + size, classes) - place
                    if shorter < size:
                        size = shorter
                        _, _, _, rest, _, _, _, _, first, last, _ = scan(buffer, place, place + size, classes)
                        if first == last:
                            reason = BOILERPLATE
                        else:
                            words[document, BOILERPLATE] += left - rest
                            if found.shape[0]:
                                found[seen, 0], found[seen, 1], found[seen, 2] = i, stop, BOILERPLATE
                                seen += 1
            if reason != KEPT:
                lines[document, reason] += 1
                words[document, reason] += left if reason != CITATION else 0
                if found.shape[0]:
                    found[seen, 0], found[seen, 1], found[seen, 2] = i, stop, reason
                    seen += 1
            elif first == last:  # a blank line that stays, unless it comes first
                if content > begin:
                    buffer[at] = 0x0A
                    for k in range(size):
                        buffer[at + 1 + k] = data[low + k]
                    at += 1 + size
            else:
                if content > begin:
                    buffer[at] = 0x0A
                at = place + size
                content = at
            i = after
        at = content
        offsets[document + 1] = at


def warm_up() -> None:
    """Compile every kernel, or load it from Numba's cache; workers started afterwards need not compile."""
    edit_lines(pa.array(["Warm up."]), LineRules(end_marks=(".",), phrases=("x",)))
