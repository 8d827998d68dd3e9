"""Gradient-boosted trees as arrays, in two rounds: the first judges each block alone, the second also sees the first round's
verdicts on the blocks around it."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.compiled import kernel
from pipeline.extract.native.rows import ROWS, add_tree, transpose

_CHECK, _SURE = 16, np.float32(3.0)  # every 16 trees, a row whose logit is beyond ±3 (0.95) skips the remaining trees

_WINDOWS = (3, 8, 20)
_STATIC = 1 + 6 + len(_WINDOWS) + 5 + 2
LEVELS = 4
"""Elements around a block that features describe."""
CONTEXT = _STATIC + 2 * LEVELS
"""The first columns of a page's table: zero in the first round, filled for the second."""


class Forest(NamedTuple):
    """Trees: `feature` and `threshold` are (trees, 31), `leaf` is (trees, 32). The left branch is x <= threshold."""

    feature: NDArray[np.uint16]
    threshold: NDArray[np.float32]
    leaf: NDArray[np.float32]


class Model(NamedTuple):
    """Both rounds, and the probability from which a block is kept."""

    alone: Forest
    together: Forest
    threshold: float


def load(path: Path) -> Model:
    """Read a model file: arrays only, never objects."""
    with np.load(path, allow_pickle=False) as file:
        rounds = [Forest(*(file[f"{name}_{part}"] for part in Forest._fields)) for name in ("alone", "together")]
        return Model(rounds[0], rounds[1], float(file["threshold"]))


def save(path: Path, model: Model) -> None:
    """Write a model file."""
    arrays = {
        f"{name}_{part}": getattr(forest, part)
        for name, forest in (("alone", model.alone), ("together", model.together))
        for part in Forest._fields
    }
    with path.open("wb") as file:
        np.savez_compressed(file, threshold=np.float64(model.threshold), **arrays)


def score(table: NDArray[np.float32], forest: Forest, exits: bool) -> NDArray[np.float32]:
    """Probability of each row (float32). With `exits`, a row whose outcome is clear skips the remaining trees."""
    if table.shape[1] < ROWS:
        table = np.pad(table, ((0, 0), (0, ROWS - table.shape[1])))
    scores = np.empty(len(table), np.float32)
    lanes, total = np.empty((table.shape[1] + 1) * ROWS, np.float32), np.empty(ROWS, np.float32)
    _score(table, forest, exits, scores, lanes, total)
    return scores


@kernel
def _score(table: Any, forest: Any, exits: Any, scores: Any, lanes: Any, total: Any) -> None:
    """Fill `scores` with the probability of each row of `table`. Working arrays: `lanes`, ROWS rows, one column after another,
    with room to begin at a multiple of their size; `total`, their logits."""
    feature, threshold, leaf = forest
    rows, columns = table.shape
    trees = len(leaf)
    for i in range(0, rows, ROWS):
        for c in range(0, columns, ROWS):
            transpose(table, i, rows - 1, min(c, columns - ROWS), lanes)
        total[:] = 0
        count = min(ROWS, rows - i)
        left, t = count, 0  # rows whose outcome is not clear, and trees that were added
        done = 0  # a bit for each other row
        while left > 0 and t < trees:
            add_tree(lanes, feature, threshold, leaf, t, total)
            t += 1
            if t == trees or (exits and t % _CHECK == 0):
                for r in range(count):
                    if not done >> r & 1 and (t == trees or abs(total[r]) > _SURE):
                        scores[i + r] = np.float32(1) / (np.float32(1) + np.exp(-total[r]))
                        done |= 1 << r
                        left -= 1


_SUMS = np.dtype([("kept", np.float64), ("size", np.float64)])
"""Sums of characters: weighted by the first round's probabilities, and all."""


def context(
    alone: NDArray[np.float32], sizes: NDArray[np.float32], around: NDArray[np.int32], table: NDArray[np.float32]
) -> None:
    """Fill the first CONTEXT columns of `table` with the first round's verdicts around each block.

    `sizes` are characters per block, `around` the elements around each block (blocks, LEVELS).
    """
    if len(table):
        before, inside = np.zeros(len(table) + 1, _SUMS), np.zeros(int(around.max()) + 1, _SUMS)
        _context(alone, sizes, around, table, before, inside)


@kernel
def _context(alone: Any, sizes: Any, around: Any, table: Any, before: Any, inside: Any) -> None:
    """Fill the columns of `context`. Working arrays, zeros at first: `before` sums up the blocks before each, `inside` the
    blocks of each element."""
    rows = len(table)
    best = np.float32(0)
    for i in range(rows):
        before[i + 1].kept = before[i].kept + (sizes[i] + 5) * alone[i]
        before[i + 1].size = before[i].size + (sizes[i] + 5)
        best = max(best, alone[i])
    total = before[rows].kept
    since = 30
    for i in range(rows):
        z = table[i]
        z[0] = alone[i]
        o = 1
        for step in range(-3, 4):
            if step != 0:
                j = i + step
                z[o] = alone[j] if 0 <= j < rows else 0
                o += 1
        for width in _WINDOWS:
            a, b = before[max(0, i - width)], before[min(rows, i + width + 1)]
            z[o] = (b.kept - a.kept) / (b.size - a.size)
            o += 1
        z[o] = total / before[rows].size
        z[o + 1] = best
        z[o + 2] = before[i].kept / max(1.0, total)
        z[o + 3] = total
        z[o + 4] = (total - before[i + 1].kept) / max(1.0, total)
        z[o + 5] = since
        since = 0 if alone[i] >= 0.8 else min(since + 1, 30)
    since = 30
    o = _STATIC - 1
    for i in range(rows - 1, -1, -1):
        table[i, o] = since
        since = 0 if alone[i] >= 0.8 else min(since + 1, 30)
    for level in range(LEVELS):
        for i in range(rows):
            element = inside[around[i, level]]
            element.kept = element.size = 0
        for i in range(rows):
            element = inside[around[i, level]]
            element.kept += (sizes[i] + 5) * alone[i]
            element.size += sizes[i] + 5
        for i in range(rows):
            element = inside[around[i, level]]
            table[i, _STATIC + level] = element.kept / element.size
            table[i, _STATIC + LEVELS + level] = element.kept


NOTHING = 0.15
"""A page whose blocks are all less likely to be content has none: its text comes by scripts, and what is there is around it.
Of 1,262 gold pages those have no content in truth; with content the least likely has a block at 0.35, and two words alone are
at 0.33."""
_OF_BEST = 0.55


def cut(probabilities: NDArray[np.float32], threshold: float) -> float:
    """The probability from which blocks are kept: `threshold`, or 0.55 of the page's highest probability if that is less.

    So a page of one plain paragraph, which does not look like an article, keeps it. (Cross-validated F1 on
    article-extraction-benchmark was 0.957, and 0.940 with a fixed threshold.) A page with no block above NOTHING keeps none.
    """
    best = float(probabilities.max(initial=0))
    return min(threshold, _OF_BEST * best) if best >= NOTHING else np.inf
