"""Statistics of a block's text: counts of characters, words, stop words and punctuation, in one pass over its UTF-8."""

from typing import Any

import numpy as np

from pipeline.extract.native.names import FNV_START, STOP_TABLE, fnv, look_up
from pipeline.kernels import inner

(CHARS, WORDS, DIGITS, LETTERS, CAPITALS, CAPITALISED, PUNCTUATION, COMMAS, IDEOGRAPHS, STOP_WORDS, SENTENCE_END) = (
    range(11)
)
"""Columns that `measure` fills; SENTENCE_END is 1 if the text ends like a sentence, 0.5 if it ends with a colon."""
COLUMNS = 11

_FAR = np.uint64(1099511628211)
_SENTENCE, _COLON, _LETTER, _OTHER = 1, 2, 3, 4


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
def measure(out: Any, a: Any, b: Any, row: Any) -> Any:
    """Fill the first COLUMNS of `row` for the text `out[a:b]`; returns a hash of its letters and digits."""
    # counted in registers, and written once at the end
    chars = words = digits = letters = capitals = capitalised = punctuation = commas = ideographs = stop_words = 0
    h = FNV_START
    in_word = False
    last = _OTHER
    text_print = np.uint64(1469598103934665603)
    i = a
    while i < b:
        c = np.int64(out[i])
        if c < 0x80:
            point, size = c, 1
        elif c < 0xE0:
            point, size = ((c & 31) << 6) | (out[i + 1] & 63), 2
        elif c < 0xF0:
            point, size = ((c & 15) << 12) | ((out[i + 1] & 63) << 6) | (out[i + 2] & 63), 3
        else:
            point = ((c & 7) << 18) | ((out[i + 1] & 63) << 12) | ((out[i + 2] & 63) << 6) | (out[i + 3] & 63)
            size = 4
        i += size
        chars += 1
        word = False
        if size == 1:
            if 97 <= c <= 122:
                letters += 1
                word = True
            elif 65 <= c <= 90:
                letters += 1
                capitals += 1
                if not in_word:
                    capitalised += 1
                point += 32
                word = True
            elif 48 <= c <= 57:
                digits += 1
                word = True
            elif c == 46 or c == 33 or c == 63:  # . ! ?
                punctuation += 1
                last = _SENTENCE
            elif c == 44 or c == 59:  # , ;
                punctuation += 1
                commas += c == 44
                last = _OTHER
            elif c == 58:
                punctuation += 1
                last = _COLON
            elif c > 32 and c != 34 and c != 39 and c != 41:  # a quote or bracket may follow the full stop
                last = _OTHER
        elif (
            point == 0x3002 or point == 0xFF01 or point == 0xFF1F or point == 0x61F or point == 0x6D4 or point == 0x964
        ):
            punctuation += 1
            commas += 1  # scripts without spaces: a full stop marks running text as a comma does
            last = _SENTENCE
        elif (
            point == 0xFF0C or point == 0x3001 or point == 0xFF1B or point == 0xFF1A or point == 0x60C or point == 0x61B
        ):
            punctuation += 1
            commas += 1
            last = _COLON if point == 0xFF1A else _OTHER
        elif 0x2000 <= point <= 0x206F:  # quotes, dashes, ...
            if point == 0x2026:
                last = _SENTENCE
        elif _ideograph(point):
            ideographs += 1
            last = _LETTER
            text_print = (text_print ^ np.uint64(point)) * _FAR
        elif not (0xA0 <= point <= 0xBF or 0x2070 <= point <= 0x2BFF or 0x3000 <= point <= 0x303F):
            letters += 1
            word = True
            if (0xC0 <= point <= 0xDE) or (0x391 <= point <= 0x3A9) or (0x410 <= point <= 0x42F):
                capitals += 1
                if not in_word:
                    capitalised += 1
                point += 32
        if word:
            if not in_word:
                in_word = True
                words += 1
                h = FNV_START
            if point < 0x80:
                h = fnv(h, point)
            elif point < 0x800:
                h = fnv(fnv(h, 0xC0 | (point >> 6)), 0x80 | (point & 63))
            else:
                h = fnv(h, point & 0xFF)
            text_print = (text_print ^ np.uint64(point)) * _FAR
            last = _LETTER
        elif in_word:
            in_word = False
            stop_words += look_up(STOP_TABLE, h) > 0
    if in_word:
        stop_words += look_up(STOP_TABLE, h) > 0
    row[CHARS], row[WORDS], row[DIGITS], row[LETTERS], row[CAPITALS] = chars, words, digits, letters, capitals
    row[CAPITALISED], row[PUNCTUATION], row[COMMAS] = capitalised, punctuation, commas
    row[IDEOGRAPHS], row[STOP_WORDS] = ideographs, stop_words
    row[SENTENCE_END] = 1.0 if last == _SENTENCE else 0.5 if last == _COLON else 0.0
    return text_print
