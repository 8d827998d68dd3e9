"""A table of code points for comparing texts, from Python's Unicode database: lower case, class, combining class; and reading
and writing UTF-8.

Positions in a text are uint64 here and in the kernels that use this: for signed ones Numba checks for negative indices
(Python's "from the end") at every access, which doubles the time of the loops over bytes. (`unicode.py` has the signals'
classes, from the `regex` package's database, and a decoder for signed positions.)
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import uint32, uint64

from pipeline.kernels import inner

LIBRARIES = ("unicode",)  # Python's tables decide what a letter is

# Letters of these ranges are words of their own: Han, kana and bopomofo; and the scripts that Unicode's line breaking
# (UAX 14) calls SA, "complex context": Thai, Lao, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham, Tai Viet, Ahom.
UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x2E80, 0x2FDF),
    (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x303C), (0x3041, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
    (0x11700, 0x1174F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF),
)  # fmt: skip

# One table with 32 bits per code point: simple lower case (21 bits), class (3 bits), canonical combining class (8 bits).
OTHER, LETTER, MARK, ALONE, SPACE = 0, 1, 2, 3, 4
LOWER_BITS = (1 << 21) - 1
MAYBE = 255  # in place of the combining class: normalization may change this character or join it to the one before


def _classes(codes: npt.NDArray[np.int64], characters: Sequence[str]) -> npt.NDArray[np.uint8]:
    """The class of each of some characters."""
    of_category = dict.fromkeys(("Mn", "Mc", "Me"), MARK) | dict.fromkeys(("Lu", "Ll", "Lt", "Lm", "Lo"), LETTER)
    of_category |= dict.fromkeys(("Nd", "Nl", "No"), LETTER)
    categories = list(map(unicodedata.category, characters))
    classes = np.fromiter((of_category.get(category, OTHER) for category in categories), np.uint8, len(codes))
    unspaced = np.zeros(len(codes), np.bool_)
    for low, high in UNSPACED:
        unspaced |= (codes >= low) & (codes <= high)
    digits = np.fromiter((category == "Nd" for category in categories), np.bool_, len(codes))
    classes[unspaced & ~digits & (classes == LETTER)] = ALONE
    classes[np.fromiter(map(str.isspace, characters), np.bool_, len(codes))] = SPACE
    return classes


@lru_cache(1)
def character_table() -> npt.NDArray[np.uint32]:
    """The table of code points, uint32 (0x110000,); built once per process in about 0.1 s."""
    table = np.arange(0x110000, dtype=np.uint32)
    assigned = np.array([*range(0xD800), *range(0xE000, 0x33480), *range(0xE0000, 0xE01F0)])
    characters = list(map(chr, assigned.tolist()))
    # Hangul vowels and finals join the character before.
    joins = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    for parts in map(unicodedata.decomposition, characters):
        if parts and parts[0] != "<" and " " in parts:
            joins.add(int(parts.split()[1], 16))
    orders = np.fromiter(map(unicodedata.combining, characters), np.uint32, len(assigned))
    changed = [not unicodedata.is_normalized("NFC", character) for character in characters]
    orders[np.array(changed) | np.isin(assigned, list(joins))] = MAYBE
    lower = np.fromiter((ord(character.lower()[0]) for character in characters), np.uint32, len(assigned))
    table[assigned] = lower | _classes(assigned, characters).astype(np.uint32) << 21 | orders << 24
    table.flags.writeable = False
    return table


@inner(forceinline=True)
def decode(data: Any, i: Any, end: Any) -> Any:
    """The code point at byte i of data and its length in bytes; each invalid byte counts as U+FFFD.

    Positions are uint64; the module's docstring says why.
    """
    one, two, three = uint64(1), uint64(2), uint64(3)
    b = data[i]
    remaining = end - i
    if b < 0x80:
        return uint32(b), one
    if 0xC0 <= b < 0xE0 and remaining > one:
        return uint32(b & 0x1F) << uint32(6) | uint32(data[i + one] & 0x3F), two
    if 0xE0 <= b < 0xF0 and remaining > two:
        high = uint32(b & 0x0F) << uint32(12) | uint32(data[i + one] & 0x3F) << uint32(6)
        return high | uint32(data[i + two] & 0x3F), three
    if 0xF0 <= b < 0xF5 and remaining > three:
        high = uint32(b & 0x07) << uint32(18) | uint32(data[i + one] & 0x3F) << uint32(12)
        code = high | uint32(data[i + two] & 0x3F) << uint32(6) | uint32(data[i + three] & 0x3F)
        if code < 0x110000:
            return code, uint64(4)
    return uint32(0xFFFD), one


@inner(forceinline=True)
def encode(code: Any, out: Any, k: Any) -> Any:
    """Write a code point to out[k:] in UTF-8 and return its length."""
    one, two, three = uint64(1), uint64(2), uint64(3)
    six = uint32(0x3F)
    if code < 0x80:
        out[k] = code
        return one
    if code < 0x800:
        out[k] = 0xC0 | code >> uint32(6)
        out[k + one] = 0x80 | code & six
        return two
    if code < 0x10000:
        out[k] = 0xE0 | code >> uint32(12)
        out[k + one] = 0x80 | code >> uint32(6) & six
        out[k + two] = 0x80 | code & six
        return three
    out[k] = 0xF0 | code >> uint32(18)
    out[k + one] = 0x80 | code >> uint32(12) & six
    out[k + two] = 0x80 | code >> uint32(6) & six
    out[k + three] = 0x80 | code & six
    return uint64(4)


@inner(forceinline=True)
def needs_nfc(order: Any, last: Any) -> Any:
    """Whether a character with this combining class, after one with the class `last`, may be out of NFC."""
    return order != 0 and (order == MAYBE or order < last)
