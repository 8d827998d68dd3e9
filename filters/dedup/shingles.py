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

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import int64, uint32, uint64

from pipeline.errors import UserError, did_you_mean
from pipeline.filters.kernels.arrays import Texts, as_text_array, text_buffers, to_nfc
from pipeline.filters.kernels.code_points import (
    ALONE,
    LETTER,
    LOWER_BITS,
    MARK,
    SPACE,
    character_table,
    decode,
    needs_nfc,
)
from pipeline.filters.kernels.hashing import fmix64
from pipeline.kernels import inner, kernel

UNITS = ("words", "characters")

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: a usual constant of multiplicative hashing


@inner(forceinline=True)
def character_hash(code: Any) -> Any:
    """t(c) of the module's docstring."""
    return fmix64(uint64(code) + uint64(_GOLDEN))


@inner(forceinline=True)
def _join(h: Any, t: Any) -> Any:
    """The hash of a word with one more character's."""
    return (h << uint64(7) | h >> uint64(57)) + t


@kernel
def ascii_tables(table: Any) -> Any:
    """For the 128 ASCII characters: t(lower case), or 0; and all ones for a word's character, else 0."""
    hashes = np.zeros(128, np.uint64)
    masks = np.zeros(128, np.uint64)
    for code in range(128):
        if (table[code] >> uint32(21)) & uint32(7) == LETTER:
            hashes[code] = character_hash(table[code] & uint32(LOWER_BITS))
            masks[code] = ~uint64(0)
    return hashes, masks


@kernel
def hash_words(data: Any, start: Any, end: Any, table: Any, hashes: Any, masks: Any, is_nfc: Any, words: Any) -> Any:
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
def hash_characters(data: Any, start: Any, end: Any, table: Any, is_nfc: Any, out: Any) -> Any:
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
def hash_units(
    data: Any, start: Any, end: Any, table: Any, hashes: Any, masks: Any, is_nfc: Any, characters: Any, out: Any
) -> Any:
    """`hash_characters` or `hash_words`; room for bytes + 2 is enough for both."""
    if characters:
        return hash_characters(data, start, end, table, is_nfc, out)
    return hash_words(data, start, end, table, hashes, masks, is_nfc, out)


@kernel
def hash_shingles(words: Any, n_words: Any, ngram: Any, shingles: Any) -> Any:
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
def _shingle_batch(
    data: Any, starts: Any, ends: Any, is_nfc: Any, table: Any, ngram: Any, characters: Any, out_offsets: Any, out: Any
) -> Any:
    """Shingles of a batch, one text after another; True for each text that must be normalized first (it has none)."""
    hashes, masks = ascii_tables(table)
    n = 0
    flagged = np.zeros(starts.size, np.bool_)
    for i in range(starts.size):
        n_words = hash_units(data, starts[i], ends[i], table, hashes, masks, is_nfc, characters, out[n:])
        flagged[i] = n_words < 0
        n += hash_shingles(out[n:], max(n_words, 0), ngram, out[n:])
        out_offsets[i + 1] = n
    return flagged


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
