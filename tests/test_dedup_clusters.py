"""Union-find, and clusters under a memory budget."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from pipeline.filters.dedup.clusters import (
    best_of,
    cluster,
    find_clusters,
    firsts,
    members_of,
    plan_ranges,
    settle,
    union,
)
from pipeline.kernels import kernel

PLENTY = 1 << 20


class Columns:
    """Columns in chunks of uneven sizes, as a reader of parts gives them, counting how often each is read."""

    def __init__(self, columns: dict[str, pa.Array], sizes: list[int]) -> None:
        self.columns = columns
        self.sizes = sizes
        self.reads = dict.fromkeys(columns, 0)

    def __call__(self, name: str) -> Iterator[pa.Array | pa.ChunkedArray]:
        self.reads[name] += 1
        start = 0
        for size in self.sizes:
            chunk = self.columns[name].slice(start, size)
            yield pa.chunked_array([chunk.slice(0, 1), chunk.slice(1)]) if size % 2 else chunk
            start += size


def slow_roots(n: int, edges: list[tuple[int, int]]) -> list[int]:
    """The smallest index that a walk along the edges reaches."""
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    roots = [-1] * n
    for start in range(n):
        todo = [start]
        while todo:
            node = todo.pop()
            if roots[node] < 0:
                roots[node] = start
                todo += neighbours[node]
    return roots


def equal_key_edges(keys: list[object], alive: list[bool]) -> list[tuple[int, int]]:
    first: dict[object, int] = {}
    edges = []
    for index, key in enumerate(keys):
        if key is not None and alive[index]:
            edges.append((first.setdefault(key, index), index))
    return edges


@kernel
def union_pairs(parents: Any, first: Any, second: Any) -> None:
    for k in range(first.size):
        union(parents, first[k], second[k])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_union_find_equals_a_walk_whatever_the_order_of_the_edges(dtype: type) -> None:
    source = random.Random(3)
    for n, m in ((1, 0), (10, 4), (300, 150), (300, 280)):
        edges = [(source.randrange(n), source.randrange(n)) for _ in range(m)]
        expected = slow_roots(n, edges)
        for _ in range(3):
            source.shuffle(edges)
            turned = [(b, a) if source.random() < 0.5 else (a, b) for a, b in edges]
            pairs: npt.NDArray[Any] = np.array(turned, dtype).reshape(-1, 2)
            parents: npt.NDArray[Any] = np.arange(n, dtype=dtype)
            union_pairs(parents, pairs[:, 0].copy(), pairs[:, 1].copy())
            settle(parents)
            assert parents.tolist() == expected


def test_a_long_chain_is_settled_without_recursion() -> None:
    n = 200_000
    parents = np.arange(n, dtype=np.int32)
    union_pairs(parents, np.arange(n - 1, 0, -1, dtype=np.int32), np.arange(n - 2, -1, -1, dtype=np.int32))
    settle(parents)
    assert not parents.any()


def random_columns(n: int, seed: int) -> tuple[dict[str, pa.Array], list[bool]]:
    source = random.Random(seed)
    keys = [source.getrandbits(64) for _ in range(n // 2)]
    columns = {
        name: pa.array([None if source.random() < 0.1 else source.choice(keys) for _ in range(n)], pa.uint64())
        for name in ("band_00", "band_01")
    }
    texts = [source.randbytes(16) for _ in range(n)]
    # Two hashes that differ in one half only are two hashes.
    texts[1] = texts[0][:8] + texts[1][8:]
    texts[2] = texts[2][:8] + texts[0][8:]
    chosen = [texts[0], texts[1], texts[2], *(source.choice(texts) for _ in range(n - 3))]
    columns["content_hash"] = pa.array([None if source.random() < 0.1 else text for text in chosen], pa.binary(16))
    return columns, [source.random() < 0.9 for _ in range(n)]


@pytest.mark.parametrize(("memory", "reads"), [(PLENTY, 1), (100_000, 1), (30_000, 3), (12_000, 6), (1, 22)])
def test_any_budget_gives_the_clusters_of_the_slow_walk(memory: int, reads: int) -> None:
    n = 3_000
    columns, alive = random_columns(n, 5)
    for names in (["content_hash"], ["band_00"], ["band_01"], ["band_00", "band_01"], ["band_01", "band_00"]):
        edges = [edge for name in names for edge in equal_key_edges(columns[name].to_pylist(), alive)]
        reader = Columns(columns, [1, 700, 0, 1299, 1000])
        roots = find_clusters(reader, names, np.array(alive), memory)
        assert roots.tolist() == slow_roots(n, edges)
        if names == ["band_00"]:
            assert reader.reads["band_00"] == reads + 1  # the type is looked up once


def mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """MurmurHash3's finalizer, by which keys fall into ranges."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ (x >> np.uint64(33))) * np.uint64(factor)
    return x ^ (x >> np.uint64(33))


def test_a_full_table_is_divided_further() -> None:
    """Keys chosen so that all of them fall into the first of the planned ranges."""
    n = 2_000
    ranges, slots = plan_ranges(n, 12, 1)
    candidates = np.arange(n * ranges, dtype=np.uint64)
    crowd = candidates[mixed(candidates) >> np.uint64(32) < 2**32 // ranges][: n // 2]
    assert crowd.size == n // 2 > slots
    reader = Columns({"band": pa.array(np.repeat(crowd, 2))}, [n])
    alive = np.ones(n, np.bool_)
    assert find_clusters(reader, ["band"], alive, 1).tolist() == [i - i % 2 for i in range(n)]
    assert reader.reads["band"] > 1 + 4 * ranges


def test_planned_tables_keep_to_the_budget() -> None:
    for n in (1, 10**3, 10**6, 5 * 10**7, 10**9):
        for memory in (10**5, 10**9, 4 * 10**9):
            ranges, slots = plan_ranges(n, 12, memory)
            assert slots * 12 <= memory
            assert ranges * slots >= 2 * n
            assert ranges == 1 or (ranges - 1) * (memory // 12) < 2 * n  # not one more than needed


def test_a_column_of_another_length_or_type_is_refused() -> None:
    alive = np.ones(3, np.bool_)
    for values in ([1, 2], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="rows"):
            find_clusters(lambda _, values=values: [pa.array(values, pa.uint64())], ["k"], alive, PLENTY)  # type: ignore[misc]
    for kind in (pa.int64(), pa.binary(12)):
        with pytest.raises(ValueError, match="not uint64"):
            find_clusters(lambda _, kind=kind: [pa.nulls(3, kind)], ["k"], alive, PLENTY)  # type: ignore[misc]


def test_nothing_at_all() -> None:
    assert find_clusters(lambda _: [], ["k"], np.zeros(0, np.bool_), PLENTY).size == 0
    assert find_clusters(lambda _: [pa.nulls(2, pa.uint64())], ["k"], np.ones(2, np.bool_), PLENTY).tolist() == [0, 1]


def test_two_levels() -> None:
    """Exact groups {0, 3} and {1, 4}; a band joins 3's text, through 0 alone, to 2; a dead row joins nobody."""
    a, b, c, d = (bytes([x]) * 16 for x in b"abcd")
    columns = {
        "content_hash": pa.array([a, b, c, a, b, a, d], pa.binary(16)),
        "band_00": pa.array([7, 8, 9, 7, 8, 7, 9], pa.uint64()),
        "band_01": pa.array([1, 2, 1, 1, 2, 1, None], pa.uint64()),
    }
    alive = np.array([True, True, True, True, True, False, False])
    exact, roots = cluster(Columns(columns, [4, 3]), "content_hash", ["band_00", "band_01"], alive, PLENTY)
    assert exact.tolist() == [0, 1, 2, 0, 1, 5, 6]
    assert roots.tolist() == [0, 1, 0, 0, 1, 5, 6]


def test_members_firsts_and_best_of_each_cluster() -> None:
    roots = np.array([0, 1, 0, 3, 1, 0], np.int32)
    assert members_of(roots).tolist() == [0, 1, 2, 4, 5]
    assert members_of(np.arange(4, dtype=np.int32)).tolist() == []
    assert firsts(roots, np.array([1, 1, 1, 0, 1, 1], np.bool_)).tolist() == [1, 1, 0, 0, 0, 0]
    assert best_of(roots, np.array([5, 4, 0, 1, 2])).tolist() == [5, 4, 5, 3, 4, 5]
