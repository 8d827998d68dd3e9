"""Hashes of lines: the loops of `pipeline.filters.lines` and of the blocklists of `pipeline.filters.url`."""

from typing import Any

import numpy as np
from numba import uint32, uint64

from pipeline.filters.kernels.ascii import COLON, FULL_STOP, HASH, LINE_FEED, SLASH, SPACE
from pipeline.filters.kernels.code_points import decode, encode
from pipeline.filters.kernels.hashing import fmix64
from pipeline.kernels import inner, kernel

REMOVED = np.uint32(2**32 - 1)
BLANK = np.uint32(1 << 31)  # the bit that marks white space
STRIPPED = REMOVED & ~np.uint32(1)  # removed white space
PADDING = 72  # bytes that SHA-1 writes after a line

_SMALL_W = 0x77
_CAPITAL_DOTTED_I, _DOT_ABOVE = 0x130, 0x307
_LONGEST_SCHEME = 12  # characters before "://"


@inner(forceinline=True)
def _rotate(x: Any, n: Any) -> Any:
    """The 32 bits of x rotated left by n."""
    return uint32(x << uint32(n)) | uint32(x >> uint32(32 - n))


@inner
def _sha1_prefix(data: Any, size: Any, words: Any) -> Any:
    """The first 8 bytes of the SHA-1 (FIPS 180-4) of data[:size], little-endian as in CCNet. `data` has room for PADDING more
    bytes; `words` is uint32 (80,)."""
    # Padding to a whole block: a one bit, zeros, and the number of bits.
    end = (size + 8) // 64 * 64 + 64
    data[size] = 0x80
    for position in range(size + 1, end):
        data[position] = 0
    for i in range(8):
        data[end - 1 - i] = (uint64(size) * uint64(8)) >> uint64(8 * i) & uint64(0xFF)

    h0, h1, h2 = uint32(0x67452301), uint32(0xEFCDAB89), uint32(0x98BADCFE)
    h3, h4 = uint32(0x10325476), uint32(0xC3D2E1F0)
    for block in range(0, end, 64):
        for t in range(16):
            position = block + 4 * t
            words[t] = (
                uint32(data[position]) << uint32(24)
                | uint32(data[position + 1]) << uint32(16)
                | uint32(data[position + 2]) << uint32(8)
                | uint32(data[position + 3])
            )
        for t in range(16, 80):
            words[t] = _rotate(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1)
        a, b, c, d, e = h0, h1, h2, h3, h4
        for t in range(80):
            if t < 20:
                f, k = (b & c) | (~b & d), uint32(0x5A827999)
            elif t < 40:
                f, k = b ^ c ^ d, uint32(0x6ED9EBA1)
            elif t < 60:
                f, k = (b & c) | (b & d) | (c & d), uint32(0x8F1BBCDC)
            else:
                f, k = b ^ c ^ d, uint32(0xCA62C1D6)
            a, b, c, d, e = uint32(_rotate(a, 5) + f + e + k + words[t]), a, _rotate(b, 30), c, d
        h0, h1, h2, h3, h4 = uint32(h0 + a), uint32(h1 + b), uint32(h2 + c), uint32(h3 + d), uint32(h4 + e)

    first, second = uint64(0), uint64(0)
    for i in range(4):
        first = first << uint64(8) | uint64(h0 >> uint32(8 * i) & uint32(0xFF))
        second = second << uint64(8) | uint64(h1 >> uint32(8 * i) & uint32(0xFF))
    return second << uint64(32) | first


@kernel
def find_lines(
    data: Any, begins: Any, lasts: Any, table: Any, blanks_count: Any, out: Any, words: Any,
    offsets: Any, starts: Any, ends: Any, hashes: Any,
) -> Any:  # fmt: skip
    """Write the lines of the texts data[begins[i]:lasts[i]] and their hashes; returns the number of lines.

    `table` has the normal form of each code point; if it is empty, bytes are taken as they are. `blanks_count`: hash blank
    lines too. `out` has room for a line in its normal form and PADDING; `words` is uint32 (80,).
    """
    n = 0
    for text in range(begins.size):
        i, last = uint64(begins[text]), uint64(lasts[text])
        in_text = i < last
        while in_text:
            # Write the normal form of the line to `out`; `kept` leaves out white space at its end.
            start = i
            k = kept = uint64(0)
            visible = False
            while i < last and data[i] != LINE_FEED:
                if table.size == 0:
                    out[k] = data[i]
                    visible |= data[i] > SPACE
                    i += uint64(1)
                    k += uint64(1)
                    kept = k
                    continue
                code, length = decode(data, i, last)
                i += length
                normal_form = table[code]
                blank = normal_form == STRIPPED or (normal_form & BLANK != 0 and normal_form != REMOVED)
                if blank and not visible:
                    continue
                if normal_form < STRIPPED:
                    k += encode(normal_form & ~BLANK, out, k)
                    if (
                        code == _CAPITAL_DOTTED_I and normal_form != code
                    ):  # the only letter whose lower case is two characters
                        k += encode(uint32(_DOT_ABOVE), out, k)
                if not blank:
                    visible = True
                    kept = k

            starts[n], ends[n] = start - begins[text], i - begins[text]
            hashes[n] = uint64(0)
            if visible or blanks_count:
                hashes[n] = max(_sha1_prefix(out, kept, words), uint64(1))
            n += 1
            in_text = i < last
            i += uint64(1)
            in_text = in_text and (i < last)
        offsets[text + 1] = n
    return n


@kernel
def count_lines(data: Any, begins: Any, lasts: Any) -> Any:
    """An upper bound on the number of lines."""
    n = 0
    for text in range(begins.size):
        n += 1
        for i in range(begins[text], lasts[text]):
            n += data[i] == LINE_FEED
    return n


@kernel
def hash_entries(data: Any, out: Any) -> Any:
    """Write a hash (FNV-1a, mixed) of each entry without blanks, scheme, www. and trailing slashes; returns their number."""
    count = 0
    start = 0
    size = data.size
    while start < size:
        stop = start
        while stop < size and data[stop] != LINE_FEED:
            stop += 1
        first, last = start, stop
        start = stop + 1

        # Strip blanks and trailing slashes; skip comments.
        while first < last and data[first] <= SPACE:
            first += 1
        while last > first and (data[last - 1] <= SPACE or data[last - 1] == SLASH):
            last -= 1
        if first == last or data[first] == HASH:
            continue

        # Strip "scheme://" and "www.".
        for k in range(first, min(last, first + _LONGEST_SCHEME)):
            if data[k] == COLON and k + 2 < last and data[k + 1] == SLASH and data[k + 2] == SLASH:
                first = k + 3
                break
        if (
            first + 4 < last
            and data[first] == _SMALL_W
            and data[first + 1] == _SMALL_W
            and data[first + 2] == _SMALL_W
            and data[first + 3] == FULL_STOP
        ):
            first += 4

        h = uint64(0xCBF29CE484222325)
        for k in range(first, last):
            h = (h ^ uint64(data[k])) * uint64(0x100000001B3)
        out[count] = fmix64(h)
        count += 1
    return count
