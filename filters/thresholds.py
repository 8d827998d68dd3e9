"""Where to cut a signal, learned from texts known to be good and texts known to be bad.

FineWeb chose its rules so (Penedo et al. 2024, section 3.6): compare a signal's histogram over good documents with that over
bad ones, and cut where bad outweighs good. Exactly, without bins: the bound at which the share of bad that goes exceeds the
share of good that goes by most. Its densities are equal there: a document more would be more likely a good one. That excess,
0 to 1, is how well the signal separates (Kolmogorov and Smirnov's distance, on one side).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BINS = 24


@dataclass(frozen=True, slots=True)
class Cut:
    """A bound, and what it drops: shares of all documents, those without a value among them."""

    side: str
    """"min" or "max"."""
    bound: float
    good: float
    bad: float

    @property
    def separation(self) -> float:
        """How much more of the bad than of the good goes."""
        return self.bad - self.good


@dataclass(frozen=True)
class Histograms:
    """Densities over the same bins, which go from the first to the 99th percentile of both; both sum to 1 or to 0."""

    edges: FloatArray
    good: FloatArray
    bad: FloatArray


def best_cut(good: FloatArray, bad: FloatArray, side: str, most: float = 1.0) -> Cut | None:
    """The cut that separates best and drops no more than the share `most` of good; None where none drops more bad than good.

    Of cuts that do equally well the one that drops least. The bound is the shortest number between the neighbours.
    """
    sign = 1.0 if side == "max" else -1.0
    high, low = (np.sort(sign * values[~np.isnan(values)]) for values in (good, bad))
    values = np.unique(np.concatenate([high, low]))
    if len(values) < 2:
        return None
    lost = (len(high) - np.searchsorted(high, values, side="right")) / max(len(good), 1)
    caught = (len(low) - np.searchsorted(low, values, side="right")) / max(len(bad), 1)
    excess = np.where(lost <= most, caught - lost, -1.0)
    place = len(values) - 1 - int(np.argmax(excess[::-1]))
    if excess[place] <= 0:
        return None
    bound = sign * shortest(float(values[place]), float(values[place + 1]))
    return Cut(side, bound, float(lost[place]), float(caught[place]))


def shortest(low: float, high: float) -> float:
    """The number with fewest digits that is at least `low` and below `high`; low < high."""
    for digits in range(1, 18):
        for number in (low, (low + high) / 2 if np.isfinite(low) and np.isfinite(high) else low):
            rounded = float(f"{number:.{digits}g}")
            if low <= rounded < high:
                return rounded
    return low


def histograms(good: FloatArray, bad: FloatArray) -> Histograms:
    """Both densities over common bins; values outside count in the first and last."""
    sides = [values[np.isfinite(values)] for values in (good, bad)]
    every = np.concatenate(sides)
    if not len(every):
        return Histograms(np.linspace(0, 1, BINS + 1), np.zeros(BINS), np.zeros(BINS))
    low, high = np.percentile(every, [1, 99])
    if low == high:
        low, high = float(every.min()), float(every.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    counts: list[Any] = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] for values in sides]
    return Histograms(edges, *(count / max(1, count.sum()) for count in counts))
