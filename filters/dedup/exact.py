"""Exact duplicates: a 128-bit hash of each document's normalized text.

The normalization: Unicode NFC, then the simple lower case of each character (one code point to one), then every run of
white space (`str.isspace`) as one space, with none at either end. This is what published pipelines have in common: CCNet
and datatrove's `simplify_text` also lower-case and join white space, and then drop punctuation, accents and numbers, which
makes "9 %" a copy of "10 %"; NeMo Curator and duplodocus hash the text as it is. Ours merges only texts that differ in
letter case and layout; MinHash is for the rest.

The hash is BLAKE2b of the normalized UTF-8, 16 bytes. Anyone can recompute it with `hashlib`, and nobody can construct a
page that collides with someone else's to have it dropped. A blank text has the hash of the empty string.
"""

from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import uint32, uint64

from pipeline.arguments import text_array
from pipeline.filters.kernels.arrays import Texts, text_buffers, to_nfc
from pipeline.filters.kernels.code_points import LOWER_BITS, SPACE, character_table, decode, encode, needs_nfc
from pipeline.kernels import kernel

_BLANK = 0x20


@lru_cache(1)
def _tables() -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8], npt.NDArray[np.uint64]]:
    """`character_table`; for each ASCII character, what it becomes; and 1 if it is white space, else 0."""
    table = character_table()
    spaces = (table[:128] >> np.uint32(21)) & np.uint32(7) == SPACE
    return table, np.where(spaces, _BLANK, table[:128] & np.uint32(0xFF)).astype(np.uint8), spaces.astype(np.uint64)


@kernel
def _normalize(
    data: Any, starts: Any, ends: Any, is_nfc: Any, tables: Any, out: Any, bounds: Any, flagged: Any
) -> None:
    """Write the normalized texts one after another to `out`, and their bounds to `bounds`. Texts that must be converted to
    NFC first are marked in `flagged` and left empty. As in `hash_words`, the ASCII path has no branches."""
    table, lower, spaces = tables
    k, one = uint64(0), uint64(1)
    for row in range(starts.size):
        i, end = uint64(starts[row]), uint64(ends[row])
        begin = k
        after_space = one  # at the start too, since a text begins without a space
        last = uint32(0)
        while i < end:
            b = data[i]
            if b < 0x80:
                out[k] = lower[b]
                k += one - (spaces[b] & after_space)
                after_space = spaces[b]
                last = uint32(0)
                i += one
                continue
            code, length = decode(data, i, end)
            i += length
            entry = table[code]
            if not is_nfc and needs_nfc(entry >> uint32(24), last):
                flagged[row] = True
                break
            last = entry >> uint32(24)
            if (entry >> uint32(21)) & uint32(7) == SPACE:
                out[k] = _BLANK
                k += one - after_space
                after_space = one
            else:
                k += encode(entry & uint32(LOWER_BITS), out, k)
                after_space = uint64(0)
        if flagged[row]:
            k = begin
        elif k > begin:
            k -= after_space
        bounds[row + 1] = k


def content_hashes(texts: Texts) -> pa.FixedSizeBinaryArray:
    """The 16-byte hash of each text's normalized form; null for a null."""
    array = text_array(texts)
    digests, rows = _digests(array, is_nfc=False)
    if rows.size:
        for row, digest in zip(rows, _digests(to_nfc(array, rows), is_nfc=True)[0], strict=True):
            digests[row] = digest
    valid = pa.array(array.is_valid().to_numpy(zero_copy_only=False)).buffers()[1] if array.null_count else None
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(array), [valid, pa.py_buffer(b"".join(digests))])


def _digests(texts: pa.Array, *, is_nfc: bool) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """The hash of each text, and the rows that must be converted to NFC first (their hashes are meaningless)."""
    data, starts, ends = text_buffers(texts)
    # A lower-case letter takes at most 1.5 times the bytes of its capital (Ⱥ and ⱥ: 2 and 3).
    out = np.empty(int((ends - starts).sum()) * 3 // 2 + 4, np.uint8)
    bounds, flagged = np.zeros(len(texts) + 1, np.int64), np.zeros(len(texts), np.bool_)
    _normalize(data, starts, ends, is_nfc, _tables(), out, bounds, flagged)
    return [blake2b(out[a:b].data, digest_size=16).digest() for a, b in pairwise(bounds.tolist())], np.flatnonzero(
        flagged
    )


def warm_up() -> None:
    """Compile the kernel, or load it from Numba's cache, on a tiny batch."""
    content_hashes(["A  text", "e\u0301"])
