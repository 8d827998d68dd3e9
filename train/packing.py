"""Best-fit packing: whole documents side by side in rows of a fixed length, without predictions across their borders.

A document of n tokens has n - 1 predictions. It is cut only if that is more than a row holds. The pieces are placed largest
first, each into the row where it leaves the least room (Ding et al. 2024, "Fewer truncations improve language modeling",
arXiv 2404.10830). Each prediction of the split is in exactly one row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import kernel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packing:
    """The pieces of each row: row r has pieces bounds[r] to bounds[r + 1] - 1, side by side."""

    context: int
    starts: NDArray[np.int64]
    """The position of each piece's first input in the split."""
    lengths: NDArray[np.int64]
    """The number of inputs of each piece; one more token is read as the last target."""
    bounds: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.bounds) - 1

    @property
    def fill(self) -> float:
        """The share of positions that hold a token; NaN without rows."""
        return float(self.lengths.sum() / (self.rows * self.context)) if self.rows else float("nan")


def pack(starts: NDArray[np.int64], lengths: NDArray[np.int64], context: int) -> Packing:
    """Pack documents (their starts and lengths, including end-of-text) into rows of `context` inputs."""
    inputs = np.maximum(np.asarray(lengths, np.int64) - 1, 0)
    counts = -(-inputs // context)
    document = np.repeat(np.arange(len(inputs)), counts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)  # of the piece in its document
    piece_starts = np.asarray(starts, np.int64)[document] + number * context
    piece_lengths = np.minimum(inputs[document] - number * context, context)
    largest_first = np.argsort(-piece_lengths, kind="stable")
    row = np.empty(len(document), np.int64)
    rows = _best_fit(piece_lengths[largest_first], context, row)
    by_row = np.argsort(row, kind="stable")
    order = largest_first[by_row]
    bounds = np.searchsorted(row[by_row], np.arange(rows + 1))
    return Packing(context=context, starts=piece_starts[order], lengths=piece_lengths[order], bounds=bounds)


@kernel(allocates=True)
def _best_fit(sizes: Any, context: Any, row: Any) -> Any:
    """Write the row of each piece, the newest of equally full rows; returns the number of rows.

    Rows with equal room form a stack. `open_stacks` counts the non-empty stacks in each block of 64 sizes of room, so that the
    smallest sufficient room is found without looking at every size.
    """
    top = np.full(context + 65, -1, np.int64)
    open_stacks = np.zeros((context >> 6) + 1, np.int64)
    below = np.empty(len(sizes), np.int64)
    rows = 0
    for piece in range(len(sizes)):
        size = sizes[piece]
        room = size
        while room <= context and top[room] < 0:
            room += 1
            while room & 63 == 0 and room <= context and open_stacks[room >> 6] == 0:
                room += 64
        if room <= context:
            best_row = top[room]
            top[room] = below[best_row]
            open_stacks[room >> 6] -= top[room] < 0
        else:
            best_row, room = rows, context
            rows += 1
        row[piece] = best_row
        room -= size
        if room > 0:
            open_stacks[room >> 6] += top[room] < 0
            below[best_row] = top[room]
            top[room] = best_row
    return rows
