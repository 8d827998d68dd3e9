"""Checks of lines, byte by byte, for the rules of `pipeline.filters.edits`; and counting phrases in texts."""

from typing import Any

import numpy as np

from pipeline.filters.kernels.ascii import (
    CLOSE_SQUARE,
    COMMA,
    CONTINUATION,
    CONTINUES,
    FULL_STOP,
    LINE_FEED,
    OPEN_SQUARE,
    RETURN,
    SMALL_B,
    SMALL_K,
    SMALL_M,
    UNDERSCORE,
    WIDE,
    is_digit,
    lower,
)
from pipeline.filters.kernels.unicode import (
    BREAK,
    DIGIT,
    IDEOGRAPH,
    KIND,
    LETTER,
    NUMBER,
    SPACE,
    UPPERCASE,
    decode,
)
from pipeline.kernels import inner, kernel


@inner
def scan(data: Any, start: Any, end: Any, classes: Any) -> Any:
    """Measure one line from `start`: its end and the start of the next; words, words that begin with a letter or digit,
    characters of the longest word; characters in upper case, digits, all characters; start and end of its visible text;
    whether it has a "["."""
    words, counted_words, longest, upper, digits, length = 0, 0, 0, 0, 0, 0
    first, last, word_length, has_bracket = start, start, 0, False
    i = start
    while i < end:
        code, size = np.int64(data[i]), 1
        if code >= WIDE:
            code, size = decode(data, i, end)
        cls = classes[code]
        kind = cls & KIND
        if kind == SPACE:
            if cls & BREAK:
                after = i + size
                if code == RETURN and after < end and data[after] == LINE_FEED:
                    after += 1
                return i, after, words, counted_words, longest, upper, digits, length, first, last, has_bracket
            word_length = 0
        else:
            if word_length == 0:
                words += 1
                counted_words += kind in (LETTER, NUMBER, IDEOGRAPH)
                if first == last:
                    first = i
            word_length += 1
            longest = max(longest, word_length)
            last = i + size
            has_bracket |= code == OPEN_SQUARE
            upper += (cls & UPPERCASE) != 0
            digits += (cls & DIGIT) != 0
        length += 1
        i += size
    return end, end, words, counted_words, longest, upper, digits, length, first, last, has_bracket


@inner
def ends_well(data: Any, start: Any, end: Any, marks: Any) -> Any:
    """Whether the text ends with one of these characters and not with an ellipsis."""
    i = end - 1
    while i > start and (data[i] & CONTINUATION) == CONTINUES:
        i -= 1
    code, _ = decode(data, i, end)
    if code == FULL_STOP and end - start >= 3 and data[end - 2] == FULL_STOP and data[end - 3] == FULL_STOP:
        return False
    for mark in marks:  # noqa: SIM110 (compiled)
        if mark == code:
            return True
    return False


@inner
def _is_at(data: Any, position: Any, end: Any, pattern: Any, low: Any, high: Any) -> Any:
    """Whether the text at `position`, in lower case, begins with `pattern[low:high]`."""
    if position + high - low > end:
        return False
    for k in range(high - low):  # noqa: SIM110 (compiled)
        if lower(data[position + k]) != pattern[low + k]:
            return False
    return True


@inner
def holds(data: Any, start: Any, end: Any, phrases: Any) -> Any:
    """Whether the text contains one of the phrases."""
    pattern, bounds = phrases
    for i in range(start, end if len(bounds) > 1 else start):
        byte = lower(data[i])
        for k in range(len(bounds) - 1):
            if pattern[bounds[k]] == byte and _is_at(data, i, end, pattern, bounds[k], bounds[k + 1]):
                return True
    return False


_EDIT = np.frombuffer(b"[edit]", np.uint8)
_NEEDED = np.frombuffer(b"[citation needed]", np.uint8)
_CART = np.frombuffer(b"items in cart", np.uint8)
_SIGN_IN = np.frombuffer(b"sign-in", np.uint8)
_READ_MORE = np.frombuffer(b"read more...", np.uint8)


@inner
def _equals(data: Any, position: Any, end: Any, pattern: Any) -> Any:
    """Whether the text at `position` begins with the pattern, in the same case."""
    if position + len(pattern) > end:
        return False
    for k in range(len(pattern)):  # noqa: SIM110 (compiled)
        if data[position + k] != pattern[k]:
            return False
    return True


@inner
def without_citations(data: Any, start: Any, end: Any) -> Any:
    """Remove [digits], [edit] and [citation needed] in place; returns the new end."""
    i, out = start, start
    while i < end:
        skip = 0
        if data[i] == OPEN_SQUARE:
            k = i + 1
            while k < end and is_digit(data[k]):
                k += 1
            if k < end and data[k] == CLOSE_SQUARE:
                skip = k + 1 - i
            elif _equals(data, i, end, _EDIT):
                skip = len(_EDIT)
            elif _equals(data, i, end, _NEEDED):
                skip = len(_NEEDED)
        if skip:
            i += skip
        else:
            data[out] = data[i]
            out += 1
            i += 1
    return out


@inner
def _space_before(data: Any, start: Any, position: Any, classes: Any) -> Any:
    """Bytes of the white space character that ends at `position`; 0 if the character before it is not white space."""
    i = position - 1
    while i > start and (data[i] & CONTINUATION) == CONTINUES:
        i -= 1
    if i < start:
        return 0
    code, _ = decode(data, i, position)
    return position - i if classes[code] & KIND == SPACE else 0


@inner
def without_boilerplate(data: Any, start: Any, end: Any, classes: Any) -> Any:
    """Remove the three patterns in place, each with a space before or after it; returns the new end."""
    i, out = start, start
    while i < end:  # "items in cart" anywhere
        if _is_at(data, i, end, _CART, 0, len(_CART)):
            i += len(_CART)
            out -= _space_before(data, start, out, classes)
        else:
            data[out] = data[i]
            out += 1
            i += 1
    end = out
    size = len(_READ_MORE)
    if end - size >= start and _is_at(data, end - size, end, _READ_MORE, 0, size):
        end -= size
        end -= _space_before(data, start, end, classes)
    size = len(_SIGN_IN)
    if _is_at(data, start, end, _SIGN_IN, 0, size):
        if start + size < end:
            code, length = decode(data, start + size, end)
            if classes[code] & KIND == SPACE:
                size += length
        for k in range(start, end - size):
            data[k] = data[k + size]
        end -= size
    return end


@inner
def _after_signs(data: Any, i: Any, end: Any, classes: Any) -> Any:
    """The position of the first letter, digit or underscore from `i` on; `end` if there is none."""
    while i < end:
        code, size = np.int64(data[i]), 1
        if code >= WIDE:
            code, size = decode(data, i, end)
        if classes[code] & KIND in (LETTER, NUMBER, IDEOGRAPH) or code == UNDERSCORE:
            break
        i += size
    return i


@inner
def is_counter(data: Any, start: Any, end: Any, classes: Any, counted: Any) -> Any:
    r"""Whether the line is a number, possibly with K, M or B, and a counted word: ^\W*\d[,.\d]*[kmb]?\s+likes\W*$."""
    i = _after_signs(data, start, end, classes)
    if i >= end or not is_digit(data[i]):
        return False
    while i < end and (is_digit(data[i]) or data[i] in (COMMA, FULL_STOP)):
        i += 1
    if i < end and lower(data[i]) in (SMALL_K, SMALL_M, SMALL_B):
        i += 1
    spaces = i
    while i < end:
        code, size = np.int64(data[i]), 1
        if code >= WIDE:
            code, size = decode(data, i, end)
        if classes[code] & KIND != SPACE:
            break
        i += size
    if i == spaces:
        return False
    pattern, bounds = counted
    for k in range(len(bounds) - 1):
        matches = _is_at(data, i, end, pattern, bounds[k], bounds[k + 1])
        if matches and _after_signs(data, i + bounds[k + 1] - bounds[k], end, classes) >= end:
            return True
    return False


@kernel
def count_phrases(data: Any, starts: Any, ends: Any, phrases: Any, begins: Any, free: Any, counts: Any) -> None:
    """Add to `counts` how often lower-case phrases occur in each document; occurrences of one phrase do not overlap.

    `begins` says for each byte whether a phrase begins with it; `free` has room for one number per phrase.
    """
    pattern, bounds = phrases
    for document in range(len(starts)):
        end = ends[document]
        for k in range(len(free)):
            free[k] = starts[document]  # where the phrase may occur next
        i = starts[document]
        while i < end:
            if not begins[data[i]]:
                i += 1
                continue
            for k in range(len(free)):
                if i >= free[k] and _is_at(data, i, end, pattern, bounds[k], bounds[k + 1]):
                    counts[document] += 1
                    free[k] = i + bounds[k + 1] - bounds[k]
            i += 1
