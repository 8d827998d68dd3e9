"""From candidates to clusters in which every document was compared with the one that is kept.

MinHash bands propose; joined transitively they make chains at whose ends nothing is alike. Here a cluster is a *star*:
documents are taken best first; each is compared with the kept ones with which it shares a band, best first, and goes to
the first that is similar enough; one that finds none is kept. So

  * no document is removed unless a kept one is as similar as the threshold: the distance from the centre is bounded by
    1 - threshold, that between any two members by twice that (1 - Jaccard is a metric), and no cluster grows by chains;
  * the outcome follows from the documents' order alone, whatever the parts, workers and memory;
  * a document that comes last in the order changes nothing for those before it, so that a corpus can grow: new documents
    compared with the kept ones of an old run fare as they would in one run over both, the old ones first.

Work is bounded too: of the kept documents that share a band's key the best `NEIGHBOURS` are compared. Where more than
that many mutually different documents share a key (a site's template) a copy may be missed, and never a wrong one made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import int64, uint64

from pipeline.filters.dedup.clusters import Roots, best_of
from pipeline.filters.kernels.hashing import fmix64
from pipeline.kernels import inner, kernel

NEIGHBOURS = 64
HELD = 1 << 26
"""Bytes of kept documents' evidence held while their candidates are compared."""
PER_KEY = 2 * (8 + 4) + 4 + 4
"""Bytes held of each band's key of each document of the candidates' cluster at work."""

Words = npt.NDArray[np.uint64]


class Evidence(Protocol):
    """What is compared: for a document its band keys, and its sorted shingles or its signature."""

    def __call__(self, document: int) -> tuple[Words, Words]:
        """(bands,) keys and the rest, both uint64."""


Similar = Callable[[Words, Words], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`kept`: (n,) the document kept for each document, itself if it is the one; a whole cluster shares it.

    `exact`: (n,) True where a better document has the same normalized text. `similarity`: (n,) float32, of a document
    that is not its cluster's best to that one; NaN where nobody measured it, and for the best.
    """

    kept: Roots
    exact: npt.NDArray[np.bool_]
    similarity: npt.NDArray[np.float32]


@kernel
def jaccard_of_sorted(first: Any, second: Any) -> Any:
    """The Jaccard similarity of two sets, each sorted without repeats; 0 for two empty ones."""
    i = j = shared = 0
    while i < first.size and j < second.size:
        a, b = first[i], second[j]
        shared += a == b
        i += a <= b
        j += b <= a
    return shared / max(1, first.size + second.size - shared)


def share_of_equal(first: Words, second: Words) -> float:
    """The similarity that two signatures estimate."""
    return float(np.count_nonzero(first == second)) / max(1, first.size)


def contenders(order: npt.NDArray[np.int64], roots: Roots, exact_roots: Roots) -> npt.NDArray[np.int64]:
    """The documents to compare, cluster by cluster and best first: the best of each text, where a cluster has several."""
    _, first = np.unique(exact_roots[order], return_index=True)
    best = order[np.sort(first)]
    _, cluster, size = np.unique(roots[best], return_inverse=True, return_counts=True)
    several = size[cluster] > 1
    return best[several][np.argsort(cluster[several], kind="stable")]


def choose_verified(
    order: npt.NDArray[np.int64],
    roots: Roots,
    exact_roots: Roots,
    evidence: Evidence,
    similar: Similar,
    threshold: float,
    *,
    settled: Callable[[int], bool] = lambda document: False,
    tick: Callable[[int], None] = lambda done: None,
) -> Choice:
    """The stars. `order`: every document that shares a root with another one, best first.

    A `settled` document is a centre without being compared: an earlier run has kept it.
    """
    kept = best_of(exact_roots, order)
    similarity = np.full(kept.size, np.nan, np.float32)
    waiting = contenders(order, roots, exact_roots)
    bounds = np.flatnonzero(np.diff(roots[waiting], prepend=-1, append=-1))
    for begin, end in pairwise(bounds.tolist()):
        for document, centre, value in _stars(waiting[begin:end], evidence, similar, threshold, settled):
            kept[document], similarity[document] = centre, value
        tick(end)
    best_of_text = best_of(exact_roots, order)
    return _choice(kept[best_of_text], best_of_text, similarity[best_of_text])


@inner
def _slot(table: Any, heads: Any, key: Any) -> Any:
    """Where a key is in the table, or the free slot for it, whose head is negative."""
    slot = int64(((fmix64(key) >> uint64(32)) * uint64(table.size)) >> uint64(32))
    while heads[slot] >= 0 and table[slot] != key:
        slot = slot + 1 if slot + 1 < table.size else 0
    return slot


@kernel(allocates=True)
def _near(table: Any, heads: Any, links: Any, places: Any, keys: Any, found: Any) -> Any:
    """The places of the centres that have one of the keys, ascending and each once, in `found`; their number."""
    n = 0
    for key in keys:
        entry = heads[_slot(table, heads, key)]
        while entry >= 0:
            found[n] = places[entry]
            n += 1
            entry = links[entry]
    found[:n].sort()
    unique = 0
    for i in range(n):
        if unique == 0 or found[i] != found[unique - 1]:
            found[unique] = found[i]
            unique += 1
    return unique


@kernel
def _remember(table: Any, heads: Any, links: Any, places: Any, keys: Any, place: Any, entries: Any) -> Any:
    """Put a centre under its keys, of each only the first `NEIGHBOURS`; the entries by now."""
    for key in keys:
        slot = _slot(table, heads, key)
        entry, length = heads[slot], 0
        while entry >= 0:
            length += 1
            entry = links[entry]
        if length < NEIGHBOURS:
            table[slot], places[entries], links[entries] = key, place, heads[slot]
            heads[slot] = entries
            entries += 1
    return entries


def _stars(
    documents: npt.NDArray[np.int64],
    evidence: Evidence,
    similar: Similar,
    threshold: float,
    settled: Callable[[int], bool],
) -> Iterator[tuple[int, int, float]]:
    """(document, centre, similarity) of those documents of one candidates' cluster, best first, that are not kept."""
    bands = evidence(int(documents[0]))[0].size
    room = documents.size * bands
    table, heads = np.zeros(2 * room, np.uint64), np.full(2 * room, -1, np.int32)
    links, places = np.zeros(room, np.int32), np.zeros(room, np.int32)
    found = np.zeros(NEIGHBOURS * bands, np.int32)
    entries = 0
    held: dict[int, Words] = {}
    free = HELD
    for place, document in enumerate(documents.tolist()):
        keys, mine = evidence(document)
        near = 0 if settled(document) else _near(table, heads, links, places, keys, found)
        for centre in found[:near].tolist():
            other = int(documents[centre])
            value = similar(held[centre] if centre in held else evidence(other)[1], mine)
            if value >= threshold:
                yield document, other, value
                break
        else:
            entries = _remember(table, heads, links, places, keys, place, entries)
            if mine.nbytes <= free:
                held[place] = mine
                free -= mine.nbytes


def choose(order: npt.NDArray[np.int64], roots: Roots, exact_roots: Roots) -> Choice:
    """The best of each candidates' cluster, believing the bands: no similarity is known but that of equal texts."""
    best_of_text = best_of(exact_roots, order)
    return _choice(best_of(roots, order), best_of_text, np.full(roots.size, np.nan, np.float32))


def _choice(kept: Roots, best_of_text: Roots, similarity: npt.NDArray[np.float32]) -> Choice:
    own = np.arange(kept.size, dtype=kept.dtype)
    equal = (kept == best_of_text) & (kept != own)
    return Choice(kept=kept, exact=best_of_text != own, similarity=np.where(equal, np.float32(1), similarity))


def warm_up() -> None:
    """Compile the kernel, or load it from Numba's cache."""
    keys, places = np.zeros(1, np.uint64), np.full(1, -1, np.int32)
    jaccard_of_sorted(keys, keys)
    _near(keys, places, places, places, keys, places.copy())
    _remember(keys.copy(), places.copy(), places.copy(), places.copy(), keys, 0, 0)
