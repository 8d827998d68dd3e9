"""Gradient-boosted trees as arrays, in two rounds: the first judges each block alone, the second sees what the first said
of those around it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import kernel

DEPTH = 5
"""Every tree is complete to this depth: no branch to mispredict. A leaf higher up is repeated below."""
_INNER = 2**DEPTH - 1
_CHECK, _SURE = 16, np.float32(3.0)  # after so many trees, and beyond a logit of so much (0.95), the rest is not asked

_WINDOWS = (3, 8, 20)
_STATIC = 1 + 6 + len(_WINDOWS) + 5 + 2
LEVELS = 4
"""Elements around a block that are looked at."""
CONTEXT = _STATIC + 2 * LEVELS
"""The first columns of a page's table: empty in the first round, filled for the second."""
_AT = np.uint64  # an index without a sign is not looked at for being negative


class Forest(NamedTuple):
    """Trees; `feature` and `threshold` have shape (trees, 31), `leaf` (trees, 32). Left where x <= threshold."""

    feature: NDArray[np.uint8]
    threshold: NDArray[np.float32]
    leaf: NDArray[np.float32]


class Model(NamedTuple):
    """Both rounds, and the probability that a block is kept from."""

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


@kernel
def score(table: NDArray[np.float32], forest: Forest, exits: bool) -> NDArray[np.float32]:
    """Probability for each row. With `exits`, a row whose outcome is clear is not run through the remaining trees."""
    rows, trees = len(table), len(forest.leaf)
    feature, threshold, leaf = forest.feature, forest.threshold, forest.leaf  # out of the tuple once, not at each node
    found = np.empty(rows, np.float32)
    for i in range(rows):
        x = table[i]
        total = np.float32(0)
        for t in range(trees):
            features, thresholds = feature[t], threshold[t]
            at = _AT(0)
            for _ in range(DEPTH):
                at = _AT(at + at + _AT(1) + _AT(x[features[at]] > thresholds[at]))
            total += leaf[t, at - _AT(_INNER)]
            if exits and t % _CHECK == _CHECK - 1 and abs(total) > _SURE:
                break
        found[i] = np.float32(1) / (np.float32(1) + np.exp(-total))
    return found


@kernel
def context(
    alone: NDArray[np.float32], sizes: NDArray[np.float32], around: NDArray[np.int32], table: NDArray[np.float32]
) -> None:
    """Fill the first CONTEXT columns of `table` with the first round's verdicts around each block.

    `sizes` are characters a block, `around` its ancestors (rows by LEVELS).
    """
    rows = len(table)
    if rows == 0:
        return
    kept, size = np.zeros(rows + 1, np.float64), np.zeros(rows + 1, np.float64)
    best = np.float32(0)
    for i in range(rows):
        kept[i + 1] = kept[i] + (sizes[i] + 5) * alone[i]
        size[i + 1] = size[i] + (sizes[i] + 5)
        best = max(best, alone[i])
    total = kept[rows]
    elements = np.int64(1)
    for i in range(rows):
        for level in range(LEVELS):
            elements = max(elements, around[i, level] + 1)
    element_kept, element_size = np.zeros(elements, np.float64), np.zeros(elements, np.float64)
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
            a, b = max(0, i - width), min(rows, i + width + 1)
            z[o] = (kept[b] - kept[a]) / (size[b] - size[a])
            o += 1
        z[o] = total / size[rows]
        z[o + 1] = best
        z[o + 2] = kept[i] / max(1.0, total)
        z[o + 3] = total
        z[o + 4] = (total - kept[i + 1]) / max(1.0, total)
        z[o + 5] = since
        since = 0 if alone[i] >= 0.8 else min(since + 1, 30)
    since = 30
    o = _STATIC - 1
    for i in range(rows - 1, -1, -1):
        table[i, o] = since
        since = 0 if alone[i] >= 0.8 else min(since + 1, 30)
    for level in range(LEVELS):
        for i in range(rows):
            element_kept[around[i, level]] = element_size[around[i, level]] = 0
        for i in range(rows):
            element_kept[around[i, level]] += (sizes[i] + 5) * alone[i]
            element_size[around[i, level]] += sizes[i] + 5
        for i in range(rows):
            e = around[i, level]
            table[i, _STATIC + level] = element_kept[e] / element_size[e]
            table[i, _STATIC + LEVELS + level] = element_kept[e]


def cut(found: NDArray[np.float32], threshold: float) -> float:
    """The probability from which blocks are kept: `threshold`, or less where nothing on the page comes near it.

    A page of one plain paragraph has no block that looks like an article's; 0.6 of the best keeps it. (Cross-validated F1
    on article-extraction-benchmark is 0.957 so, and 0.940 with a fixed threshold.)
    """
    return min(threshold, 0.6 * float(found.max())) if len(found) else threshold
