"""The parts of HTML's syntax, each read by one compiled function: entities, attributes, comments, ends of raw text."""

from typing import Any

import numpy as np

from pipeline.extract.native.lanes import find, name_end
from pipeline.extract.native.names import (
    BLOCK,
    ENTITY_TABLE,
    FNV_START,
    HIDDEN,
    HINT_TABLE,
    KIND,
    LEGACY,
    TAG,
    TAG_TABLE,
    TAGS,
    WINDOWS_1252,
    fnv,
    look_up,
)
from pipeline.kernels import inner

FAR = np.uint64(1099511628211)
"""FNV's prime for 64 bits."""

_BODY = TAG["body"]
_NAMES = np.zeros((len(TAGS), 12), np.uint8)
for _tag, _number in TAG.items():
    _NAMES[_number, : len(_tag)] = list(_tag.encode())
_LENGTHS = np.array([len(name) for name in TAGS], np.int64)


@inner
def put(out: Any, o: Any, point: Any) -> Any:
    """Write a code point as UTF-8."""
    if point < 0x80:
        out[o] = point
        return o + 1
    if point < 0x800:
        out[o] = 0xC0 | (point >> 6)
        out[o + 1] = 0x80 | (point & 63)
        return o + 2
    if point < 0x10000:
        out[o] = 0xE0 | (point >> 12)
        out[o + 1] = 0x80 | ((point >> 6) & 63)
        out[o + 2] = 0x80 | (point & 63)
        return o + 3
    out[o] = 0xF0 | (point >> 18)
    out[o + 1] = 0x80 | ((point >> 12) & 63)
    out[o + 2] = 0x80 | ((point >> 6) & 63)
    out[o + 3] = 0x80 | (point & 63)
    return o + 4


@inner
def entity(page: Any, i: Any) -> Any:
    """The entity at the ampersand `i`: (end, code point, second code point or 0); end is `i` where there is none."""
    n = len(page)
    k = i + 1
    if k < n and page[k] == 35:  # "#"
        k += 1
        base = np.int64(10)
        if k < n and page[k] | 32 == 120:
            base = np.int64(16)
            k += 1
        value, first = np.int64(0), k
        while k < n:
            c = np.int64(page[k])
            if 48 <= c <= 57:
                digit = c - 48
            elif base == 16 and 97 <= c | 32 <= 102:
                digit = (c | 32) - 87
            else:
                break
            if value < 0x110000:
                value = value * base + digit
            k += 1
        if k == first:
            return i, 0, 0
        if k < n and page[k] == 59:
            k += 1
        if value == 0 or value >= 0x110000 or 0xD800 <= value < 0xE000:
            value = np.int64(0xFFFD)
        elif 0x80 <= value < 0xA0:
            value = WINDOWS_1252[value - 0x80]
        return k, value, 0
    h = FNV_START
    found, end = np.int64(-1), i
    while k < n and k - i < 34:
        c = page[k]
        if not (97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57):
            break
        h = fnv(h, c)
        k += 1
        if k < n and page[k] == 59:
            value = look_up(ENTITY_TABLE, h)
            if value >= 0:
                found, end = value, k + 1
        elif k - i <= 7:  # the longest of those that need no semicolon has six letters
            value = look_up(ENTITY_TABLE, h)
            if value >= 0 and value & LEGACY:
                found, end = value, k
    if found < 0:
        return i, 0, 0
    return end, found & 0x1FFFFF, (found >> 21) & 0x1FFFFF


@inner
def _class_words(page: Any, a: Any, b: Any, hints: Any, path: Any, in_path: Any) -> Any:
    """Hints of the words in an attribute's value; words are runs of letters, and aCapital starts another."""
    while a < b:
        h = FNV_START
        letters, small = 0, False
        while a < b:
            c = page[a]
            if 97 <= c <= 122:
                small = True
            elif 65 <= c <= 90:
                if small:
                    break
                c = c | 32
            else:
                break
            h = fnv(h, c)
            letters += 1
            a += 1
        if letters > 1:
            bit = look_up(HINT_TABLE, h)
            if bit >= 0:
                hints |= np.int64(1) << bit
            if in_path:
                path = (path ^ np.uint64(h)) * FAR
        if letters == 0:
            a += 1
    return hints, path


@inner
def _hides(page: Any, a: Any, b: Any) -> Any:
    """Whether a style says display:none."""
    while a + 11 <= b:
        if page[a] | 32 == 100 and page[a + 1] | 32 == 105 and page[a + 3] | 32 == 112 and page[a + 6] | 32 == 121:
            a += 7
            while a < b and (page[a] <= 32 or page[a] == 58):
                a += 1
            return a + 4 <= b and page[a] | 32 == 110 and page[a + 1] | 32 == 111 and page[a + 2] | 32 == 110
        a += 1
    return False


@inner
def _is(page: Any, a: Any, b: Any, word: Any) -> Any:
    """Whether page[a:b] is this word of small letters, in any case."""
    if b - a != len(word):
        return False
    for z in range(len(word)):
        if page[a + z] | 32 != word[z]:
            return False
    return True


_CLASS, _ID, _ROLE, _ITEMPROP, _STYLED, _HIDDEN, _HREF, _START, _VALUE = (
    np.frombuffer(word, np.uint8)
    for word in (b"class", b"id", b"role", b"itemprop", b"style", b"hidden", b"href", b"start", b"value")
)


@inner
def _whole(page: Any, a: Any, b: Any) -> Any:
    """An attribute's value as a number of up to nine digits, CommonMark's most for a list; -1 where it is none."""
    value = 0
    for k in range(a, b):
        if not 48 <= page[k] <= 57 or b - a > 9:
            return -1
        value = 10 * value + page[k] - 48
    return value if b > a else -1


@inner
def attributes(page: Any, k: Any, wanted: Any, path: Any, endless: Any) -> Any:
    """Read a tag from behind its name: (position of its ">", hints, path, closes itself, where a link's target begins
    and ends, a number given to a list or an item); -1 for none."""
    n = len(page)
    hints = np.int64(0)
    closed = False
    target = target_end = number = -1
    while k < n:
        c = page[k]
        if c <= 32:
            k += 1
            continue
        if c == 62:
            break
        if c == 47:
            closed = True
            k += 1
            continue
        closed = False
        a = k
        k = b = name_end(page, k + 1)  # an attribute's name may start with "="
        while k < n and page[k] <= 32:
            k += 1
        va = vb = 0
        if k < n and page[k] == 61:
            k += 1
            while k < n and page[k] <= 32:
                k += 1
            if k >= n:
                break
            quote = page[k]
            ended = False
            if (quote == 34 or quote == 39) and not endless[quote]:
                va = k + 1
                vb = find(page, va, quote)
                ended = vb < n
                endless[quote] = not ended
                if ended:
                    k = vb + 1
            if not ended:
                va = k
                while k < n and page[k] > 32 and page[k] != 62:
                    k += 1
                vb = k
        if not wanted:
            continue
        first = page[a] | 32
        if first == 99 or first == 105 or first == 114:  # the first letter decides for nearly all: c, i, r, h, s
            if _is(page, a, b, _CLASS) or _is(page, a, b, _ID) or _is(page, a, b, _ROLE) or _is(page, a, b, _ITEMPROP):
                hints, path = _class_words(page, va, vb, hints, path, first == 99)
        elif first == 104:
            if _is(page, a, b, _HREF):
                target, target_end = va, vb
            elif _is(page, a, b, _HIDDEN):
                hints |= np.int64(1) << HIDDEN
        elif first == 115 and _is(page, a, b, _STYLED):
            if _hides(page, va, vb):
                hints |= np.int64(1) << HIDDEN
        elif (first == 115 and _is(page, a, b, _START)) or (first == 118 and _is(page, a, b, _VALUE)):
            number = _whole(page, va, vb)
    return k, hints, path, closed, target, target_end, number


@inner
def end_tag(page: Any, i: Any, tag: Any) -> Any:
    """Where the next end tag of this name starts; -1 where there is none."""
    length = _LENGTHS[tag]
    last = len(page) - 2 - length
    i = find(page, i, 60)
    while i <= last:
        if page[i + 1] == 47:
            same = True
            for z in range(length):
                if page[i + 2 + z] | 32 != _NAMES[tag, z]:
                    same = False
                    break
            if same:
                return i
        i = find(page, i + 1, 60)
    return -1


@inner
def shows(page: Any, i: Any, end: Any) -> Any:
    """Whether there is text, or a tag that breaks the line, between here and there."""
    while i < end:
        if page[i] > 32:
            if page[i] != 60:
                return True
            k, h = name(page, i + 2 if page[i + 1] == 47 else i + 1)
            tag = look_up(TAG_TABLE, h)
            if tag >= 0 and KIND[tag] & BLOCK:
                return True
            i = find(page, k, 62)
        i += 1
    return False


@inner
def comment_end(page: Any, i: Any) -> Any:
    """Behind the comment whose first dash is at `i - 2`; -1 where it never ends."""
    n = len(page)
    if i < n and page[i] == 62:
        return i + 1
    if i + 1 < n and page[i] == 45 and page[i + 1] == 62:
        return i + 2
    k = find(page, i, 62)
    while k < n:
        if page[k - 1] == 45 and page[k - 2] == 45 and k - 2 >= i:
            return k + 1
        if page[k - 1] == 33 and page[k - 2] == 45 and page[k - 3] == 45 and k - 3 >= i:
            return k + 1
        k = find(page, k + 1, 62)
    return -1


@inner
def behind(page: Any, i: Any, byte: Any) -> Any:
    """Behind the next such byte; behind the end where there is none."""
    return find(page, i, byte) + 1


@inner
def name(page: Any, k: Any) -> Any:
    """A tag's name from its first letter: (end, hash)."""
    h = FNV_START
    while k < len(page):
        c = page[k]
        if c <= 32 or c == 62 or c == 47:
            break
        h = fnv(h, c | 32 if 65 <= c <= 90 else c)
        k += 1
    return k, h


@inner
def next_line_break(page: Any, i: Any) -> Any:
    """Where the next tag that breaks the line starts; how a script that never ends is got out of."""
    n = len(page)
    i = find(page, i, 60)
    while i + 1 < n:
        k = i + 2 if page[i + 1] == 47 else i + 1
        if k < n and 97 <= page[k] | 32 <= 122:
            k, h = name(page, k)
            tag = look_up(TAG_TABLE, h)
            if tag >= 0 and (KIND[tag] & BLOCK or tag == _BODY):
                return i
        i = find(page, k, 60)
    return n
