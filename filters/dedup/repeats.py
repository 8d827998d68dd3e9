"""Finds repeats among very many hashes (of lines, or of windows over tokens), exactly and in bounded memory.

The hashes are read several times, chunk by chunk, in the order of the corpus. Most hashes of a corpus occur once, so a first
pass fills a sketch with two bits per cell (never seen, once, more often), which says which hashes may repeat. It misses no
repeat; a unique hash passes only if it shares its cell. The rest is counted exactly in a hash table, in several ranges of
hashes if the table would not fit. The occurrences to remove are written to a file of marks, one bit each, so memory holds
only the sketch, the table and one chunk, whatever the size of the corpus.

Sketch and table take half of the budget each; if the table alone fits, there is no sketch. Hashes have 64 bits: among n
different texts, n**2 / 2**65 pairs collide (0.03 for a billion).
"""

from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from numba import int64, uint8, uint64

from pipeline.filters.kernels.hashing import fmix64
from pipeline.kernels import kernel

Hashes = npt.NDArray[np.uint64]
Read = Callable[[], Iterable[tuple[int, Hashes]]]
"""Returns the chunks in order, each with its number: uint64, 0 for entries to ignore."""
Keep = Literal["first", "none"]

SLOT = 8 + 4
_LOAD = 0.5
_FULL = 0.9
_SMALLEST = 1 << 10


class Marks:
    """A file with one bit per entry for each chunk; a chunk without marks takes no space."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offsets: dict[int, tuple[int, int]] = {}
        self._end = 0

    def add(self, chunk: int, mask: npt.NDArray[np.bool_]) -> None:
        """Mark more entries of a chunk."""
        if not mask.any():
            return
        bits = np.packbits(mask)
        if chunk in self._offsets:
            bits |= self._bits(chunk)
        else:
            self._offsets[chunk] = (self._end, bits.size)
            self._end += bits.size
        self._file.seek(self._offsets[chunk][0])
        self._file.write(bits.tobytes())

    def of(self, chunk: int, size: int) -> npt.NDArray[np.bool_]:
        """The marks of a chunk of `size` entries."""
        if chunk not in self._offsets:
            return np.zeros(size, np.bool_)
        return np.unpackbits(self._bits(chunk), count=size).astype(np.bool_)

    def _bits(self, chunk: int) -> npt.NDArray[np.uint8]:
        offset, size = self._offsets[chunk]
        self._file.seek(offset)
        return np.frombuffer(self._file.read(size), np.uint8)


@kernel
def _sketch(hashes: Any, cells: Any, mask: Any) -> None:
    """Count each hash in its cell of two bits, up to 2."""
    for h in hashes:
        if h == 0:
            continue
        cell = h & mask
        shift = uint8((cell & uint64(3)) << uint64(1))
        byte = cells[cell >> uint64(2)]
        if (byte >> shift) & uint8(3) < 2:
            cells[cell >> uint64(2)] = byte + (uint8(1) << shift)


@kernel
def _count(
    hashes: Any,
    cells: Any,
    mask: Any,
    part: Any,
    parts: Any,
    keys: Any,
    counts: Any,
    used: Any,
    max_count: Any,
    marking: Any,
    marks: Any,
) -> Any:
    """Count the hashes of a range; returns the slots used so far, -1 for a full table.

    marking: 0 marks nothing; 1 marks the occurrences beyond the first `max_count`; 2 counts nothing and marks all
    occurrences of hashes that occur more often.
    """
    limit = int64(keys.size * _FULL)
    for i in range(hashes.size):
        h = hashes[i]
        if h == 0:
            continue
        if cells.size:
            cell = h & mask
            if (cells[cell >> uint64(2)] >> uint8((cell & uint64(3)) << uint64(1))) & uint8(3) < 2:
                continue
        mixed = fmix64(h)
        if int64(((mixed >> uint64(32)) * uint64(parts)) >> uint64(32)) != part:
            continue
        slot = int64(((mixed & uint64(0xFFFFFFFF)) * uint64(keys.size)) >> uint64(32))
        while keys[slot] != 0 and keys[slot] != h:
            slot = slot + 1 if slot + 1 < keys.size else 0
        if marking == 2:
            marks[i] = counts[slot] > max_count
            continue
        if keys[slot] == 0:
            if used >= limit:
                return -1
            keys[slot] = h
            used += 1
        if counts[slot] <= max_count:
            counts[slot] += 1
        if marking == 1:
            marks[i] = counts[slot] > max_count
    return used


def mark_repeats(
    read: Read, marks: Marks, *, at_most: int, memory: int, max_count: int = 1, keep: Keep = "first"
) -> None:
    """Mark the occurrences to remove of each hash that occurs more than `max_count` times: those beyond it, or all.

    `at_most` is an upper bound on the number of hashes; `memory` bounds the bytes of sketch and table.
    """
    cells, mask = np.zeros(0, np.uint8), np.uint64(0)
    ideal_slots = max(int(at_most / _LOAD), _SMALLEST)
    ranges, slots = 1, ideal_slots
    if ideal_slots * SLOT > memory:
        size = _SMALLEST  # cells: a power of two, at most eight per hash
        while size * 2 <= min(memory * 2, 8 * at_most):  # two bits per cell, in half of the budget
            size *= 2
        cells, mask = np.zeros(size // 4, np.uint8), np.uint64(size - 1)
        for _, hashes in read():
            _sketch(hashes, cells, mask)
        slots = max(min(ideal_slots, (memory - cells.size) // SLOT), _SMALLEST)
    slots = min(slots, 2**32 - 1)
    keys, counts = np.zeros(slots, np.uint64), np.zeros(slots, np.uint32)
    current = 0
    while current < ranges:
        keys.fill(0)
        counts.fill(0)
        used = 0
        for marking in (1,) if keep == "first" else (0, 2):
            for chunk, hashes in read():
                mask_of_chunk = np.zeros(hashes.size if marking else 0, np.bool_)
                used = _count(
                    hashes,
                    cells,
                    mask,
                    current,
                    ranges,
                    keys,
                    counts,
                    used,
                    np.uint32(max_count),
                    marking,
                    mask_of_chunk,
                )
                if used < 0:
                    break
                marks.add(chunk, mask_of_chunk)
            if used < 0:
                break
        if used < 0:  # the range has too many hashes: start again with narrower ones (marking twice does no harm)
            ranges, current = ranges * 2, 0
        else:
            current += 1
