"""From candidates to clusters in which every document has been compared with the kept one.

MinHash bands only propose candidates; joined transitively they form chains whose ends are not similar. Here a cluster is a
*star*: documents are taken best first. Each is compared with the kept ones that share a band with it, best first, and joins
the first that is similar enough. If none is, the document is kept. So

  * a document is removed only if a kept one reaches the threshold: the distance from the centre is at most 1 - threshold,
    the distance between two members at most twice that (1 - Jaccard is a metric), and clusters do not grow by chains;
  * the outcome depends only on the order of the documents, not on parts, workers or memory;
  * a later document changes nothing for those before it, so a corpus can grow: comparing new documents with the kept ones
    of an old run has the same outcome as one run over both with the old ones first.

The work is bounded: only the best `NEIGHBOURS` of the kept documents that share a key of a band are compared. If more
mutually different documents share a key (a site's template), a copy may be missed, but none is removed wrongly.
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
"""Bytes of evidence of kept documents to hold in memory while their candidates are compared."""
PER_KEY = 2 * (8 + 4) + 4 + 4
"""Bytes held per band and document of the candidate cluster being compared."""

Words = npt.NDArray[np.uint64]


class Evidence(Protocol):
    """What is compared: a document's band keys, and its sorted shingles or its signature."""

    def __call__(self, document: int) -> tuple[Words, Words]:
        """(bands,) keys, and shingles or signature, both uint64."""


Similar = Callable[[Words, Words], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The outcome for n documents.

    `kept`: (n,) the document kept in each document's cluster; itself if it is kept. `exact`: (n,) True if a better document
    has the same normalized text. `similarity`: (n,) float32, to the kept document; NaN if not measured, and for kept ones.
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
    """The similarity estimated from two signatures."""
    return float(np.count_nonzero(first == second)) / max(1, first.size)


def contenders(order: npt.NDArray[np.int64], roots: Roots, exact_roots: Roots) -> npt.NDArray[np.int64]:
    """The documents to compare, by cluster, best first: the best document of each text, in clusters with several texts."""
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
    """Split candidate clusters into stars. `order`: every document that shares a root with another one, best first.

    A `settled` document becomes a centre without being compared: an earlier run kept it.
    """
    kept = best_of(exact_roots, order)
    similarity = np.full(kept.size, np.nan, np.float32)
    candidates = contenders(order, roots, exact_roots)
    bounds = np.flatnonzero(np.diff(roots[candidates], prepend=-1, append=-1))
    for begin, end in pairwise(bounds.tolist()):
        for document, centre, value in _stars(candidates[begin:end], evidence, similar, threshold, settled):
            kept[document], similarity[document] = centre, value
        tick(end)
    best_of_text = best_of(exact_roots, order)
    return _choice(kept[best_of_text], best_of_text, similarity[best_of_text])


@inner
def _slot(table: Any, heads: Any, key: Any) -> Any:
    """The slot of a key in the table, or the free slot for it, whose head is negative."""
    slot = int64(((fmix64(key) >> uint64(32)) * uint64(table.size)) >> uint64(32))
    while heads[slot] >= 0 and table[slot] != key:
        slot = slot + 1 if slot + 1 < table.size else 0
    return slot


@kernel(allocates=True)
def _near(table: Any, heads: Any, links: Any, centres: Any, keys: Any, near: Any) -> Any:
    """Write the centres that have one of the keys to `near`, ascending and without repeats; returns their number."""
    n = 0
    for key in keys:
        entry = heads[_slot(table, heads, key)]
        while entry >= 0:
            near[n] = centres[entry]
            n += 1
            entry = links[entry]
    near[:n].sort()
    distinct = 0
    for i in range(n):
        if distinct == 0 or near[i] != near[distinct - 1]:
            near[distinct] = near[i]
            distinct += 1
    return distinct


@kernel
def _remember(table: Any, heads: Any, links: Any, centres: Any, keys: Any, centre: Any, entries: Any) -> Any:
    """Add a centre under its keys, at most `NEIGHBOURS` per key; returns the number of entries so far."""
    for key in keys:
        slot = _slot(table, heads, key)
        entry, length = heads[slot], 0
        while entry >= 0:
            length += 1
            entry = links[entry]
        if length < NEIGHBOURS:
            table[slot], centres[entries], links[entries] = key, centre, heads[slot]
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
    """(document, centre, similarity) of the documents of one candidate cluster, best first, that are not kept."""
    bands = evidence(int(documents[0]))[0].size
    room = documents.size * bands
    table, heads = np.zeros(2 * room, np.uint64), np.full(2 * room, -1, np.int32)
    links, centres_of = np.zeros(room, np.int32), np.zeros(room, np.int32)
    near_centres = np.zeros(NEIGHBOURS * bands, np.int32)
    entries = 0
    centre_evidence: dict[int, Words] = {}
    free_bytes = HELD
    for rank, document in enumerate(documents.tolist()):
        keys, own = evidence(document)
        near_count = 0 if settled(document) else _near(table, heads, links, centres_of, keys, near_centres)
        for centre in near_centres[:near_count].tolist():
            centre_document = int(documents[centre])
            value = similar(centre_evidence[centre] if centre in centre_evidence else evidence(centre_document)[1], own)
            if value >= threshold:
                yield document, centre_document, value
                break
        else:
            entries = _remember(table, heads, links, centres_of, keys, rank, entries)
            if own.nbytes <= free_bytes:
                centre_evidence[rank] = own
                free_bytes -= own.nbytes


def choose(order: npt.NDArray[np.int64], roots: Roots, exact_roots: Roots) -> Choice:
    """The best document of each candidate cluster, without comparing: only equal texts have a known similarity."""
    best_of_text = best_of(exact_roots, order)
    return _choice(best_of(roots, order), best_of_text, np.full(roots.size, np.nan, np.float32))


def _choice(kept: Roots, best_of_text: Roots, similarity: npt.NDArray[np.float32]) -> Choice:
    own = np.arange(kept.size, dtype=kept.dtype)
    equal = (kept == best_of_text) & (kept != own)
    return Choice(kept=kept, exact=best_of_text != own, similarity=np.where(equal, np.float32(1), similarity))


def warm_up() -> None:
    """Compile the kernel, or load it from Numba's cache."""
    keys, heads = np.zeros(1, np.uint64), np.full(1, -1, np.int32)
    jaccard_of_sorted(keys, keys)
    _near(keys, heads, heads, heads, keys, heads.copy())
    _remember(keys.copy(), heads.copy(), heads.copy(), heads.copy(), keys, 0, 0)
