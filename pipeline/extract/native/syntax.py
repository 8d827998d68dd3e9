"""The parts of HTML's syntax, one compiled function for each: entities, attributes, comments, ends of raw text."""

from typing import Any

import numpy as np

from pipeline.extract.native.compiled import inner
from pipeline.extract.native.lanes import (
    LANES,
    equal,
    find,
    first,
    highest,
    low_bytes,
    lowest,
    name_end,
    part,
    within,
)
from pipeline.extract.native.names import (
    AMPERSAND,
    BLOCK,
    COLON,
    DASH,
    DOUBLE_QUOTE,
    ENTITY_TABLE,
    EQUALS,
    EXCLAMATION,
    FAR,
    FNV_START,
    FORMULA,
    GREATER,
    HASH,
    HIDDEN,
    HINT_TABLE,
    KIND,
    LEGACY,
    LESS,
    LOWER,
    NO_BREAK_SPACE,
    OPEN,
    QUESTION,
    QUOTE,
    READER_TABLE,
    SEMICOLON,
    SERVER_TABLE,
    SLASH,
    SPACE,
    TAG,
    TAG_TABLE,
    TAGS,
    UNSEEN,
    VEILED,
    WINDOWS_1252,
    fnv,
    look_up,
    word_key,
    word_value,
    words_table,
)
from pipeline.extract.native.parsed import ROWS

_BEFORE_QUERY, _IN_QUERY = 32, 16
"""Bytes of an image's address, around its question mark, in which a server of formulas is named."""

_EXPONENT, _NUMBER = 16, 40
"""Most bytes of an exponent, and of the number of a line with white space around it."""
_BODY, _SCRIPT, _IFRAME, _TEMPLATE, _SVG, _MATH = (TAG[name] for name in "body script iframe template svg math".split())
_NAMES = np.zeros((len(TAGS), 12), np.uint8)
for _tag, _number in TAG.items():
    _NAMES[_number, : len(_tag)] = list(_tag.encode())
_LENGTHS = np.array([len(name) for name in TAGS], np.int64)


@inner
def put(out: Any, o: Any, point: Any) -> Any:
    """Write a code point as UTF-8 at `o`; returns the end."""
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
    """The entity at the ampersand `i`: (end, code point, second code point or 0); end is `i` if there is no entity."""
    n = len(page)
    k = i + 1
    if k < n and page[k] == HASH:
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
        if k < n and page[k] == SEMICOLON:
            k += 1
        if value == 0 or value >= 0x110000 or 0xD800 <= value < 0xE000:
            value = np.int64(0xFFFD)
        elif 0x80 <= value < 0xA0:
            value = WINDOWS_1252[value - 0x80]
        return k, value, 0
    h = FNV_START
    points, end = np.int64(-1), i
    while k < n and k - i < 34:
        c = page[k]
        if not (97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57):
            break
        h = fnv(h, c)
        k += 1
        if k < n and page[k] == SEMICOLON:
            value = look_up(ENTITY_TABLE, h)
            if value >= 0:
                points, end = value, k + 1
        elif k - i <= 7:  # the longest entity that needs no semicolon has six letters
            value = look_up(ENTITY_TABLE, h)
            if value >= 0 and value & LEGACY:
                points, end = value, k
    if points < 0:
        return i, 0, 0
    return end, points & 0x1FFFFF, (points >> 21) & 0x1FFFFF


@inner
def _key(page: Any, a: Any, b: Any) -> Any:
    """The key of the word `page[a:b]` in small letters."""
    start, rest, k = part(page, a, b) | LOWER, np.uint64(0), a + 8
    start = low_bytes(start, min(8, b - a))
    while k < b:
        rest = rest * FAR + low_bytes(part(page, k, b) | LOWER, min(8, b - k))
        k += 8
    return word_key(start, rest, b - a)


@inner
def _letters(page: Any, a: Any, size: Any) -> Any:
    """Masks of the letters and of the capitals in page[a:a + size], at most LANES bytes."""
    if a + LANES <= len(page):
        mask = (np.int64(1) << size) - 1
        capitals = within(page, a, 65, 90) & mask
        return (within(page, a, 97, 122) & mask) | capitals, capitals
    letters = capitals = np.int64(0)
    for k in range(size):
        letters |= np.int64(97 <= page[a + k] | 32 <= 122) << k
        capitals |= np.int64(65 <= page[a + k] <= 90) << k
    return letters, capitals


@inner
def _class_words(page: Any, a: Any, b: Any, hints: Any, path: Any, in_path: Any) -> Any:
    """(hints, path) with the words in an attribute's value added. Words are runs of letters; a capital after a small letter
    starts a new one."""
    while a < b:
        size = min(LANES, b - a)
        letters, capitals = _letters(page, a, size)
        inside = capitals & ((letters & ~capitals) << 1)  # capitals that start a word in a run
        starts = letters & (~(letters << 1) | inside)
        ends = ~letters | inside
        if a + size < b and letters >> (LANES - 1):  # the last word may go on
            size = highest(starts)
            starts ^= np.int64(1) << size
            if size == 0:  # it fills all lanes
                size, small = np.int64(LANES - 1), False
                while a + size < b and 97 <= page[a + size] | 32 <= 122 and not (small and page[a + size] <= 90):
                    small = page[a + size] >= 97
                    size += 1
                path = (path ^ _key(page, a, a + size)) * FAR if in_path else path
        while starts:
            start = lowest(starts)
            end = start + 1 + lowest(ends >> (start + 1))
            starts &= starts - 1
            if end - start > 1:
                key = _key(page, a + start, a + end)
                hints |= word_value(HINT_TABLE, key)
                path = (path ^ key) * FAR if in_path else path
        a += size
    return hints, path


@inner
def _for_screen_readers(page: Any, a: Any, b: Any) -> Any:
    """Whether a class is for screen readers only: sr-only, visuallyHidden, screen-reader-text; "not-sr-only" undoes it."""
    found = False
    both = one = FNV_START  # hashes of the last two words and of the last one, in one class
    negated = False
    while a < b:
        c = page[a]
        if c <= SPACE:
            both = one = FNV_START
            negated = False
            a += 1
            continue
        if not 97 <= c | 32 <= 122:
            a += 1
            continue
        both, one, small, start = one, FNV_START, False, a
        while a < b and 97 <= page[a] | 32 <= 122 and not (small and page[a] <= 90):
            small = page[a] >= 97
            both, one = fnv(both, page[a] | 32), fnv(one, page[a] | 32)
            a += 1
        negated = negated or _is(page, start, a, _NOT)
        if look_up(READER_TABLE, both) >= 0 or look_up(READER_TABLE, one) >= 0:
            if negated:
                return False
            found = True
    return found


@inner
def _from_tex(page: Any, a: Any, b: Any) -> Any:
    """Whether the address of an image, page[a:b], names a server that draws formulas: around its question mark."""
    query = a
    found = False
    while query < b and query + LANES <= len(page) and not found:
        mask = equal(page, query, QUESTION)
        found = mask != 0
        query += first(mask)
    if not found or query >= b:
        return False
    a, b = max(a, query - _BEFORE_QUERY), min(b, query + _IN_QUERY)
    last = FNV_START  # the hash of the last word
    while a < b:
        if not 97 <= page[a] | 32 <= 122:
            a += 1
            continue
        both, one = last, FNV_START
        while a < b and 97 <= page[a] | 32 <= 122:
            both, one = fnv(both, page[a] | 32), fnv(one, page[a] | 32)
            a += 1
        last = one
        if look_up(SERVER_TABLE, one) >= 0 or look_up(SERVER_TABLE, both) >= 0:
            return True
    return False


@inner
def _starts(page: Any, a: Any, b: Any, word: Any) -> Any:
    """Whether page[a:b] starts with this word, given in lower case, in any case."""
    return a + len(word) <= b and _is(page, a, a + len(word), word)


@inner
def _hiding(page: Any, a: Any, b: Any) -> Any:
    """Hint bits of a style that hides: HIDDEN, VEILED. Of two declarations of one property the last counts."""
    display = visibility = opacity = False  # whether each hides
    while a < b:
        while a < b and (page[a] <= SPACE or page[a] == SEMICOLON):
            a += 1
        start = a
        while a < b and page[a] != COLON and page[a] != SEMICOLON and page[a] > SPACE:
            a += 1
        end = a
        while a < b and (page[a] <= SPACE or page[a] == COLON):
            a += 1
        value = a
        while a < b and page[a] != SEMICOLON:
            a += 1
        if _is(page, start, end, _DISPLAY):
            display = _starts(page, value, a, _NONE)
        elif _is(page, start, end, _VISIBILITY):
            visibility = _starts(page, value, a, _HIDDEN) or _starts(page, value, a, _COLLAPSE)
        elif _is(page, start, end, _OPACITY):
            k = value
            while k < a and (page[k] == 48 or page[k] == 46):  # 0, .0, 0.00
                k += 1
            opacity = k > value and (k == a or not 48 <= page[k] <= 57)
    return np.int64(display or visibility) << HIDDEN | np.int64(opacity) << VEILED


@inner
def _is(page: Any, a: Any, b: Any, word: Any) -> Any:
    """Whether page[a:b] is this word, given in lower case, in any case."""
    if b - a != len(word):
        return False
    for z in range(len(word)):
        if page[a + z] | 32 != word[z]:
            return False
    return True


_ATTRIBUTES = """
    class id role itemprop style hidden href start value open popover aria-hidden colspan rowspan src reversed
""".split()
_ATTRIBUTE_TABLE = words_table((name, number) for number, name in enumerate(_ATTRIBUTES, start=1))
(
    _CLASS,
    _ID,
    _ROLE,
    _ITEMPROP,
    _STYLED,
    _HIDES,
    _HREF,
    _START,
    _VALUE,
    _OPEN,
    _POPOVER,
    _ARIA_HIDDEN,
    _COLSPAN,
    _ROWSPAN,
    _SRC,
    _REVERSED,
) = range(1, len(_ATTRIBUTES) + 1)
_MATH_TYPE, _SRCDOC, _SHADOW_ROOT, _TEXT, _FOREIGN, _TEMP, _SUP = (
    np.frombuffer(word, np.uint8) for word in b"math/ srcdoc shadowroot text fore temp sup".split()
)
_DISPLAY, _VISIBILITY, _OPACITY, _NONE, _HIDDEN, _COLLAPSE, _UNTIL, _TRUE, _NOT = (
    np.frombuffer(word, np.uint8)
    for word in b"display visibility opacity none hidden collapse until-found true not".split()
)


@inner
def _digits(page: Any, a: Any, b: Any) -> Any:
    """An attribute's value as a number of at most nine digits, CommonMark's limit for a list; -1 if it is not a number."""
    value = 0
    for k in range(a, b):
        if not 48 <= page[k] <= 57 or b - a > 9:
            return -1
        value = 10 * value + page[k] - 48
    return value if b > a else -1


@inner
def attributes(page: Any, k: Any, read: Any, path: Any, endless: Any) -> Any:
    """Read a tag from the end of its name: (position of its ">", hints, path, whether it closes itself, start and end of a
    link's target, the number of a list or item, or the rows and columns of a cell, see `Parsed.number`); -1 for none. Without
    `read`, attributes are skipped. `endless`: whether no further end exists, by byte of a quote."""
    n = len(page)
    hints = np.int64(0)
    closed = False
    target = target_end = number = -1
    columns = rows = 1
    while k < n:
        c = page[k]
        if c <= SPACE:
            k += 1
            continue
        if c == GREATER:
            break
        if c == SLASH:
            closed = True
            k += 1
            continue
        closed = False
        a = k
        k = b = name_end(page, k + 1, False)  # an attribute's name may start with "="
        while k < n and page[k] <= SPACE:
            k += 1
        va = vb = 0
        if k < n and page[k] == EQUALS:
            k += 1
            while k < n and page[k] <= SPACE:
                k += 1
            if k >= n:
                break
            quote = page[k]
            ended = False
            if (quote == DOUBLE_QUOTE or quote == QUOTE) and not endless[quote]:
                va = k + 1
                vb = find(page, va, quote)
                ended = vb < n
                endless[quote] = not ended
                if ended:
                    k = vb + 1
            if not ended:
                va = k
                while k < n and page[k] > SPACE and page[k] != GREATER:
                    k += 1
                vb = k
        if not read:
            continue
        which = word_value(_ATTRIBUTE_TABLE, _key(page, a, b))
        if which == 0:
            continue
        if which <= _ITEMPROP:
            hints, path = _class_words(page, va, vb, hints, path, which == _CLASS)
            if which == _CLASS and hints >> UNSEEN & 1 and _for_screen_readers(page, va, vb):
                hints |= np.int64(1) << HIDDEN
        elif which == _HREF:
            target, target_end = va, vb
        elif which == _STYLED:
            hints |= _hiding(page, va, vb)
        elif which == _HIDES:
            if not _is(page, va, vb, _UNTIL):  # what a search in the page finds is text
                hints |= np.int64(1) << HIDDEN
        elif which == _SRC:
            hints |= np.int64(_from_tex(page, va, vb)) << FORMULA
        elif which == _ARIA_HIDDEN:
            if _is(page, va, vb, _TRUE):
                hints |= np.int64(1) << VEILED
        elif which == _OPEN or which == _REVERSED:
            hints |= np.int64(1) << OPEN
        elif which == _POPOVER:
            hints |= np.int64(1) << HIDDEN
        elif which == _COLSPAN:
            columns = min(max(1, _digits(page, va, vb)), 1000)
        elif which == _ROWSPAN:
            rows = min(_digits(page, va, vb), 65534)
            rows = 65534 if rows == 0 else max(1, rows)  # 0: to the end of the body
        else:
            number = _digits(page, va, vb)  # start, value
    if columns > 1 or rows > 1:
        number = rows << ROWS | columns
    return k, hints, path, closed, target, target_end, number


@inner
def end_tag(page: Any, i: Any, tag: Any) -> Any:
    """Position of the next end tag of this name; -1 if there is none."""
    length = _LENGTHS[tag]
    last = len(page) - 2 - length
    i = find(page, i, LESS)
    while i <= last:
        if page[i + 1] == SLASH:
            same = True
            for z in range(length):
                if page[i + 2 + z] | 32 != _NAMES[tag, z]:
                    same = False
                    break
            if same:
                return i
        i = find(page, i + 1, LESS)
    return -1


@inner
def shows(page: Any, i: Any, end: Any) -> Any:
    """Whether page[i:end] contains text or a tag that breaks the line."""
    while i < end:
        if page[i] > SPACE:
            if page[i] != LESS:
                return True
            k, key = name(page, i + 2 if page[i + 1] == SLASH else i + 1)
            if KIND[word_value(TAG_TABLE, key)] & BLOCK:
                return True
            i = find(page, k, GREATER)
        i += 1
    return False


@inner
def _mentions(page: Any, a: Any, b: Any, word: Any) -> Any:
    """Whether page[a:b] contains this word, given in lower case, in any case."""
    for k in range(a, b - len(word) + 1):
        if page[k] | 32 == word[0] and _is(page, k, k + len(word), word):
            return True
    return False


@inner
def special(page: Any, tag: Any, a: Any, b: Any, end: Any) -> Any:
    """Whether `shown.as_shown` rewrites an element: page[a:b] are the attributes and ">", page[b:end] is the content."""
    if tag == _SCRIPT:
        return _mentions(page, a, b - 1, _MATH_TYPE)  # a tag that the page's end cuts has no ">"
    if tag == _IFRAME:
        return _mentions(page, a, b - 1, _SRCDOC)
    if tag == _TEMPLATE and _mentions(page, a, b - 1, _SHADOW_ROOT):
        return True
    if tag == _SVG or tag == _TEMPLATE:  # a drawing with text, or a template in a template
        k = find(page, b, LESS)
        while k + 5 < end:
            text = _is(page, k + 1, k + 5, _TEXT) or _is(page, k + 1, k + 5, _FOREIGN)
            if text if tag == _SVG else _is(page, k + 1, k + 5, _TEMP):
                return True
            k = find(page, k + 1, LESS)
    return tag == _MATH


@inner
def _letter(c: Any) -> Any:
    """Whether a byte is a letter, or part of a character beyond ASCII."""
    return 97 <= c | 32 <= 122 or c >= 0x80


@inner
def power(page: Any, i: Any, out: Any, o: Any, begun: Any) -> Any:
    """Whether the content of a `sup`, from `i`, is an exponent of the text before it, `out[begun:o]`: 1 for a number of at
    most three digits or one letter, behind a digit, a bracket or a word of one or two letters ("1st" and most footnotes are
    not); 2 for digits, letters and an operator, behind a digit, a bracket or one letter (n+1, -kt); else 0."""
    n = len(page)
    if o == begun:
        return 0
    k = i
    if k < n and (page[k] == DASH or page[k] == 43):
        k += 1
    elif (
        k + 2 < n
        and page[k] == 0xE2
        and ((page[k + 1] == 0x88 and page[k + 2] == 0x92) or (page[k + 1] == 0x80 and page[k + 2] == 0x93))
    ):  # a minus sign, or the dash that stands for it
        k += 3
    start = k
    while k < n and k < start + 3 and 48 <= page[k] <= 57:
        k += 1
    if k == start and k == i and k < n and 97 <= page[k] | 32 <= 122:
        k += 1
    before = out[o - 1]
    letters = 0
    while letters < 3 and letters < o - begun and _letter(out[o - 1 - letters]):
        letters += 1
    if k > start and k + 1 < n and page[k] == LESS and page[k + 1] == SLASH:
        return 1 if 48 <= before <= 57 or before == 41 or 1 <= letters <= 2 else 0
    operators = False
    k = i
    while k + 2 < n and k < i + _EXPONENT and page[k] != LESS:
        c = page[k]
        if c == 0xE2 and page[k + 1] == 0x88 and page[k + 2] == 0x92:  # a minus sign
            c = np.uint8(DASH)
            k += 2
        k += 1
        if c == DASH or c == 43 or c == SLASH:
            operators = True
        elif not (48 <= c <= 57 or 97 <= c | 32 <= 122):
            return 0
    if not operators or k + 4 >= n or page[k] != LESS or page[k + 1] != SLASH or not _is(page, k + 2, k + 5, _SUP):
        return 0
    last = page[k - 1]
    ends = 48 <= last <= 57 or 97 <= last | 32 <= 122  # the charge of an ion, 2+ or 2-, is no power
    return 2 if ends and (48 <= before <= 57 or before == 41 or letters == 1) else 0


@inner
def numbers_only(page: Any, i: Any) -> Any:
    """Whether an element's content, from `i`, is a number of at most six digits, with white space around it."""
    digits = 0
    k = i
    while k + 1 < len(page) and k < i + _NUMBER and page[k] != LESS:
        digits += 48 <= page[k] <= 57
        if not (48 <= page[k] <= 57 or page[k] <= SPACE):
            return False
        k += 1
    return 0 < digits <= 6 and k + 1 < len(page) and page[k] == LESS and page[k + 1] == SLASH


@inner
def indentation(page: Any, i: Any, out: Any, o: Any) -> Any:
    """Write the no-break spaces with which a line of code begins: (position in `page`, position in `out`)."""
    n = len(page)
    k = i
    begun = blank = False
    while k < n:
        end, point = k, np.int64(0)
        if page[k] == AMPERSAND:
            end, point, _ = entity(page, k)
        elif page[k] == 0xC2 and k + 1 < n and page[k + 1] == NO_BREAK_SPACE:
            end, point = k + 2, np.int64(NO_BREAK_SPACE)
        if point == NO_BREAK_SPACE and end > k:
            if blank and begun:
                out[o] = SPACE
                o += 1
            out[o] = SPACE
            o += 1
            begun, blank = True, False
            k = i = end
        elif page[k] <= SPACE:
            blank = True
            k += 1
        else:
            break
    return i, o


@inner
def comment_end(page: Any, i: Any) -> Any:
    """Position after the comment whose first dash is at `i - 2`; -1 if it never ends."""
    n = len(page)
    if i < n and page[i] == GREATER:
        return i + 1
    if i + 1 < n and page[i] == DASH and page[i + 1] == GREATER:
        return i + 2
    k = find(page, i, GREATER)
    while k < n:
        if page[k - 1] == DASH and page[k - 2] == DASH and k - 2 >= i:
            return k + 1
        if page[k - 1] == EXCLAMATION and page[k - 2] == DASH and page[k - 3] == DASH and k - 3 >= i:
            return k + 1
        k = find(page, k + 1, GREATER)
    return -1


@inner
def behind(page: Any, i: Any, byte: Any) -> Any:
    """Position after the next such byte; after the end of the page if there is none."""
    return find(page, i, byte) + 1


@inner
def name(page: Any, k: Any) -> Any:
    """(end, key) of the tag name that starts at `k`."""
    end = name_end(page, k, True)
    return end, _key(page, k, end)


@inner
def next_line_break(page: Any, i: Any) -> Any:
    """Position of the next tag that breaks the line: where text resumes after a script that never ends."""
    n = len(page)
    i = find(page, i, LESS)
    while i + 1 < n:
        k = i + 2 if page[i + 1] == SLASH else i + 1
        if k < n and 97 <= page[k] | 32 <= 122:
            k, key = name(page, k)
            tag = word_value(TAG_TABLE, key)
            if KIND[tag] & BLOCK or tag == _BODY:
                return i
        i = find(page, k, LESS)
    return n
