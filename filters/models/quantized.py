"""A fastText classifier with quantized rows, such as lid.176.ftz, read from its file into tables for our kernel.

The file is fastText's own format: arguments, dictionary, input rows as codes of a product quantizer (Joulin et al. 2016,
"FastText.zip"), output rows. Multiplied out, the rows of lid.176.ftz take 3 MB.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.filters.kernels.arrays import packed
from pipeline.filters.kernels.fasttext_scores import Model, classify, fill, room_for

_MAGIC, _VERSION = 793712314, 12
_SUPERVISED, _HIERARCHICAL = 3, 1
_LARGEST_FILE = 64_000_000
"""Bytes; lid.176.ftz has less than a million."""
_MOST_BUCKETS = 1 << 24
"""lid.176.ftz has 2 million."""
_MOST_COUNTED = 10**12
"""How often a label may occur, so that no sum of counts reaches the weight of nodes that are not made yet."""
Probabilities = npt.NDArray[np.float32]


class _NotQuantized(ValueError):
    """The file is damaged, or its model is of another kind."""


@dataclass(frozen=True, slots=True)
class QuantizedModel:
    """A classifier that labels many texts at once, with fastText's own numbers; a line feed does not end a text."""

    labels: tuple[str, ...]
    """With their prefix, as fastText has them, in the order of the columns that the kernel fills."""
    tables: Model

    @classmethod
    def load(cls, path: Path) -> "QuantizedModel | None":
        """The model of a file; None if its rows are not quantized, if it is no classifier with hierarchical softmax, if it
        uses n-grams of words, or if it is damaged or very large: fastText itself is for those."""
        if path.stat().st_size > _LARGEST_FILE:
            return None
        try:
            return _read(_Reader(path.read_bytes()))
        except (struct.error, ValueError, OverflowError):
            return None

    def best(self, data: Any, starts: Any, ends: Any) -> tuple[npt.NDArray[np.int64], Probabilities]:
        """The most likely label of each of the texts data[starts[i]:ends[i]], and its probability."""
        best, shares = self._classify(data, starts, ends, 0.0, 1)
        return best, shares[:, 0]

    def predict(self, text: str, count: int, least: float) -> list[tuple[float, str]]:
        """The `count` most probable labels of a text (-1: all) that have at least this probability, the most probable first."""
        data = np.frombuffer(text.encode() or b" ", np.uint8)
        bounds = np.array([0, len(data)], np.int64)
        [shares] = self._classify(data, bounds[:1], bounds[1:], least, len(self.labels))[1]
        found = [(float(shares[label]), self.labels[label]) for label in np.flatnonzero(shares)]
        found.sort(key=itemgetter(0), reverse=True)
        return found if count < 0 else found[:count]

    def _classify(
        self, data: Any, starts: Any, ends: Any, least: float, columns: int
    ) -> tuple[npt.NDArray[np.int64], Probabilities]:
        best, shares = np.empty(len(starts), np.int64), np.empty((len(starts), columns), np.float32)
        room = room_for(self.tables, int((ends - starts).max(initial=0)))
        classify(self.tables, data, starts, ends, least, room, best, shares)
        return best, shares


class _Reader:
    """Reads numbers one after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def array(self, kind: str, *shape: int) -> Any:
        if min(shape) < 0:
            raise _NotQuantized
        kept = np.frombuffer(self._data, kind, math.prod(shape), self._at).reshape(shape)
        self._at += kept.nbytes
        return kept

    def string(self) -> bytes:
        end = self._data.index(b"\0", self._at)
        found = self._data[self._at : end]
        self._at = end + 1
        return found


def _read(file: _Reader) -> QuantizedModel:
    magic, version, dimensions, *_ = numbers = file.numbers("14i")
    ngrams, loss, kind, buckets, shortest, longest = numbers[7:13]
    file.numbers("d")
    if (magic, version, kind, loss, ngrams) != (_MAGIC, _VERSION, _SUPERVISED, _HIERARCHICAL, 1):
        raise _NotQuantized
    if dimensions < 8 or dimensions % 8 or not 0 < shortest <= longest < 256 or not 0 < buckets <= _MOST_BUCKETS:
        raise _NotQuantized
    entries, words, labels, _, kept = file.numbers("iiiqq")
    if words + labels != entries or kept < 0 or labels < 2 or words < 1:
        raise _NotQuantized
    names, counts, kinds = [], [], []
    for _ in range(entries):
        names.append(file.string())
        count, is_label = file.numbers("qb")
        counts.append(count)
        kinds.append(is_label)
    if kinds != [0] * words + [1] * labels or names[0] != b"</s>":
        raise _NotQuantized
    bucket, place = file.array("<i4", kept, 2).T
    if not file.numbers("?")[0]:
        raise _NotQuantized
    rows = _quantized_rows(file)
    if rows.shape[1] != dimensions or file.numbers("?")[0]:  # the output's rows are quantized too
        raise _NotQuantized
    if not (_within(bucket, buckets) and _within(place, len(rows) - words)):
        raise _NotQuantized
    row_of_bucket = np.zeros(buckets, np.int32)
    row_of_bucket[bucket] = words + place
    has_row = np.zeros(-(-buckets // 32) * 32, np.bool_)
    has_row[bucket] = True
    nodes = file.array("<f4", *file.numbers("qq"))
    if nodes.shape != (labels, dimensions):
        raise _NotQuantized
    data, ends = packed(names[:words])
    tables = Model(
        rows,
        row_of_bucket,
        np.packbits(has_row, bitorder="little").view("<u4"),
        data,
        ends,
        _slots(data, ends),
        np.ascontiguousarray(nodes[: labels - 1]),
        _tree(counts[words:]),
        shortest,
        longest,
    )
    return QuantizedModel(tuple(name.decode() for name in names[words:]), tables)


def _within(numbers: npt.NDArray[np.int32], end: int) -> bool:
    """Whether all are in range(end)."""
    return len(numbers) == 0 or bool(numbers.min() >= 0 and numbers.max() < end)


def _quantized_rows(file: _Reader) -> npt.NDArray[np.float32]:
    """A matrix of a product quantizer, multiplied out: (rows, dimensions)."""
    has_norms, count, _, size = file.numbers("?qqi")
    if count < 1 or size % count:
        raise _NotQuantized
    codes = file.array("u1", count, size // count)
    rows = _decoded(file, codes)
    if has_norms:
        norms = file.array("u1", count, 1)
        rows = rows * _decoded(file, norms)
    return np.ascontiguousarray(rows, np.float32)


def _decoded(file: _Reader, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Vectors from their codes, and the centroids that stand next in the file."""
    dimensions, parts, width, last = file.numbers("4i")
    if codes.shape[1] != parts or (parts - 1) * width + last != dimensions:
        raise _NotQuantized
    centroids = file.array("<f4", dimensions * 256)
    columns = []
    for part in range(parts):
        wide = last if part == parts - 1 else width
        of_part = centroids[part * 256 * width : part * 256 * width + 256 * wide].reshape(256, wide)
        columns.append(of_part[codes[:, part]])
    return np.concatenate(columns, axis=1)


def _slots(words: Any, ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """A hash table of words, at most half full."""
    slots = np.full(1 << (2 * len(ends)).bit_length(), -1, np.int32)
    fill(slots, words, ends)
    return slots


def _tree(counts: Sequence[int]) -> npt.NDArray[np.int32]:
    """The children of each inner node of the Huffman tree over labels with these counts, most frequent first."""
    labels = len(counts)
    if not all(_MOST_COUNTED > more >= less >= 0 for more, less in pairwise(counts)):
        raise _NotQuantized
    weights = [*counts, *[_MOST_COUNTED * labels] * (labels - 1)]
    branches = np.empty((labels - 1, 2), np.int32)
    leaf, node = labels - 1, labels
    for inner in range(labels, 2 * labels - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                child, leaf = leaf, leaf - 1
            else:
                child, node = node, node + 1
            branches[inner - labels, side] = child
        weights[inner] = sum(weights[child] for child in branches[inner - labels])
    return branches
