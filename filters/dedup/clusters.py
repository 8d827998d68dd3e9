"""Clusters of documents that share a key, within a memory budget.

The data: one file per part, with a column of content hashes and one column of MinHash keys per band. A document's index
is its running row number over all parts. `find_clusters` reads one column at a time, part by part, and joins documents
with equal keys by union-find. A hash table holds each key with the first document that had it. If the table for all
documents is larger than the budget, the column is read several times, once for each range of hashes. A root is always the
smallest index of its cluster, so the order of columns, keys and ranges makes no difference.

`cluster` has two levels: first equal content hashes, then the bands, among the first documents of each exact group (equal
texts have equal signatures, so the first stands for the group).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import int64, uint64

from pipeline.filters.kernels.hashing import fmix64
from pipeline.kernels import inner, kernel

ColumnReader = Callable[[str], Iterable[pa.Array | pa.ChunkedArray]]
Roots = npt.NDArray[np.signedinteger[Any]]

_LOAD = 0.5  # planned load of a table: linear probing then looks at 1.5 slots to find a key, at 2.5 to miss one
_FULL = 0.9  # load at which a table counts as full: its range has too many keys and is divided further
_SMALLEST_TABLE = 1 << 8
_STRIDE = 1 << 20  # documents handled together, where temporaries for all of them would need too much memory


@inner(forceinline=True)
def find(parents: Any, i: Any) -> Any:
    """The root of i; every other node on the way is pointed at its grandparent (path halving)."""
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@inner(forceinline=True)
def union(parents: Any, i: Any, j: Any) -> None:
    """Join the sets of i and j under the smaller root."""
    i, j = find(parents, i), find(parents, j)
    if i < j:
        parents[j] = i
    else:
        parents[i] = j


@kernel
def settle(parents: Any) -> None:
    """Point every node at its root. A parent is never larger than its child, so one ascending pass is enough."""
    for i in range(parents.size):
        parents[i] = parents[parents[i]]


@kernel
def _join_equal_keys(
    keys: Any,
    valid: Any,
    alive: Any,
    start: Any,
    part: Any,
    parts: Any,
    slots: Any,
    owners: Any,
    used: Any,
    parents: Any,
) -> Any:
    """Join each document of a chunk with the first one that had its key. Returns the slots used so far, -1 for a full table.

    keys (n, words): the chunk's keys. start: the index of its first document. Only keys whose hash is in range `part` of
    `parts` equal ranges count. The table: `owners` has the document of each slot, -1 if it is free; `slots` has its key.
    """
    words = keys.shape[1]
    limit = int64(owners.size * _FULL)
    for row in range(keys.shape[0]):
        i = start + row
        if not valid[row] or not alive[i]:
            continue
        h = uint64(0)
        for w in range(words):
            h = fmix64(h ^ keys[row, w])
        if int64(((h >> uint64(32)) * uint64(parts)) >> uint64(32)) != part:
            continue
        slot = int64(((h & uint64(0xFFFFFFFF)) * uint64(owners.size)) >> uint64(32))
        while owners[slot] >= 0:
            equal = True
            for w in range(words):
                equal &= slots[slot, w] == keys[row, w]
            if equal:
                break
            slot = slot + 1 if slot + 1 < owners.size else 0
        if owners[slot] >= 0:
            union(parents, int64(owners[slot]), int64(i))
            continue
        if used >= limit:
            return -1
        owners[slot] = i
        for w in range(words):
            slots[slot, w] = keys[row, w]
        used += 1
    return used


def find_clusters(
    read_column: ColumnReader, columns: Sequence[str], alive: npt.NDArray[np.bool_], memory: int
) -> Roots:
    """The root of each document's cluster, the smallest index of the documents joined by equal keys: int32 or int64, (n,).

    `read_column(name)` returns a column's chunks in order, `len(alive)` rows in all: uint64, or fixed-size binary of a
    multiple of 8 bytes; a null has no key. It is called once per range of hashes, and once more to find the type. Documents
    that are not alive stay alone, whatever their keys. `memory` bounds the bytes of the hash table. In addition, the roots
    take 4 bytes per document (8 beyond 2**31 documents), and the keys of one chunk are in memory.
    """
    parents: Roots = np.arange(alive.size, dtype=np.int32 if alive.size < 2**31 else np.int64)
    for column in columns:
        join_column(read_column, column, alive, memory, parents)
    settle(parents)
    return parents


def cluster(
    read_column: ColumnReader, exact: str, bands: Sequence[str], alive: npt.NDArray[np.bool_], memory: int
) -> tuple[Roots, Roots]:
    """Both levels: the roots of the exact groups, and the roots of the clusters that the bands join them into."""
    exact_roots = find_clusters(read_column, [exact], alive, memory)
    roots = exact_roots.copy()
    first = firsts(exact_roots, alive)
    for band in bands:
        join_column(read_column, band, first, memory, roots)
    settle(roots)
    return exact_roots, roots


def firsts(roots: Roots, alive: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mask of the documents that are alive and the first of their group."""
    first = alive.copy()
    for start in range(0, roots.size, _STRIDE):
        block = roots[start : start + _STRIDE]
        first[start : start + block.size] &= block == np.arange(start, start + block.size, dtype=roots.dtype)
    return first


def plan_ranges(n_keys: int, slot_bytes: int, memory: int) -> tuple[int, int]:
    """The number of hash ranges in which to read a column of n_keys keys, and the slots of the table for one range."""
    slots = max(int(n_keys / _LOAD), _SMALLEST_TABLE)
    affordable = max(memory // slot_bytes, _SMALLEST_TABLE)
    ranges = -(-slots // affordable)
    return ranges, min(-(-slots // ranges), 2**32 - 1)


def join_column(
    read_column: ColumnReader, column: str, alive: npt.NDArray[np.bool_], memory: int, parents: Roots
) -> None:
    """Join the documents that share a key in this column, in as few ranges of hashes as the budget allows.

    `parents` starts as 0, 1, 2, …; after the last column `settle` points every document at its root.
    """
    first = next(iter(_chunks(read_column(column))), None)
    words = 1 if first is None else _key_words(column, first)[0].shape[1]
    ranges, size = plan_ranges(int(np.count_nonzero(alive)), words * 8 + parents.itemsize, memory)
    owners = np.empty(size, parents.dtype)
    slots = np.empty((size, words), np.uint64)
    current = 0
    while current < ranges:
        owners.fill(-1)
        start = used = 0
        for chunk in _chunks(read_column(column)):
            keys, valid = _key_words(column, chunk)
            if start + len(chunk) > alive.size:
                raise ValueError(f"column {column} has more than {alive.size} rows")
            used = _join_equal_keys(keys, valid, alive, start, current, ranges, slots, owners, used, parents)
            if used < 0:
                break
            start += len(chunk)
        # The range has too many keys: start again with narrower ones. Joining twice does no harm.
        if used < 0:
            ranges, current = ranges * 2, 0
            continue
        if start != alive.size:
            raise ValueError(f"column {column} has {start} rows, not {alive.size}")
        current += 1


def _chunks(column: Iterable[pa.Array | pa.ChunkedArray]) -> Iterator[pa.Array]:
    for chunk in column:
        yield from chunk.chunks if isinstance(chunk, pa.ChunkedArray) else [chunk]


def _key_words(column: str, chunk: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """The keys of a chunk as (n, words) of 64 bits, without a copy, and a mask of the rows that have a key."""
    kind = chunk.type
    binary = pa.types.is_fixed_size_binary(kind) and kind.byte_width > 0 and kind.byte_width % 8 == 0
    if not binary and not pa.types.is_uint64(kind):
        raise ValueError(f"column {column} is {kind}, not uint64 or fixed-size binary of a multiple of 8 bytes")
    words = kind.byte_width // 8 if binary else 1
    valid = chunk.is_valid().to_numpy(zero_copy_only=False)
    if len(chunk) == 0 or chunk.buffers()[1] is None:
        return np.zeros((len(chunk), words), np.uint64), valid
    keys = np.frombuffer(chunk.buffers()[1], np.uint64, len(chunk) * words, chunk.offset * words * 8)
    keys.flags.writeable = False  # so that the kernel is compiled once, whether or not the buffer is writeable
    return keys.reshape(len(chunk), words), valid


def members_of(roots: Roots) -> npt.NDArray[np.int64]:
    """The documents that share a cluster with another document, ascending."""
    shared = np.zeros(roots.size, np.bool_)
    for start in range(0, roots.size, _STRIDE):
        block = roots[start : start + _STRIDE]
        joined = block != np.arange(start, start + block.size, dtype=roots.dtype)
        shared[start : start + block.size] |= joined
        shared[block[joined]] = True
    return np.flatnonzero(shared)


def best_of(roots: Roots, order: npt.NDArray[np.int64]) -> Roots:
    """For each document, the first document in `order` with the same root. `order` has every document that shares a root."""
    best: Roots = np.arange(roots.size, dtype=roots.dtype)
    best[roots[order[::-1]]] = order[::-1]  # the last assignment to an index wins
    return best[roots]


def warm_up() -> None:
    """Compile the kernels, or load them from Numba's cache, on a tiny batch."""
    columns = {"hash": pa.array([b"0" * 16] * 2, pa.binary(16)), "band": pa.array([1, 1], pa.uint64())}
    cluster(lambda name: [columns[name]], "hash", ["band"], np.ones(2, np.bool_), 1 << 16)
