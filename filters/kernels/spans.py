"""Cuts: spans to take out of texts, kept as a column beside them until clean text is made."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filters.kernels.arrays import text_buffers
from pipeline.kernels import kernel

Places = npt.NDArray[np.int64]
CUTS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))
"""For each text, ranges [start, end) in bytes of UTF-8, ascending, not touching each other; null if it was not examined."""


class Ranges(NamedTuple):
    """Ranges of n texts: text i has starts[offsets[i]:offsets[i + 1]] and ends likewise, in bytes from the text's start."""

    offsets: Places
    starts: Places
    ends: Places

    def column(self, looked_at: npt.NDArray[np.bool_] | None = None) -> pa.ListArray:
        """As a column of the ledger, null where `looked_at` is False (those texts must have no ranges)."""
        values = pa.StructArray.from_arrays([pa.array(self.starts), pa.array(self.ends)], ["start", "end"])
        mask = None if looked_at is None else pa.array(~looked_at)
        return pa.ListArray.from_arrays(pa.array(self.offsets.astype(np.int32)), values, type=CUTS, mask=mask)


def ranges_of(column: pa.Array | pa.ChunkedArray) -> Ranges:
    """The ranges in a column of CUTS."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    values = column.flatten()
    starts, ends = (np.asarray(values.field(i).to_numpy(), np.int64) for i in range(2))
    return Ranges(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)]), starts, ends)


@kernel
def _join(offsets: Any, starts: Any, ends: Any, out_offsets: Any, out_starts: Any, out_ends: Any) -> Any:
    """Join ranges that touch or overlap; returns how many are left."""
    k = 0
    for text in range(offsets.size - 1):
        first = k
        for i in range(offsets[text], offsets[text + 1]):
            if k > first and starts[i] <= out_ends[k - 1]:
                out_ends[k - 1] = max(out_ends[k - 1], ends[i])
            elif ends[i] > starts[i]:
                out_starts[k], out_ends[k] = starts[i], ends[i]
                k += 1
        out_offsets[text + 1] = k
    return k


def join(ranges: Ranges) -> Ranges:
    """Join ranges that touch or overlap. The ranges of a text must ascend by their starts."""
    offsets, starts, ends = np.zeros_like(ranges.offsets), np.empty_like(ranges.starts), np.empty_like(ranges.ends)
    count = _join(*ranges, offsets, starts, ends)
    return Ranges(offsets, starts[:count], ends[:count])


def union(cuts: list[Ranges]) -> Ranges:
    """The union of several cuts of the same texts."""
    counts = [np.diff(ranges.offsets) for ranges in cuts]
    texts = np.concatenate([np.repeat(np.arange(count.size), count) for count in counts])
    starts = np.concatenate([ranges.starts for ranges in cuts])
    ends = np.concatenate([ranges.ends for ranges in cuts])
    order = np.lexsort([starts, texts])
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.sum(counts, axis=0), dtype=np.int64)])
    return join(Ranges(offsets, starts[order], ends[order]))


@kernel(allocates=True)  # copying a slice allocates
def _apply(data: Any, begins: Any, lasts: Any, offsets: Any, starts: Any, ends: Any, out: Any, bounds: Any) -> Any:
    """Write the texts without the ranges, one after another, and their bounds; returns the bytes written."""
    k = 0
    for text in range(begins.size):
        copied_to = begins[text]
        for i in range(offsets[text], offsets[text + 1]):
            cut_start = begins[text] + starts[i]
            out[k : k + cut_start - copied_to] = data[copied_to:cut_start]
            k += cut_start - copied_to
            copied_to = begins[text] + ends[i]
        out[k : k + lasts[text] - copied_to] = data[copied_to : lasts[text]]
        k += lasts[text] - copied_to
        bounds[text + 1] = k
    return k


def apply(texts: pa.Array, ranges: Ranges) -> pa.LargeStringArray:
    """The texts without the ranges; nulls stay. The ranges must begin and end at characters."""
    data, begins, lasts = text_buffers(texts)
    out = np.empty(int((lasts - begins).sum()), np.uint8)
    bounds: Any = np.zeros(len(texts) + 1, np.int64)
    size = _apply(data, begins, lasts, *ranges, out, bounds)
    valid = pa.array(texts.is_valid().to_numpy(zero_copy_only=False)).buffers()[1] if texts.null_count else None
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(bounds), pa.py_buffer(out[:size].copy()), valid)


@kernel
def ranges_of_marks(
    marks: Any, offsets: Any, starts: Any, ends: Any, counts: Any, out_starts: Any, out_ends: Any
) -> Any:
    """Write the ranges [starts[i], ends[i]) of the marked pieces i; the pieces of text t are offsets[t]:offsets[t + 1]."""
    k = 0
    for text in range(offsets.size - 1):
        for i in range(offsets[text], offsets[text + 1]):
            if marks[i]:
                out_starts[k], out_ends[k] = starts[i], ends[i]
                k += 1
        counts[text + 1] = k
    return k


def cuts_of_marks(marks: npt.NDArray[np.bool_], offsets: Places, starts: Places, ends: Places) -> Ranges:
    """The ranges of the marked pieces of each text; pieces that touch are joined."""
    counts, size = np.zeros_like(offsets), int(marks.sum())
    bounds = np.empty(size, np.int64), np.empty(size, np.int64)
    ranges_of_marks(marks, offsets, starts, ends, counts, *bounds)
    return join(Ranges(counts, *bounds))
