"""MinHash signatures and the keys of their bands: the loops of `pipeline.filters.minhash`, where they are defined."""

from typing import Any

import numpy as np
from numba import uint32, uint64

from pipeline.filters.dedup.shingles import hash_text
from pipeline.filters.kernels.hashing import fmix32, fmix64
from pipeline.kernels import inner, kernel

NO_KEY = np.uint64(2**64 - 1)  # the band key of a document without words; no other document has it


@inner
def minima(mixed: Any, n: Any, a: Any, b: Any, out: Any, row: Any) -> None:
    """out[row, j] = the minimum of a[j] * x + b[j] over mixed[:n], in the arrays' own unsigned type; all ones if n is 0.

    Each permutation runs over all shingles before the next, so that its running minimum stays in registers, many lanes
    wide; two at a time share the loads.
    """
    cast = mixed.dtype.type
    for j in range(0, a.size, 2):
        k = min(j + 1, a.size - 1)
        a0, b0, least0 = a[j], b[j], cast(~uint64(0))
        a1, b1, least1 = a[k], b[k], cast(~uint64(0))
        for i in range(n):
            x = mixed[i]
            least0 = min(least0, cast(x * a0 + b0))
            least1 = min(least1, cast(x * a1 + b1))
        out[row, j] = least0
        out[row, k] = least1


@inner
def mix(shingles: Any, n: Any, mixed: Any) -> None:
    """Mix the first n shingle hashes as datasketch does before the permutations; 32 bits are the upper half of a hash."""
    for i in range(n):
        if mixed.itemsize == 8:
            mixed[i] = fmix64(shingles[i])
        else:
            mixed[i] = fmix32(uint32(shingles[i] >> uint64(32)))


@kernel
def sign(
    data: Any, starts: Any, ends: Any, is_nfc: Any, tables: Any, ngram: Any, by_character: Any, a: Any, b: Any,
    shingles: Any, mixed: Any, flagged: Any, out: Any,
) -> None:  # fmt: skip
    """Sign a batch. Texts that must be normalized first are marked in `flagged`; their signatures are all ones.

    `shingles` (uint64) and `mixed` (the signatures' type) have room for the shingles of the longest text.
    """
    for i in range(starts.size):
        n = hash_text(data, starts[i], ends[i], is_nfc, tables, ngram, by_character, shingles, 0)
        flagged[i] = n < 0
        n = max(n, 0)
        mix(shingles, n, mixed)
        minima(mixed, n, a, b, out, i)


@kernel
def fold_bands(signatures: Any, bands: Any, rows: Any, keys: Any) -> None:
    """Write the key of each band of each signature; NO_KEY if all values are ones."""
    empty = signatures.dtype.type(~uint64(0))
    for i in range(signatures.shape[0]):
        signed = False
        for j in range(bands * rows):
            signed |= signatures[i, j] != empty
        for band in range(bands):
            key = fmix64(uint64(band + 1))
            for j in range(band * rows, (band + 1) * rows):
                key = fmix64(key ^ uint64(signatures[i, j])) + uint64(0x9E3779B97F4A7C15)
            keys[i, band] = min(key, uint64(NO_KEY - 1)) if signed else NO_KEY
