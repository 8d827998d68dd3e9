"""Words and word n-grams (shingles) of a text as 64-bit hashes, in one pass over its UTF-8 bytes.

The word rule, for every script:
  * the text is taken in Unicode NFC, so that two spellings of "é" are one;
  * a word is a maximal run of letters, marks and numbers (categories L, M, N), each in its simple lower case
    (one code point to one: İ becomes i);
  * in scripts written without spaces (Han, kana, Thai, ...: `UNSPACED`) each letter, with the marks that follow it,
    is a word of its own, so that n-grams work there too.
A shingle is n consecutive words. A text of fewer than n words has one shingle, of all its words; a text without
words has none.

With `unit` "characters" a shingle is n consecutive characters instead, of the same NFC text in simple lower case, every run
of white space (`str.isspace`) one space and none at either end; a text shorter than n has one shingle, of all it has.

Hashes, so that anyone can compute them again (all modulo 2**64, `fmix` is MurmurHash3's 64-bit finalizer):
  character  t(c) = fmix(c + 0x9E3779B97F4A7C15)
  word       h = rotl(h, 7) + t(c) over its characters, from 0
  shingle    fmix(x), where x = x * 0x9E3779B97F4A7C15 + h over its words, or t(c) over its characters, from 0
The character tables are those of the running Python (`unicodedata.unidata_version`), so its version decides the output.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import int64, uint32, uint64

from pipeline.errors import UserError, did_you_mean
from pipeline.kernels import inner, kernel

LIBRARIES = ("unicode",)  # Python's tables decide what a letter is

Texts: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str | None]

UNITS = ("words", "characters")

# Letters of these ranges are words of their own: Han, kana and bopomofo; and the scripts that Unicode's line breaking
# (UAX 14) calls SA, "complex context": Thai, Lao, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham, Tai Viet, Ahom.
UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x2E80, 0x2FDF),
    (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x303C), (0x3041, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
    (0x11700, 0x1174F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF),
)  # fmt: skip

# One table of 32 bits a code point: simple lower case (21 bits), class (3 bits), place in normalization (8 bits).
OTHER, LETTER, MARK, ALONE, SPACE = 0, 1, 2, 3, 4
LOWER_BITS = (1 << 21) - 1
MAYBE = 255  # normalization may change this character, or it may join the one before it

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: a usual constant of multiplicative hashing


def _character_class(code: int, character: str) -> int:
    category = unicodedata.category(character)
    if character.isspace():
        return SPACE
    if category[0] == "M":
        return MARK
    if category[0] not in "LN":
        return OTHER
    unspaced = category != "Nd" and any(low <= code <= high for low, high in UNSPACED)
    return ALONE if unspaced else LETTER


@lru_cache(1)
def character_table() -> npt.NDArray[np.uint32]:
    """What the kernels need of each code point, uint32 (0x110000,); about 0.3 s, once a process."""
    table = np.arange(0x110000, dtype=np.uint32)
    joins = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # Hangul vowels and finals join what is before
    assigned = [*range(0xD800), *range(0xE000, 0x33480), *range(0xE0000, 0xE01F0)]
    for code in assigned:
        parts = unicodedata.decomposition(chr(code))
        if parts and parts[0] != "<" and " " in parts:
            joins.add(int(parts.split()[1], 16))
    for code in assigned:
        character = chr(code)
        order = unicodedata.combining(character)
        if code in joins or not unicodedata.is_normalized("NFC", character):
            order = MAYBE
        table[code] = ord(character.lower()[0]) | _character_class(code, character) << 21 | order << 24
    table.flags.writeable = False
    return table


@inner(forceinline=True)
def fmix64(x):  # type: ignore[no-untyped-def]
    """MurmurHash3's 64-bit finalizer (Appleby): a bijection in which every bit of input moves every bit of output."""
    x = (x ^ (x >> uint64(33))) * uint64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> uint64(33))) * uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> uint64(33))


@inner(forceinline=True)
def character_hash(code):  # type: ignore[no-untyped-def]
    """t(c) of the module's docstring."""
    return fmix64(uint64(code) + uint64(_GOLDEN))


@inner(forceinline=True)
def decode(data, i, end):  # type: ignore[no-untyped-def]
    """The code point at byte i of data and its length in bytes; bytes that are no UTF-8 count as U+FFFD each.

    Places in the text are uint64 in all kernels: with signed ones Numba looks for negative (Python's "from the end")
    indices at every access, which doubles the time of the loops over bytes.
    """
    one, two, three = uint64(1), uint64(2), uint64(3)
    b = data[i]
    left = end - i
    if b < 0x80:
        return uint32(b), one
    if 0xC0 <= b < 0xE0 and left > one:
        return uint32(b & 0x1F) << uint32(6) | uint32(data[i + one] & 0x3F), two
    if 0xE0 <= b < 0xF0 and left > two:
        high = uint32(b & 0x0F) << uint32(12) | uint32(data[i + one] & 0x3F) << uint32(6)
        return high | uint32(data[i + two] & 0x3F), three
    if 0xF0 <= b < 0xF5 and left > three:
        high = uint32(b & 0x07) << uint32(18) | uint32(data[i + one] & 0x3F) << uint32(12)
        code = high | uint32(data[i + two] & 0x3F) << uint32(6) | uint32(data[i + three] & 0x3F)
        if code < 0x110000:
            return code, uint64(4)
    return uint32(0xFFFD), one


@inner(forceinline=True)
def _join(h, t):  # type: ignore[no-untyped-def]
    return (h << uint64(7) | h >> uint64(57)) + t


@kernel
def ascii_tables(table):  # type: ignore[no-untyped-def]
    """For the 128 ASCII characters: t(lower case), or 0; and all ones for a word's character, else 0."""
    hashes = np.zeros(128, np.uint64)
    masks = np.zeros(128, np.uint64)
    for code in range(128):
        if (table[code] >> uint32(21)) & uint32(7) == LETTER:
            hashes[code] = character_hash(table[code] & uint32(LOWER_BITS))
            masks[code] = ~uint64(0)
    return hashes, masks


@inner(forceinline=True)
def needs_nfc(order, last):  # type: ignore[no-untyped-def]
    """Whether a character with this place in normalization, after one with place `last`, may not stand so in NFC."""
    return order != 0 and (order == MAYBE or order < last)


@kernel
def hash_words(data, start, end, table, hashes, masks, is_nfc, words):  # type: ignore[no-untyped-def]
    """Write the hashes of the words of data[start:end] to `words` (room for bytes // 2 + 2) and return their number;
    -1 where the text may not be in NFC (and `is_nfc` does not say it is).

    The ASCII path has no branch: the ends of words cannot be foretold, and a wrong guess costs more than the work.
    """
    i, end = uint64(start), uint64(end)
    n, one = uint64(0), uint64(1)
    h = inside = uint64(0)  # the word so far; all ones while there is one
    last = uint32(0)
    while i < end:
        b = data[i]
        if b < 0x80:
            words[n] = h
            n += inside & ~masks[b] & one
            inside = masks[b]
            h = _join(h, hashes[b]) & inside
            last = uint32(0)
            i += one
            continue
        code, length = decode(data, i, end)
        i += length
        entry = table[code]
        if not is_nfc and needs_nfc(entry >> uint32(24), last):
            return -1
        last = entry >> uint32(24)
        kind = (entry >> uint32(21)) & uint32(7)
        if kind in (LETTER, MARK):
            h = _join(h, character_hash(entry & uint32(LOWER_BITS)))
            inside = ~uint64(0)
            continue
        words[n] = h
        n += inside & one
        h = inside = uint64(0)
        if kind != ALONE:
            continue
        h = _join(h, character_hash(entry & uint32(LOWER_BITS)))
        while i < end:
            code, length = decode(data, i, end)
            entry = table[code]
            if (entry >> uint32(21)) & uint32(7) != MARK:
                break
            if not is_nfc and needs_nfc(entry >> uint32(24), last):
                return -1
            last = entry >> uint32(24)
            h = _join(h, character_hash(entry & uint32(LOWER_BITS)))
            i += length
        words[n] = h
        n += one
        h = uint64(0)
    words[n] = h
    return int64(n + (inside & one))


@kernel
def hash_characters(data, start, end, table, is_nfc, out):  # type: ignore[no-untyped-def]
    """Write t(c) of the characters of data[start:end], white space joined, to `out` (room for bytes + 2) and return
    their number; -1 where the text may not be in NFC (and `is_nfc` does not say it is)."""
    i, end = uint64(start), uint64(end)
    n, one = uint64(0), uint64(1)
    space = character_hash(uint32(0x20))
    waiting = False  # white space, of which nobody knows yet whether it is at the end
    last = uint32(0)
    while i < end:
        code, length = decode(data, i, end)
        i += length
        entry = table[code]
        if not is_nfc and needs_nfc(entry >> uint32(24), last):
            return -1
        last = entry >> uint32(24)
        if (entry >> uint32(21)) & uint32(7) == SPACE:
            waiting = n > 0
            continue
        if waiting:
            out[n] = space
            n += one
            waiting = False
        out[n] = character_hash(entry & uint32(LOWER_BITS))
        n += one
    return int64(n)


@kernel
def hash_units(data, start, end, table, hashes, masks, is_nfc, characters, out):  # type: ignore[no-untyped-def]
    """`hash_characters` or `hash_words`; room for bytes + 2 is enough for both."""
    if characters:
        return hash_characters(data, start, end, table, is_nfc, out)
    return hash_words(data, start, end, table, hashes, masks, is_nfc, out)


@kernel
def hash_shingles(words, n_words, ngram, shingles):  # type: ignore[no-untyped-def]
    """Write the shingles of words[:n_words] to `shingles` and return their number. They may be the same array."""
    if n_words == 0:
        return 0
    size = min(ngram, n_words)
    n = n_words - size + 1
    for k in range(n):
        x = uint64(0)
        for t in range(size):
            x = x * uint64(_GOLDEN) + words[k + t]
        shingles[k] = fmix64(x)
    return n


@kernel
def _shingle_batch(data, starts, ends, is_nfc, table, ngram, characters, out_offsets, out):  # type: ignore[no-untyped-def]
    hashes, masks = ascii_tables(table)
    n = 0
    flagged = np.zeros(starts.size, np.bool_)
    for i in range(starts.size):
        n_words = hash_units(data, starts[i], ends[i], table, hashes, masks, is_nfc, characters, out[n:])
        flagged[i] = n_words < 0
        n += hash_shingles(out[n:], max(n_words, 0), ngram, out[n:])
        out_offsets[i + 1] = n
    return flagged


def as_text_array(texts: Texts) -> pa.Array:
    """The texts as one Arrow array of strings (nulls stay)."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not isinstance(texts, pa.Array):
        return pa.array(texts, pa.large_string())
    if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
        return texts
    return texts.cast(pa.large_string())


def text_buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The UTF-8 bytes of an array of strings (which may be a slice), and where each text starts and ends in them.

    A null is an empty text, whatever bytes lie under it.
    """
    validity, offsets, data = texts.buffers()
    width = np.dtype(np.int64 if pa.types.is_large_string(texts.type) else np.int32)
    if offsets is None or len(texts) == 0:
        bounds = np.zeros(len(texts) + 1, np.int64)
    else:
        bounds = np.frombuffer(offsets, width, len(texts) + 1, texts.offset * width.itemsize).astype(np.int64)
    starts, ends = bounds[:-1].copy(), bounds[1:].copy()
    if validity is not None:
        missing = texts.is_null().to_numpy(zero_copy_only=False)
        ends[missing] = starts[missing]
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    content.flags.writeable = False  # one compiled version of each kernel, whoever made the buffer
    return content, starts, ends


def to_nfc(texts: pa.Array, rows: npt.NDArray[np.int64]) -> pa.Array:
    """The texts of some rows in Unicode NFC. In Python, a row at a time: the kernels ask for it only where needed."""
    chosen = texts.take(pa.array(rows)).to_pylist()
    return pa.array([unicodedata.normalize("NFC", text) for text in chosen], pa.large_string())


def shingle_hashes(texts: Texts, ngram: int, unit: str = "words") -> list[npt.NDArray[np.uint64]]:
    """For each text, the hashes of its shingles in the order of the text, repeats included; none for a null."""
    array = as_text_array(texts)
    found, rows = _shingles(array, ngram, unit, is_nfc=False)
    if rows.size:
        for row, hashes in zip(rows, _shingles(to_nfc(array, rows), ngram, unit, is_nfc=True)[0], strict=True):
            found[row] = hashes
    return found


def word_hashes(texts: Texts) -> list[npt.NDArray[np.uint64]]:
    """For each text the hashes of its words, in order; none for a null."""
    return shingle_hashes(texts, 1)


def check_unit(unit: str) -> bool:
    """Whether the unit is characters; raises UserError for one that is not known."""
    if unit not in UNITS:
        raise UserError(f"unknown unit {unit!r}{did_you_mean(unit, UNITS)} of the n-grams; known: {', '.join(UNITS)}")
    return unit == "characters"


def _shingles(
    texts: pa.Array, ngram: int, unit: str, *, is_nfc: bool
) -> tuple[list[npt.NDArray[np.uint64]], npt.NDArray[np.int64]]:
    """The shingles of each text, and the rows that must be normalized first."""
    characters = check_unit(unit)
    data, starts, ends = text_buffers(texts)
    offsets = np.zeros(len(texts) + 1, np.int64)
    room = ends - starts if characters else (ends - starts) // 2
    out = np.empty(int((room + 2).sum()), np.uint64)
    flagged = _shingle_batch(data, starts, ends, is_nfc, character_table(), ngram, characters, offsets, out)
    return [out[offsets[i] : offsets[i + 1]] for i in range(len(texts))], np.flatnonzero(flagged)
