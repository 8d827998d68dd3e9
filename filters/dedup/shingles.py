"""Words and word n-grams (shingles) of a text as 64-bit hashes, in one pass over its UTF-8 bytes.

The word rule, for every script:
  * the text is taken in Unicode NFC, so that two spellings of "é" are one;
  * a word is a maximal run of letters, marks and numbers (categories L, M, N), each in its simple lower case
    (one code point to one: İ becomes i);
  * in scripts written without spaces (Han, kana, Thai, ...: `UNSPACED`) each letter, with the marks that follow it,
    is a word of its own, so that n-grams work there too.
A shingle is n consecutive words. A text of fewer than n words has one shingle of all its words; a text without
words has none.

With `unit` "characters" a shingle is n consecutive characters of the same NFC text in simple lower case, with every run of
white space (`str.isspace`) as one space and none at either end; a text shorter than n has one shingle of all its characters.

Hashes, so that anyone can recompute them (all modulo 2**64, `fmix` is MurmurHash3's 64-bit finalizer):
  character  t(c) = fmix(c + 0x9E3779B97F4A7C15)
  word       h = rotl(h, 7) + t(c) over its characters, from 0
  shingle    fmix(x), where x = x * 0x9E3779B97F4A7C15 + h over its words, or t(c) over its characters, from 0
The character tables are those of the running Python (`unicodedata.unidata_version`), so its version decides the output.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import int64, uint32, uint64

from pipeline.arguments import text_array
from pipeline.errors import UserError, did_you_mean
from pipeline.filters.kernels.arrays import Texts, text_buffers, to_nfc
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

_BLANK = 0x20
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: the usual constant of multiplicative hashing


@inner(forceinline=True)
def character_hash(code: Any) -> Any:
    """t(c) in the module's docstring."""
    return fmix64(uint64(code) + uint64(_GOLDEN))


@inner(forceinline=True)
def _join(h: Any, t: Any) -> Any:
    """The hash of a word with the hash of one more character."""
    return (h << uint64(7) | h >> uint64(57)) + t


class Characters(NamedTuple):
    """Tables of characters for the kernels."""

    table: npt.NDArray[np.uint32]  # `character_table`
    hashes: npt.NDArray[np.uint64]  # for each ASCII character: t(lower case) if it is part of words, else 0
    masks: npt.NDArray[np.uint64]  # for each ASCII character: all ones if it is part of words, else 0


@lru_cache(1)
def characters() -> Characters:
    """The tables, built once per process."""
    table = character_table()
    letters = (table[:128] >> np.uint32(21)) & np.uint32(7) == LETTER
    codes = (table[:128] & np.uint32(LOWER_BITS)).astype(np.uint64)
    hashes = np.where(letters, fmix64.py_func(codes + np.uint64(_GOLDEN)), np.uint64(0))
    masks = np.where(letters, ~np.uint64(0), np.uint64(0))
    for array in (hashes, masks):
        array.flags.writeable = False
    return Characters(table, hashes, masks)


@inner
def hash_words(data: Any, start: Any, end: Any, tables: Any, is_nfc: Any, words: Any, first: Any) -> Any:
    """Write the hashes of the words of data[start:end] to `words` from `first` on (room for bytes // 2 + 2) and return their
    number; -1 if the text may not be in NFC, unless `is_nfc`.

    The ASCII path has no branches: the ends of words are unpredictable, and a misprediction costs more than the work.
    """
    table, hashes, masks = tables
    i, end = uint64(start), uint64(end)
    n, one = uint64(first), uint64(1)
    value = in_word = uint64(0)  # the hash of the open word; all ones while a word is open
    last = uint32(0)
    while i < end:
        b = data[i]
        if b < 0x80:
            words[n] = value
            n += in_word & ~masks[b] & one
            in_word = masks[b]
            value = _join(value, hashes[b]) & in_word
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
            value = _join(value, character_hash(entry & uint32(LOWER_BITS)))
            in_word = ~uint64(0)
            continue
        words[n] = value
        n += in_word & one
        value = in_word = uint64(0)
        if kind != ALONE:
            continue
        value = _join(value, character_hash(entry & uint32(LOWER_BITS)))
        while i < end:
            code, length = decode(data, i, end)
            entry = table[code]
            if (entry >> uint32(21)) & uint32(7) != MARK:
                break
            if not is_nfc and needs_nfc(entry >> uint32(24), last):
                return -1
            last = entry >> uint32(24)
            value = _join(value, character_hash(entry & uint32(LOWER_BITS)))
            i += length
        words[n] = value
        n += one
        value = uint64(0)
    words[n] = value
    return int64(n + (in_word & one)) - int64(first)


@inner
def hash_characters(data: Any, start: Any, end: Any, table: Any, is_nfc: Any, out: Any, first: Any) -> Any:
    """Write t(c) of the characters of data[start:end], white space joined, to `out` from `first` on (room for bytes + 2) and
    return their number; -1 if the text may not be in NFC, unless `is_nfc`."""
    i, end = uint64(start), uint64(end)
    n, one = uint64(first), uint64(1)
    space_hash = character_hash(uint32(_BLANK))
    space_pending = False  # white space was read; it counts only if something follows
    last = uint32(0)
    while i < end:
        code, length = decode(data, i, end)
        i += length
        entry = table[code]
        if not is_nfc and needs_nfc(entry >> uint32(24), last):
            return -1
        last = entry >> uint32(24)
        if (entry >> uint32(21)) & uint32(7) == SPACE:
            space_pending = n > uint64(first)
            continue
        if space_pending:
            out[n] = space_hash
            n += one
            space_pending = False
        out[n] = character_hash(entry & uint32(LOWER_BITS))
        n += one
    return int64(n) - int64(first)


@inner
def hash_shingles(units: Any, first: Any, count: Any, ngram: Any) -> Any:
    """Replace units[first:first + count] by their shingles, and return the number of shingles."""
    if count == 0:
        return 0
    size = min(ngram, count)
    n = count - size + 1
    for k in range(first, first + n):
        x = uint64(0)
        for t in range(k, k + size):
            x = x * uint64(_GOLDEN) + units[t]
        units[k] = fmix64(x)
    return n


@inner
def hash_text(
    data: Any, start: Any, end: Any, is_nfc: Any, tables: Any, ngram: Any, by_character: Any, out: Any, first: Any
) -> Any:
    """Write the shingles of data[start:end] to `out` from `first` on (room for bytes + 2) and return their number; -1 if the
    text must be normalized first."""
    if by_character:
        count = hash_characters(data, start, end, tables.table, is_nfc, out, first)
    else:
        count = hash_words(data, start, end, tables, is_nfc, out, first)
    return hash_shingles(out, first, count, ngram) if count >= 0 else -1


@kernel
def _shingle_batch(
    data: Any, starts: Any, ends: Any, is_nfc: Any, tables: Any, ngram: Any, by_character: Any, offsets: Any, out: Any,
    flagged: Any,
) -> None:  # fmt: skip
    """Write the shingles of a batch, one text after another. Texts that must be normalized first are marked in `flagged`."""
    n = 0
    for i in range(starts.size):
        count = hash_text(data, starts[i], ends[i], is_nfc, tables, ngram, by_character, out, n)
        flagged[i] = count < 0
        n += max(count, 0)
        offsets[i + 1] = n


def shingle_hashes(texts: Texts, ngram: int, unit: str = "words") -> list[npt.NDArray[np.uint64]]:
    """For each text, the hashes of its shingles in order, repeats included; none for a null."""
    array = text_array(texts)
    shingles, rows = _shingles(array, ngram, unit, is_nfc=False)
    if rows.size:
        for row, hashes in zip(rows, _shingles(to_nfc(array, rows), ngram, unit, is_nfc=True)[0], strict=True):
            shingles[row] = hashes
    return shingles


def word_hashes(texts: Texts) -> list[npt.NDArray[np.uint64]]:
    """For each text, the hashes of its words in order; none for a null."""
    return shingle_hashes(texts, 1)


def check_unit(unit: str) -> bool:
    """Whether the unit is characters. Raises UserError for an unknown unit."""
    if unit not in UNITS:
        raise UserError(f"unknown unit {unit!r} of n-grams{did_you_mean(unit, UNITS)}; known: {', '.join(UNITS)}")
    return unit == "characters"


def _shingles(
    texts: pa.Array, ngram: int, unit: str, *, is_nfc: bool
) -> tuple[list[npt.NDArray[np.uint64]], npt.NDArray[np.int64]]:
    """The shingles of each text, and the rows that must be normalized first."""
    by_character = check_unit(unit)
    data, starts, ends = text_buffers(texts)
    offsets, flagged = np.zeros(len(texts) + 1, np.int64), np.zeros(len(texts), np.bool_)
    room = ends - starts if by_character else (ends - starts) // 2
    out = np.empty(int((room + 2).sum()), np.uint64)
    _shingle_batch(data, starts, ends, is_nfc, characters(), ngram, by_character, offsets, out, flagged)
    return [out[offsets[i] : offsets[i + 1]] for i in range(len(texts))], np.flatnonzero(flagged)
