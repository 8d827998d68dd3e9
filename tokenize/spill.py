"""Counts more distinct pre-tokens than memory holds: tables go to disk by hash, and are merged partition by partition.

The counts are exact. Learning merges needs tens of bytes of memory for each byte of distinct pre-tokens, so if there are too
many, the rarest are left out: all those below one count. The share of the text that remains is reported.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.files import scratch
from pipeline.kernels import kernel
from pipeline.tokenize.pretokens import FNV_OFFSET, FNV_PRIME, PreTokens, Table

PARTITIONS = 64
LEARNING_BYTES = 32
"""Memory for each byte of distinct pre-tokens while merges are learned: 11 bytes in arrays, and the pairs. Measured in total:
17 for 7 MB and 32,000 merges, 31 for 2.6 MB and 100,000 merges, since fewer bytes have more pairs each."""

_HIGH = np.uint64(40)
_RARE = 1 << 16  # larger counts are not distinguished


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Pre-tokens that fit: those that occur at least `least` times, `share` of the text by bytes."""

    pretokens: PreTokens
    min_count: int
    share: float


class DiskSpill:
    """A Spill into a temporary folder in `folder`, which is deleted at the end of the `with` block."""

    def __init__(self, memory: int, folder: Path | None = None) -> None:
        self.memory = memory
        self._budget = memory
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(scratch("pretokens", folder))
        self.taken = 0

    def __enter__(self) -> "DiskSpill":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)  # a full disk is named there

    def take(self, pretokens: PreTokens) -> None:
        """Append each pre-token to its partition's files."""
        self.taken += 1
        partition = np.empty(len(pretokens.counts), np.int64)
        _partitions(pretokens.data, pretokens.offsets, PARTITIONS, partition)
        for number in range(PARTITIONS):
            selected = _chosen(pretokens, partition == number)
            for name, array in (
                ("data", selected.data),
                ("sizes", np.diff(selected.offsets)),
                ("counts", selected.counts),
            ):
                with self._path(number, name).open("ab") as file:
                    file.write(array.astype(array.dtype.newbyteorder("<")).tobytes())

    def fit(self, last: PreTokens) -> Fitted:
        """Everything taken and `last`, merged; without the rarest pre-tokens if learning has too little memory for all."""
        if self.taken:
            self.take(last)
            parts = [self._merge(number) for number in range(PARTITIONS)]
        else:
            parts = [last]
        sizes = np.zeros(_RARE + 1, np.int64)  # bytes of distinct pre-tokens by count
        total = 0
        for part in parts:
            lengths = np.diff(part.offsets)
            sizes += np.bincount(np.minimum(part.counts, _RARE), lengths, _RARE + 1).astype(np.int64)
            total += part.text_bytes
        budget = self._budget // LEARNING_BYTES
        bytes_from_count = np.cumsum(sizes[::-1])[::-1]  # bytes of pre-tokens with at least each count
        min_count = max(1, int(np.argmax(bytes_from_count <= budget)))
        if total and (bytes_from_count[-1] > budget or bytes_from_count[min_count] == 0):
            raise UserError(f"tokenizer.memory: {self._budget:,} bytes are too few to learn a vocabulary")
        kept = [_chosen(part, part.counts >= min_count) for part in parts]
        data = np.concatenate([part.data for part in kept])
        lengths = np.concatenate([np.diff(part.offsets) for part in kept])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        pretokens = PreTokens(data=data, offsets=offsets, counts=np.concatenate([part.counts for part in kept]))
        return Fitted(pretokens=pretokens, min_count=min_count, share=pretokens.text_bytes / total if total else 1.0)

    def _merge(self, number: int) -> PreTokens:
        """A partition with distinct pre-tokens, written back and memory-mapped."""
        data = np.fromfile(self._path(number, "data"), np.uint8)
        sizes = np.fromfile(self._path(number, "sizes"), "<i8")
        counts = np.fromfile(self._path(number, "counts"), "<i8")
        table = Table()
        table.make_room(len(sizes), len(data))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        table.add(data, offsets, counts)
        merged = table.contents()
        paths = [self._path(number, f"{name}.npy") for name in ("data", "offsets", "counts")]
        for path, array in zip(paths, (merged.data, merged.offsets, merged.counts), strict=True):
            np.save(path, array)
        return PreTokens(**{path.name.split(".")[1]: np.load(path, mmap_mode="r") for path in paths})

    def _path(self, number: int, name: str) -> Path:
        return self._folder / f"{number:02d}.{name}"


def _chosen(pretokens: PreTokens, mask: np.ndarray) -> PreTokens:
    lengths = np.diff(pretokens.offsets)
    data = pretokens.data[np.repeat(mask, lengths)]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[mask])])
    return PreTokens(data=data, offsets=offsets, counts=np.asarray(pretokens.counts)[mask])


@kernel
def _partitions(data: Any, offsets: Any, count: Any, partition: Any) -> None:
    """Write the partition of each pre-token, from the high bits of FNV-1a, which the tables do not use."""
    for i in range(partition.size):
        code = FNV_OFFSET
        for at in range(offsets[i], offsets[i + 1]):
            code = (code ^ data[at]) * FNV_PRIME
        partition[i] = (code >> _HIGH) % np.uint64(count)
