"""Where a page may state its date: one pass over its bytes, which tells the few places to look at."""

from typing import Any

import numpy as np

from pipeline.extract.native.lanes import LANES, equal, find, first
from pipeline.extract.native.names import DASH, DOUBLE_QUOTE, EQUALS, EXCLAMATION, GREATER, LESS, QUOTE, SLASH, SPACE
from pipeline.kernels import inner, kernel

META, JSON, ITEM, TIME = range(4)
MOST = 200
"""Most elements of a kind that are looked at; real pages have fewer."""
_LONGEST_TAG = 4096
_P, _M, _S, _T, _ZERO, _ONE, _TWO, _NINE = b"Pmst0129"
_META, _TIME, _SCRIPT, _SCRIPT_END, _LD_JSON, _DATE, _PUBLISHED = (
    np.frombuffer(word, np.uint8) for word in b"meta time script /script ld+json date ublished".split()
)


@inner
def _is_at(page: Any, i: Any, word: Any) -> Any:
    """Whether the bytes from `i` are this word, in small letters or capitals, and at least one more follows."""
    if i + len(word) >= len(page):
        return False
    for k in range(len(word)):
        if page[i + k] | 0x20 != word[k]:
            return False
    return True


@inner
def _is_name(page: Any, i: Any, word: Any) -> Any:
    """Whether the word from `i` is a tag's whole name."""
    if not _is_at(page, i, word):
        return False
    after = page[i + len(word)]
    return after <= SPACE or after == GREATER or after == SLASH


@inner
def _tag_end(page: Any, i: Any) -> Any:
    """Position of the ">" that ends the tag with a byte at `i`; -1 if there is none near, or another tag starts before it."""
    quote = before = np.uint8(0)
    for k in range(i, min(len(page), i + _LONGEST_TAG)):
        c = page[k]
        if quote:
            if c == quote:
                quote = np.uint8(0)
        elif c == GREATER:
            return k
        elif c == LESS:
            return -1
        elif (c == DOUBLE_QUOTE or c == QUOTE) and before == EQUALS:
            quote = c
        if c > SPACE:
            before = c
    return -1


@inner
def _has_year(page: Any, i: Any, end: Any) -> Any:
    """Whether "19" or "20" with two more digits is in a tag, which may then hold a date."""
    for k in range(i, end - 3):
        century = (page[k] == _ONE and page[k + 1] == _NINE) or (page[k] == _TWO and page[k + 1] == _ZERO)
        if century and np.uint8(page[k + 2] - _ZERO) < 10 and np.uint8(page[k + 3] - _ZERO) < 10:
            return True
    return False


@inner
def _has_json(page: Any, i: Any, end: Any) -> Any:
    for k in range(i, end - len(_LD_JSON) + 1):
        if _is_at(page, k, _LD_JSON):
            return True
    return False


@inner
def _behind_comment(page: Any, i: Any) -> Any:
    """Position behind the comment whose "<!--" is at `i`; the end of the page if it does not end."""
    end = find(page, i + 4, GREATER)
    while end < len(page):
        last = end - 1 - (page[end - 1] == EXCLAMATION)
        if page[last] == DASH and page[last - 1] == DASH:
            return end + 1
        end = find(page, end + 1, GREATER)
    return end


@inner
def _script_end(page: Any, i: Any) -> Any:
    """Position of the script's end tag; the end of the page if there is none."""
    end = find(page, i, LESS)
    while end < len(page) and not _is_name(page, end + 1, _SCRIPT_END):
        end = find(page, end + 1, LESS)
    return end


@inner
def _next(page: Any, i: Any) -> Any:
    """Position of the next "P" from `i`, or of the next "<" before a letter of META, SCRIPT or TIME or before "!"; near the
    end of the page, of any "<"; the end of the page if there is none."""
    n = len(page)
    while i + LANES < n:
        small = equal(page, i + 1, _M) | equal(page, i + 1, _S) | equal(page, i + 1, _T)
        capital = equal(page, i + 1, _M - 32) | equal(page, i + 1, _S - 32) | equal(page, i + 1, _T - 32)
        mask = equal(page, i, LESS) & (small | capital | equal(page, i + 1, EXCLAMATION)) | equal(page, i, _P)
        if mask:
            return i + first(mask)
        i += LANES
    while i < n and page[i] != LESS and page[i] != _P:
        i += 1
    return i


@inner
def _tag_before(page: Any, i: Any) -> Any:
    """Position of the nearest "<" before `i`; `i` if there is none near."""
    for k in range(i - 1, max(-1, i - _LONGEST_TAG), -1):
        if page[k] == LESS:
            return k
    return i


@kernel
def find_places(page: Any, places: Any, seen: Any) -> Any:
    """Write (kind, start, end) of each place, in order, into `places` of 4 * MOST rows; returns how many there are.

    META: a meta element with a year in it, from "<" to ">". JSON: the content of a script that is JSON-LD. ITEM: an element
    with "datePublished" in its tag. TIME: a time element with a year. Comments and other scripts are passed over. `seen` is
    four zeros, to count in.
    """
    n = len(page)
    count = 0
    i = _next(page, 0)
    while i < n:
        kind, start, end = -1, i, i
        if page[i] == _P:
            if i >= 4 and _is_at(page, i - 4, _DATE) and _is_at(page, i + 1, _PUBLISHED):
                kind, start = ITEM, _tag_before(page, i)
            i += 1
        elif i + 4 < n and page[i + 1] == EXCLAMATION and page[i + 2] == DASH and page[i + 3] == DASH:
            i = _behind_comment(page, i)
        elif _is_name(page, i + 1, _SCRIPT):
            end = _tag_end(page, i + 1)
            i += 1
            if end >= 0:
                if _has_json(page, i, end):
                    kind, start = JSON, end + 1
                i = end = _script_end(page, end + 1)
        else:
            if _is_name(page, i + 1, _META):
                kind = META
            elif _is_name(page, i + 1, _TIME):
                kind = TIME
            i += 1
        if kind >= 0:
            seen[kind] += 1
            if seen[kind] <= MOST:
                if kind != JSON:
                    end = _tag_end(page, start + 1)
                if end >= i and (kind == JSON or kind == ITEM or _has_year(page, i, end)):
                    places[count, 0], places[count, 1], places[count, 2] = kind, start, end
                    count += 1
        i = _next(page, i)
    return count
