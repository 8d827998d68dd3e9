"""A shuffle through disk: rows go into buckets by their place, a hash, and come back bucket by bucket in order."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ORDER = [(name, "ascending") for name in ("place", "id", "file", "row", "part", "epoch")]


class Shuffle:
    """Rows of an index, each with a place in 0 … 2⁶⁴ - 1, in a new folder; one bucket at a time is in memory.

    Rows of one place come by id, file, row, part and epoch: neither the number of buckets shows, nor the order of adding.
    """

    def __init__(self, folder: Path, buckets: int) -> None:
        folder.mkdir(parents=True)
        self._paths = [folder / f"{number:06d}.arrow" for number in range(buckets)]

    def add(self, rows: pa.Table, place: np.ndarray) -> None:
        """Append rows, whose places are uint64."""
        count = len(self._paths)
        bucket = (place >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)
        order = np.argsort(bucket, kind="stable")
        rows = rows.append_column("place", pa.array(place)).take(pa.array(order))
        bounds = np.searchsorted(bucket[order], np.arange(count + 1, dtype=np.uint64))
        for path, first, last in zip(self._paths, bounds[:-1], bounds[1:], strict=True):
            if first < last:
                # A stream of its own, so that no more files are open than one, however many buckets.
                with path.open("ab") as file, pa.ipc.new_stream(file, rows.schema) as stream:
                    stream.write_table(rows.slice(first, last - first))

    def tables(self) -> Iterator[pa.Table]:
        """All rows in order, a table a bucket; as often as it is asked for."""
        for path in self._paths:
            if not path.exists():
                continue
            some = []
            with pa.OSFile(str(path)) as file:
                while file.tell() < file.size():
                    some.append(pa.ipc.open_stream(file).read_all())
            rows = pa.concat_tables(some)
            yield rows.take(pc.sort_indices(rows, _ORDER))
