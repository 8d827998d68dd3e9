"""The positions and hashes of the tokens of a text: the tokens of `words.py`, after Unicode's UAX #29."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filters.kernels.arrays import text_buffers
from pipeline.filters.kernels.unicode import (
    EXTEND,
    HASH_SEED,
    IDEOGRAPH,
    KIND,
    LETTER,
    NUMBER,
    SYMBOL,
    add_hash,
    character_classes,
    decode,
    mix,
)
from pipeline.filters.kernels.words import joins
from pipeline.kernels import kernel

_FULL_STOP, _HYPHEN = 0x2E, 0x2D
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Tokens(NamedTuple):
    """The tokens of n texts: those of text i are offsets[i]:offsets[i + 1]; starts and ends in bytes from the text's start."""

    offsets: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]


def find_tokens(texts: pa.Array) -> Tokens:
    """The tokens of each text of a string array; none for a null."""
    data, begins, lasts = text_buffers(texts)
    size = int((lasts - begins).sum())
    offsets = np.zeros(len(texts) + 1, np.int64)
    starts, ends, hashes = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.uint64)
    n = _find(data, begins, lasts, character_classes(), offsets, starts, ends, hashes)
    return Tokens(offsets, starts[:n], ends[:n], hashes[:n])


@kernel
def _find(data: Any, begins: Any, lasts: Any, classes: Any, offsets: Any, starts: Any, ends: Any, hashes: Any) -> Any:
    """Write where tokens start and end, and their hashes; returns their number. Tokens are divided as in `words.py`."""
    n = 0
    code: Any
    symbol: Any = 0
    last: Any = 0  # the kind of the last letter or number
    for text in range(begins.size):
        begin, end = begins[text], lasts[text]
        value = HASH_SEED
        is_open = is_word = is_mark = False  # a token is open; letters may continue it; it is a symbol
        i = begin
        while i < end:
            code, size = np.int64(data[i]), 1
            if code >= 0x80:
                code, size = decode(data, i, end)
            kind = classes[code] & KIND
            joined = (
                (is_word and kind in (LETTER, NUMBER))
                or (kind == EXTEND and is_open)
                or (is_mark and code == symbol and code in (_FULL_STOP, _HYPHEN))
            )
            if not joined and is_word and kind == SYMBOL and i + size < end:
                following, _ = decode(data, i + size, end)
                joined = joins(code, last, classes[following] & KIND)
            if not joined and is_open:
                ends[n], hashes[n] = i - begin, mix(value)
                n += 1
                is_open = is_word = is_mark = False
            if not joined and kind <= IDEOGRAPH:
                starts[n] = i - begin
                is_open, is_mark, is_word = True, kind == SYMBOL, kind in (LETTER, NUMBER)
                symbol, value = code, HASH_SEED
            if is_open:
                value = add_hash(value, code)
            if kind in (LETTER, NUMBER, IDEOGRAPH):
                last = kind
            i += size
        if is_open:
            ends[n], hashes[n] = end - begin, mix(value)
            n += 1
        offsets[text + 1] = n
    return n


@kernel
def _windows(offsets: Any, hashes: Any, size: Any, out: Any) -> None:
    """Write the hashes of windows of `size` tokens to `out`, each at its first token; 0 if the text ends before."""
    power: Any = np.uint64(1)
    for _ in range(size):
        power *= _FACTOR
    for text in range(offsets.size - 1):
        value: Any = np.uint64(0)
        for i in range(offsets[text], offsets[text + 1]):
            value = value * _FACTOR + hashes[i]
            first = i - size + 1
            if first > offsets[text]:
                value -= hashes[first - 1] * power
            out[i] = np.uint64(0)
            if first >= offsets[text]:
                out[first] = mix(value)


def window_hashes(tokens: Tokens, size: int) -> npt.NDArray[np.uint64]:
    """For each token, the hash (a polynomial, mixed) of `size` tokens from it on; 0 if the text ends before."""
    out = np.zeros_like(tokens.hashes)
    _windows(tokens.offsets, tokens.hashes, size, out)
    return out
