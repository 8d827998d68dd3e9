"""Statistics of a block's text: counts of characters, words, stop words and punctuation, in one pass over its UTF-8."""

from typing import Any

import numpy as np

from pipeline.extract.native.compiled import inner
from pipeline.extract.native.lanes import LANES, at_most, eight, equal, first, highest, low_bytes, lowest, ones, within
from pipeline.extract.native.names import FAR, LOWER, STOP_TABLE, word_key, word_value

(CHARS, WORDS, DIGITS, LETTERS, CAPITALS, CAPITALISED, PUNCTUATION, COMMAS, IDEOGRAPHS, STOP_WORDS, SENTENCE_END) = (
    range(11)
)
"""Columns that `measure` fills; SENTENCE_END is 1 if the text ends like a sentence, 0.5 if it ends with a colon."""
COLUMNS = 11

_NONE = np.uint64(0)
_LONGEST = 16
"""Bytes of a word that its key holds; no stop word is longer."""


@inner
def _ideograph(point: Any) -> Any:
    """Whether a code point is of a script without spaces between words: kana, Han, Hangul (short words), Thai, Lao, Burmese."""
    return (
        0x3041 <= point <= 0x30FF
        or 0x3400 <= point <= 0x9FFF
        or 0xAC00 <= point <= 0xD7AF
        or 0x0E01 <= point <= 0x0EFF
        or 0x1000 <= point <= 0x109F
        or 0x20000 <= point <= 0x3FFFF
    )


@inner
def _ends_sentence(point: Any) -> Any:
    """Whether a code point beyond ASCII is a full stop, a question mark or an exclamation mark."""
    return point == 0x3002 or point == 0xFF01 or point == 0xFF1F or point == 0x61F or point == 0x6D4 or point == 0x964


@inner
def _is_comma(point: Any) -> Any:
    """Whether a code point beyond ASCII is a comma, a semicolon or a colon."""
    return point == 0xFF0C or point == 0x3001 or point == 0xFF1B or point == 0xFF1A or point == 0x60C or point == 0x61B


@inner
def _is_sign(point: Any) -> Any:
    """Whether a code point beyond ASCII is a space, a quote, a dash or a symbol, in blocks that have no letters."""
    return 0xA0 <= point <= 0xBF or 0x2000 <= point <= 0x2BFF or 0x3000 <= point <= 0x303F


@inner
def _character(out: Any, i: Any) -> Any:
    """(code point, size in bytes) of the character at `i`."""
    c = np.int64(out[i])
    if c < 0x80:
        return c, 1
    if c < 0xE0:
        return ((c & 31) << 6) | (out[i + 1] & 63), 2
    if c < 0xF0:
        return ((c & 15) << 12) | ((out[i + 1] & 63) << 6) | (out[i + 2] & 63), 3
    return ((c & 7) << 18) | ((out[i + 1] & 63) << 12) | ((out[i + 2] & 63) << 6) | (out[i + 3] & 63), 4


@inner
def _sentence_end(out: Any, a: Any, b: Any) -> Any:
    """1 if the text ends like a sentence, 0.5 if it ends with a colon, else 0; a quote or bracket may follow the full stop."""
    i = b
    while i > a:
        i -= 1
        while i > a and out[i] & 0xC0 == 0x80:
            i -= 1
        point, _ = _character(out, i)
        if point < 0x80:
            if point == 46 or point == 33 or point == 63:  # . ! ?
                return 1.0
            if point > 32 and point != 34 and point != 39 and point != 41:
                return 0.5 if point == 58 else 0.0
        elif _ends_sentence(point) or point == 0x2026:
            return 1.0
        elif _is_comma(point) or not _is_sign(point):
            return 0.5 if point == 0xFF1A else 0.0
    return 0.0


@inner(forceinline=True)
def _add(text: Any, part: Any, size: Any) -> Any:
    """`text`, a hash with the bytes that are to enter it next and their number, with `size` bytes more, 1 to 8."""
    h, waiting, count = text
    waiting |= part << np.uint64(8 * count)
    mixed = (h ^ waiting) * FAR
    mixed ^= mixed >> np.uint64(29)
    full = count + size >= 8
    count = (count + size) & 7
    half = np.uint64(4 * (size - count) & 63)  # two shifts, since one by 64 bits is not defined
    return mixed if full else h, (part >> half) >> half if full else waiting, count


@inner(forceinline=True)
def _longer(word: Any, part: Any, size: Any) -> Any:
    """`word`, its first eight bytes, the next eight and the number of all, with `size` bytes more, 1 to 8."""
    start, rest, count = word
    shift = np.uint64(8 * (count & 7))
    here, beyond = part << shift, (part >> (np.uint64(63) - shift)) >> np.uint64(1)
    start |= here if count < 8 else _NONE
    rest |= beyond if count < 8 else here if count < _LONGEST else _NONE
    return start, rest, count + size


@inner
def _is_stop_word(word: Any) -> Any:
    """1 if a word is a stop word, else 0."""
    start, rest, count = word
    return word_value(STOP_TABLE, word_key(start, rest, count)) if count <= _LONGEST else 0


@inner
def measure(out: Any, a: Any, b: Any, row: Any) -> Any:
    """Fill the first COLUMNS of `row` for the text `out[a:b]`, behind which LANES bytes exist; returns a hash of its letters
    and digits."""
    # counted in registers, and written once at the end
    chars = words = digits = letters = capitals = capitalised = punctuation = commas = ideographs = stop_words = (
        np.int64(0)
    )
    in_word = False
    word = _NONE, _NONE, np.int64(0)
    text = np.uint64(1469598103934665603), _NONE, np.int64(0)
    i = a
    while i < b:
        if out[i] < 0x80:
            size = min(LANES, b - i)
            size = min(size, first(~at_most(out, i, 0x7F)))
            small, large, digit = within(out, i, 97, 122), within(out, i, 65, 90), within(out, i, 48, 57)
            mask = (np.int64(1) << size) - 1
            of_words = (small | large | digit) & mask
            if size == LANES and i + LANES < b:  # the next turn begins with the last word, if this one does not
                start = highest(mask & ~of_words) + 1
                if 0 < start < LANES:
                    size = start
                    mask = (np.int64(1) << size) - 1
                    of_words &= mask
            large &= mask
            begins = of_words & ~((of_words << 1) | in_word)
            full_stops = (
                np.int64(equal(out, i, 46)) | np.int64(equal(out, i, 33)) | np.int64(equal(out, i, 63))  # . ! ?
            )
            comma = np.int64(equal(out, i, 44)) & mask
            others = np.int64(equal(out, i, 58)) | np.int64(equal(out, i, 59))  # : ;
            chars += size
            words += ones(begins)
            digits += ones(digit & mask)
            letters += ones((small | large) & mask)
            capitals += ones(large)
            capitalised += ones(begins & large)
            commas += ones(comma)
            punctuation += ones(((full_stops | others) & mask) | comma)
            if in_word and not of_words & 1:
                stop_words += _is_stop_word(word)
                in_word = False
            while of_words:
                at = lowest(of_words)
                run = lowest(~(of_words >> at))
                if run <= 8 and not in_word:  # nearly all words
                    part = low_bytes(eight(out, i + at) | LOWER, run)
                    text = _add(text, part, run)
                    word = part, _NONE, run
                    in_word = at + run == size
                    stop_words += 0 if in_word else word_value(STOP_TABLE, word_key(part, _NONE, run))
                else:
                    if not in_word:
                        word = _NONE, _NONE, np.int64(0)
                    k = at
                    while k < at + run:
                        count = min(np.int64(8), at + run - k)
                        part = low_bytes(eight(out, i + k) | LOWER, count)
                        word, text = _longer(word, part, count), _add(text, part, count)
                        k += 8
                    in_word = at + run == size
                    if not in_word:
                        stop_words += _is_stop_word(word)
                of_words = (of_words >> (at + run)) << (at + run)
            i += size
            continue
        point, size = _character(out, i)
        part = low_bytes(eight(out, i), size)
        chars += 1
        is_letter = 0xC0 <= point < 0x600
        if not is_letter and _ideograph(point):
            ideographs += 1
            text = _add(text, part, size)
        elif not is_letter and (_ends_sentence(point) or _is_comma(point)):
            punctuation += 1
            commas += 1  # scripts without spaces: a full stop marks running text as a comma does
        elif is_letter or not _is_sign(point):
            is_letter = True
            letters += 1
            if not in_word:
                words += 1
                word = _NONE, _NONE, np.int64(0)
            if (0xC0 <= point <= 0xDE) or (0x391 <= point <= 0x3A9) or (0x410 <= point <= 0x42F):
                capitals += 1
                capitalised += not in_word
                point += 32
                part = np.uint64((0xC0 | (point >> 6)) | ((0x80 | (point & 63)) << 8))
            text = _add(text, part, size)
            word = _longer(word, part, size) if size == 2 else _longer(word, np.uint64(point & 0xFF), np.int64(1))
        if in_word and not is_letter:
            stop_words += _is_stop_word(word)
        in_word = is_letter
        i += size
    if in_word:
        stop_words += _is_stop_word(word)
    row[CHARS], row[WORDS], row[DIGITS], row[LETTERS], row[CAPITALS] = chars, words, digits, letters, capitals
    row[CAPITALISED], row[PUNCTUATION], row[COMMAS] = capitalised, punctuation, commas
    row[IDEOGRAPHS], row[STOP_WORDS] = ideographs, stop_words
    row[SENTENCE_END] = _sentence_end(out, a, b)
    h, waiting, count = text
    return (h ^ waiting) * FAR + np.uint64(count)
