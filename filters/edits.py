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
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.filters.batch import Batch, FloatArray, ratio
from pipeline.filters.characters import (
    BREAK,
    DIGIT,
    IDEOGRAPH,
    KIND,
    LETTER,
    NUMBER,
    SPACE,
    UPPERCASE,
    character_classes,
    decode,
)

REASONS = (
    "max_word_characters",
    "citations",
    "blank_lines",
    "end_marks",
    "min_line_words",
    "phrases",
    "max_uppercase_ratio",
    "numeric_lines",
    "counter_lines",
    "boilerplate",
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRules:
    """What an edit takes out. A rule that is None, False or empty is off."""

    citations: bool = False
    """Wikipedia's [1], [], [edit] and [citation needed], out of every line (C4's code)."""
    blank_lines: bool = False
    """White space around lines, and blank lines (C4's code keeps neither)."""
    max_word_characters: int | None = None
    """Lines with a longer word (C4's code: 1,000)."""
    end_marks: tuple[str, ...] = ()
    """Lines that end with none of these characters, or with "..." (C4: . ! ? and the quotation mark)."""
    min_line_words: int | None = None
    """Lines of fewer words (C4: 5, its first arXiv version 3; RefinedWeb: 2)."""
    phrases: tuple[str, ...] = ()
    """Lines that hold one of these, in any case; ASCII (C4: "javascript", its code also "privacy policy" and others)."""
    max_uppercase_ratio: float | None = None
    """Lines of whose characters a larger share is in upper case (RefinedWeb "mainly"; DCLM: 0.5)."""
    numeric_lines: bool = False
    """Lines of digits and nothing else (RefinedWeb)."""
    counter_lines: bool = False
    """Lines such as "3 likes" or "1.2K followers" (RefinedWeb; the words are DCLM's)."""
    boilerplate: bool = False
    """"sign-in" at the start, "read more..." at the end, "items in cart" in lines of up to 10 words (RefinedWeb)."""

    def __post_init__(self) -> None:
        for mark in self.end_marks:
            if len(mark) != 1:
                raise UserError(f"end_marks: single characters are needed, not {mark!r}")
        for phrase in self.phrases:
            if not phrase or not phrase.isascii():
                raise UserError(f"phrases: plain ASCII text is needed, not {phrase!r}")

    @property
    def reasons(self) -> tuple[str, ...]:
        """The rules that are on, in the order of REASONS."""
        return tuple(name for name in REASONS if getattr(self, name) not in (None, False, ()))


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


@nb.njit(nogil=True, cache=True)
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


@nb.njit(nogil=True, cache=True)
def _edit(
    data: Any, starts: Any, ends: Any, classes: Any, switches: Any, capitals: Any, marks: Any, phrases: Any, counted: Any,
    buffer: Any, offsets: Any, lines: Any, words: Any, totals: Any, found: Any,
) -> None:  # fmt: skip
    at = 0  # where the next byte of output goes
    for document in range(starts.shape[0]):
        begin, content, seen = at, at, 0  # `content`: the end of the output's last line that is not blank
        i, end = starts[document], ends[document]
        while i < end:
            stop, after, total, worth, longest, upper, digits, length, first, last, bracket = _scan(
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
                    shorter = _without_citations(buffer, place, place + size) - place
                    if shorter < size:
                        size = shorter
                        _, _, total, left, _, upper, digits, length, first, last, _ = _scan(
                            buffer, place, place + size, classes
                        )
                        words[document, CITATION] += worth - left
                        if first == last:
                            reason = CITATION
                        if found.shape[0] and reason == KEPT:
                            found[seen, 0], found[seen, 1], found[seen, 2] = i, stop, CITATION
                            seen += 1
                if reason == KEPT and marks.shape[0] and not _ends_well(buffer, place, place + size, marks):
                    reason = NO_END_MARK
                elif reason == KEPT and total < switches[3]:
                    reason = FEW_WORDS
                elif reason == KEPT and _holds(buffer, place, place + size, phrases):
                    reason = PHRASE
                elif reason == KEPT and upper > capitals * length:
                    reason = CAPITALS
                elif reason == KEPT and switches[4] and digits == length:
                    reason = NUMERIC
                elif reason == KEPT and switches[5] and _is_counter(buffer, place, place + size, classes, counted):
                    reason = COUNTER
                elif reason == KEPT and switches[6] and total <= _SHORT:
                    shorter = _without_boilerplate(buffer, place, place + size, classes) - place
                    if shorter < size:
                        size = shorter
                        _, _, _, rest, _, _, _, _, first, last, _ = _scan(buffer, place, place + size, classes)
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


@nb.njit(nogil=True)
def _scan(data: Any, start: Any, end: Any, classes: Any) -> Any:
    """One line from `start`: its end and the start of the next; words, words that begin with a letter or digit, characters
    of the longest; characters in upper case, digits, all; where its visible text starts and ends; a "[" in it."""
    total, worth, longest, upper, digits, length = 0, 0, 0, 0, 0, 0
    first, last, run, bracket = start, start, 0, False
    i = start
    while i < end:
        byte = np.int64(data[i])
        if byte < 0x80:
            code, size = byte, 1
        else:
            packed = decode(data, i, end)
            code, size = packed >> 3, packed & 7
        cls = classes[code]
        kind = cls & KIND
        if kind == SPACE:
            if cls & BREAK:
                after = i + size
                if code == 0x0D and after < end and data[after] == 0x0A:
                    after += 1
                return i, after, total, worth, longest, upper, digits, length, first, last, bracket
            run = 0
        else:
            if run == 0:
                total += 1
                worth += kind in (LETTER, NUMBER, IDEOGRAPH)
                if first == last:
                    first = i
            run += 1
            longest = max(longest, run)
            last = i + size
            bracket |= code == 0x5B
            upper += (cls & UPPERCASE) != 0
            digits += (cls & DIGIT) != 0
        length += 1
        i += size
    return end, end, total, worth, longest, upper, digits, length, first, last, bracket


@nb.njit(nogil=True)
def _ends_well(data: Any, start: Any, end: Any, marks: Any) -> Any:
    """Whether the text ends with one of these characters and not with an ellipsis."""
    i = end - 1
    while i > start and (data[i] & 0xC0) == 0x80:
        i -= 1
    code = decode(data, i, end) >> 3
    if code == 0x2E and end - start >= 3 and data[end - 2] == 0x2E and data[end - 3] == 0x2E:
        return False
    for mark in marks:  # noqa: SIM110 (compiled)
        if mark == code:
            return True
    return False


@nb.njit(nogil=True)
def _lower(byte: Any) -> Any:
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte


@nb.njit(nogil=True)
def _is_at(data: Any, place: Any, end: Any, pattern: Any, low: Any, high: Any) -> Any:
    """Whether `pattern[low:high]`, in lower case, stands at `place`."""
    if place + high - low > end:
        return False
    for k in range(high - low):  # noqa: SIM110 (compiled)
        if _lower(data[place + k]) != pattern[low + k]:
            return False
    return True


@nb.njit(nogil=True)
def _holds(data: Any, start: Any, end: Any, phrases: Any) -> Any:
    """Whether one of the phrases is anywhere in the text."""
    pattern, bounds = phrases
    for i in range(start, end if bounds.shape[0] > 1 else start):
        byte = _lower(data[i])
        for k in range(bounds.shape[0] - 1):
            if pattern[bounds[k]] == byte and _is_at(data, i, end, pattern, bounds[k], bounds[k + 1]):
                return True
    return False


_EDIT = np.frombuffer(b"[edit]", np.uint8)
_NEEDED = np.frombuffer(b"[citation needed]", np.uint8)
_CART = np.frombuffer(b"items in cart", np.uint8)
_SIGN_IN = np.frombuffer(b"sign-in", np.uint8)
_READ_MORE = np.frombuffer(b"read more...", np.uint8)


@nb.njit(nogil=True)
def _equals(data: Any, place: Any, end: Any, pattern: Any) -> Any:
    if place + pattern.shape[0] > end:
        return False
    for k in range(pattern.shape[0]):  # noqa: SIM110 (compiled)
        if data[place + k] != pattern[k]:
            return False
    return True


@nb.njit(nogil=True)
def _without_citations(data: Any, start: Any, end: Any) -> Any:
    """Take [digits], [edit] and [citation needed] out in place; the new end."""
    i, out = start, start
    while i < end:
        skip = 0
        if data[i] == 0x5B:
            k = i + 1
            while k < end and 0x30 <= data[k] <= 0x39:
                k += 1
            if k < end and data[k] == 0x5D:
                skip = k + 1 - i
            elif _equals(data, i, end, _EDIT):
                skip = _EDIT.shape[0]
            elif _equals(data, i, end, _NEEDED):
                skip = _NEEDED.shape[0]
        if skip:
            i += skip
        else:
            data[out] = data[i]
            out += 1
            i += 1
    return out


@nb.njit(nogil=True)
def _space_before(data: Any, start: Any, place: Any, classes: Any) -> Any:
    """Bytes of the white space character that ends at `place`; 0 where another one does."""
    i = place - 1
    while i > start and (data[i] & 0xC0) == 0x80:
        i -= 1
    if i >= start and classes[decode(data, i, place) >> 3] & KIND == SPACE:
        return place - i
    return 0


@nb.njit(nogil=True)
def _without_boilerplate(data: Any, start: Any, end: Any, classes: Any) -> Any:
    """Take the three patterns out in place, with a space before (or behind) them; the new end."""
    i, out = start, start
    while i < end:  # anywhere
        if _is_at(data, i, end, _CART, 0, _CART.shape[0]):
            i += _CART.shape[0]
            out -= _space_before(data, start, out, classes)
        else:
            data[out] = data[i]
            out += 1
            i += 1
    end = out
    size = _READ_MORE.shape[0]
    if end - size >= start and _is_at(data, end - size, end, _READ_MORE, 0, size):
        end -= size
        end -= _space_before(data, start, end, classes)
    size = _SIGN_IN.shape[0]
    if _is_at(data, start, end, _SIGN_IN, 0, size):
        packed = decode(data, start + size, end) if start + size < end else 0
        if classes[packed >> 3] & KIND == SPACE:
            size += packed & 7
        for k in range(start, end - size):
            data[k] = data[k + size]
        end -= size
    return end


@nb.njit(nogil=True)
def _is_counter(data: Any, start: Any, end: Any, classes: Any, counted: Any) -> Any:
    r"""Whether the line is a number, perhaps with K, M or B, and one of the counted things: ^\W*\d[,.\d]*[kmb]?\s+likes\W*$."""
    i = start
    while i < end:  # to the first letter, digit or underscore
        packed = decode(data, i, end)
        kind = classes[packed >> 3] & KIND
        if kind in (LETTER, NUMBER, IDEOGRAPH) or packed >> 3 == 0x5F:
            break
        i += packed & 7
    if i >= end or not 0x30 <= data[i] <= 0x39:
        return False
    while i < end and (0x30 <= data[i] <= 0x39 or data[i] in (0x2C, 0x2E)):
        i += 1
    if i < end and _lower(data[i]) in (0x6B, 0x6D, 0x62):
        i += 1
    spaces = i
    while i < end:
        packed = decode(data, i, end)
        if classes[packed >> 3] & KIND != SPACE:
            break
        i += packed & 7
    if i == spaces:
        return False
    pattern, bounds = counted
    for k in range(bounds.shape[0] - 1):
        if _is_at(data, i, end, pattern, bounds[k], bounds[k + 1]):
            j = i + bounds[k + 1] - bounds[k]
            while j < end:
                packed = decode(data, j, end)
                kind = classes[packed >> 3] & KIND
                if kind in (LETTER, NUMBER, IDEOGRAPH) or packed >> 3 == 0x5F:
                    break
                j += packed & 7
            if j >= end:
                return True
    return False


def warm_up() -> None:
    """Compile every kernel, or load it from Numba's cache; workers started afterwards need not compile."""
    edit_lines(pa.array(["Warm up."]), LineRules(end_marks=(".",), phrases=("x",)))
