"""Texts as the kernels take them: one array of UTF-8 bytes, and where each text starts and ends in it."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

LIBRARIES = ("unicode",)  # Python's tables decide what NFC is

Texts: TypeAlias = pa.Array | pa.ChunkedArray | Iterable[str | None]
Strings: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
"""Byte strings, one after another, and their offsets."""


def packed(strings: Sequence[bytes]) -> Strings:
    """Byte strings as kernels take them."""
    offsets = np.zeros(len(strings) + 1, np.int64)
    np.cumsum([len(string) for string in strings], out=offsets[1:])
    return np.frombuffer(b"".join(strings) + b"\0", np.uint8), offsets


def text_buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The UTF-8 bytes of an array of strings (which may be a slice), and the start and end of each text in them.

    A null counts as an empty text, whatever its bytes.
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
    content.flags.writeable = False  # so that each kernel is compiled once, whether or not the buffer is writeable
    return content, starts, ends


def to_nfc(texts: pa.Array, rows: npt.NDArray[np.int64]) -> pa.Array:
    """The texts of some rows in Unicode NFC. This is slow, row by row in Python; kernels use it only for rows that need it."""
    chosen = texts.take(pa.array(rows)).to_pylist()
    return pa.array([unicodedata.normalize("NFC", text) for text in chosen], pa.large_string())
