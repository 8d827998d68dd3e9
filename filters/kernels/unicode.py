"""Unicode character classes for the text kernels, and the steps they share: decoding, hashing, hash tables.

Character classes come from the Unicode database of the `regex` package, not from Python's own, so that two Python
versions with the same `regex` measure the same numbers.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import regex

from pipeline.kernels import inner

LIBRARIES = ("regex",)  # its tables decide the classes

# The kind of a character: the low three bits of its class.
SYMBOL = 0  # punctuation, symbols, private use, unassigned: a token of its own
LETTER = 1  # \p{L} of a script that is written with spaces between words
NUMBER = 2  # \p{N}
IDEOGRAPH = 3  # \p{L} of a script written without spaces (Han, kana, Thai, Khmer, …): a word of its own
EXTEND = 4  # combining marks and format characters: part of the token they follow
SPACE = 5  # \p{White_Space}
IGNORED = 6  # controls and the zero-width space: they separate words and are not tokens
KIND = 7  # the mask of the above

# Further properties, one bit each.
TERMINAL = 8  # ends a sentence (Unicode property Sentence_Terminal): . ! ? 。 । ؟ …
UPPERCASE = 16
BREAK = 32  # ends a line (UAX #14's mandatory breaks): LF VT FF CR NEL LS PS
DIGIT = 64  # \p{Nd}
CLOSING = 128  # may stand between a full stop and the space after it: quotes and closing brackets

_PROPERTIES = (
    (r"\p{L}", LETTER),
    (r"\p{N}", NUMBER),
    (r"[\p{M}\p{Cf}]", EXTEND),
    (r"\p{White_Space}", SPACE),
    (r"[\p{Cc}--\p{White_Space}]", IGNORED),
    (r"\u200B", IGNORED),
    (r"[\p{L}&&[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=Complex_Context}\u30FC\uFF70]]", IDEOGRAPH),
    (r"\p{Sentence_Terminal}", TERMINAL),
    (r"[\p{Lu}\p{Lt}]", UPPERCASE),
    (r"[\n\v\f\r\x85\u2028\u2029]", BREAK),
    (r"\p{Nd}", DIGIT),
    (r"[\p{Pe}\p{Pf}\"']", CLOSING),
)

ASSIGNED = ((0, 0x40000), (0xE0000, 0xE1000))
"""Where characters with such properties are: the others are unassigned or for private use (a test looks)."""


def every_character() -> str:
    """All code points in order, including surrogates."""
    return np.arange(0x110000, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")


@cache
def character_classes() -> npt.NDArray[np.uint8]:
    """The class of every code point, uint8 (0x110000,), read-only; built once per process in 0.02 s."""
    classes = np.zeros(0x110000, dtype=np.uint8)
    characters = every_character()
    for first, end in ASSIGNED:
        for pattern, value in _PROPERTIES:
            for match in regex.finditer(f"(?V1)(?:{pattern})+", characters[first:end]):
                run = classes[first + match.start() : first + match.end()]
                if value <= KIND:
                    run &= np.uint8(255 ^ KIND)
                run |= np.uint8(value)
    classes.flags.writeable = False
    return classes


@inner
def decode(data: Any, i: Any, end: Any) -> Any:
    """The code point at byte `i` and its number of bytes. Invalid UTF-8 gives U+FFFD; nothing is read beyond `end`."""
    packed = _decode(data, i, end)
    return packed >> 3, packed & 7


@inner
def _decode(data: Any, i: Any, end: Any) -> Any:
    """Code point << 3 | bytes. Numba inlines one integer and one loop without reference counting, which makes it five times
    as fast as a pair and four branches."""
    byte = np.int64(data[i])
    size = 1 + (byte >= 0xC0) + (byte >= 0xE0) + (byte >= 0xF0)
    if byte < 0x80:
        return byte << 3 | 1
    if byte < 0xC0 or byte >= 0xF5 or i + size > end:
        return np.int64(0xFFFD) << 3 | 1
    code = byte & (0x7F >> size)
    for k in range(i + 1, i + size):
        code = code << 6 | np.int64(data[k] & 0x3F)
    code = min(code, np.int64(0x10FFFF))
    return code << 3 | size


HASH_SEED = np.uint64(0xCBF29CE484222325)
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@inner
def add_hash(value: Any, code: Any) -> Any:
    """Add a code point to the hash of a string, which begins with HASH_SEED. `mix` the final value before use."""
    return (value ^ np.uint64(code)) * HASH_FACTOR


@inner
def mix(x: Any) -> Any:
    """MurmurHash3's 64-bit finalizer, but never 0."""
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xFF51AFD7ED558CCD)
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xC4CEB9FE1A85EC53)
    return max(x ^ (x >> np.uint64(33)), np.uint64(1))


@inner
def table_size(entries: Any) -> Any:
    """The number of slots of an open-addressing table for `entries` keys: a power of two, at most half full."""
    size = 64
    while size < 2 * entries:
        size *= 2
    return size


@inner
def find_slot(keys: Any, mask: Any, key: Any) -> Any:
    """The slot of `key`, or the free slot (0) for it. Linear probing; keys are never 0."""
    slot = np.int64(mix(key) & np.uint64(mask))
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot
