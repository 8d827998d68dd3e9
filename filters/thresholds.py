"""Where to cut a signal, learned from texts known to be good and texts known to be bad.

FineWeb chose its rules this way (Penedo et al. 2024, section 3.6): compare a signal's histograms over good and bad documents,
and cut where bad outweighs good. Here it is done exactly, without bins: take the bound at which the dropped share of bad
exceeds the dropped share of good by the most. The two densities are equal there; beyond it, the next document dropped would
more likely be good. The excess, 0 to 1, says how well the signal separates (the one-sided Kolmogorov-Smirnov distance).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BINS = 24


@dataclass(frozen=True, slots=True)
class Cut:
    """A bound, and the shares of good and bad documents that it drops; documents without a value count as kept."""

    side: str
    """"min" or "max"."""
    bound: float
    good: float
    bad: float

    @property
    def separation(self) -> float:
        """The dropped share of bad minus the dropped share of good."""
        return self.bad - self.good


@dataclass(frozen=True)
class Histograms:
    """Densities over the same bins, from the 1st to the 99th percentile of both together; each sums to 1, or to 0."""

    edges: FloatArray
    good: FloatArray
    bad: FloatArray


def best_cut(good: FloatArray, bad: FloatArray, side: str, max_good_dropped: float = 1.0) -> Cut | None:
    """The cut that separates best and drops at most the share `max_good_dropped` of good.

    None if no cut drops more bad than good. Of equally good cuts, the one that drops least. The bound is the shortest number
    between the neighbouring values.
    """
    sign = 1.0 if side == "max" else -1.0
    high, low = (np.sort(sign * values[~np.isnan(values)]) for values in (good, bad))
    values = np.unique(np.concatenate([high, low]))
    if len(values) < 2:
        return None
    good_dropped = (len(high) - np.searchsorted(high, values, side="right")) / max(len(good), 1)
    bad_dropped = (len(low) - np.searchsorted(low, values, side="right")) / max(len(bad), 1)
    excess = np.where(good_dropped <= max_good_dropped, bad_dropped - good_dropped, -1.0)
    best = len(values) - 1 - int(np.argmax(excess[::-1]))
    if excess[best] <= 0:
        return None
    bound = sign * shortest(float(values[best]), float(values[best + 1]))
    return Cut(side, bound, float(good_dropped[best]), float(bad_dropped[best]))


def shortest(low: float, high: float) -> float:
    """The number with the fewest digits that is at least `low` and below `high`; low < high."""
    for digits in range(1, 18):
        for number in (low, (low + high) / 2 if np.isfinite(low) and np.isfinite(high) else low):
            rounded = float(f"{number:.{digits}g}")
            if low <= rounded < high:
                return rounded
    return low


def histograms(good: FloatArray, bad: FloatArray) -> Histograms:
    """Both densities over common bins; values outside count in the first and the last bin."""
    sides = [values[np.isfinite(values)] for values in (good, bad)]
    combined = np.concatenate(sides)
    if not len(combined):
        return Histograms(np.linspace(0, 1, BINS + 1), np.zeros(BINS), np.zeros(BINS))
    low, high = np.percentile(combined, [1, 99])
    if low == high:
        low, high = float(combined.min()), float(combined.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    counts: list[Any] = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] for values in sides]
    return Histograms(edges, *(count / max(1, count.sum()) for count in counts))
