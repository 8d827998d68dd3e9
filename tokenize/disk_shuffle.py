"""A shuffle on disk: rows are written to buckets by their position, a hash, and read back in order, bucket by bucket."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ORDER = [(name, "ascending") for name in ("place", "id", "file", "row", "part", "epoch")]


class Shuffle:
    """Rows of an index, each with a position in 0 … 2⁶⁴ - 1, in a new folder; one bucket at a time is in memory.

    Rows with the same position come by id, file, row, part and epoch, so the number of buckets and the order of adding make no
    difference.
    """

    def __init__(self, folder: Path, buckets: int) -> None:
        folder.mkdir(parents=True)
        self._paths = [folder / f"{number:06d}.arrow" for number in range(buckets)]

    def add(self, rows: pa.Table, positions: np.ndarray) -> None:
        """Append rows; their positions are uint64."""
        count = len(self._paths)
        bucket = (positions >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)
        order = np.argsort(bucket, kind="stable")
        rows = rows.append_column("place", pa.array(positions)).take(pa.array(order))
        bounds = np.searchsorted(bucket[order], np.arange(count + 1, dtype=np.uint64))
        for path, first, last in zip(self._paths, bounds[:-1], bounds[1:], strict=True):
            if first < last:
                # A new stream each time, so that only one file is open, however many buckets there are.
                with path.open("ab") as file, pa.ipc.new_stream(file, rows.schema) as stream:
                    stream.write_table(rows.slice(first, last - first))

    def tables(self) -> Iterator[pa.Table]:
        """All rows in order, one table per bucket; may be called again."""
        for path in self._paths:
            if not path.exists():
                continue
            tables = []
            with pa.OSFile(str(path)) as file:
                while file.tell() < file.size():
                    tables.append(pa.ipc.open_stream(file).read_all())
            rows = pa.concat_tables(tables)
            yield rows.take(pc.sort_indices(rows, _ORDER))
