"""Deciding: from measured columns to `dropped`. A changed threshold measures nothing again."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import DROPPED, kept, read, reasons_to_dropped, row_groups, writer
from pipeline.core.part import PartFiles

CRASHED = "crashed"
"""The reason of a row whose measuring killed its worker."""
DECISION = pa.schema([("dropped", DROPPED)])
"""What `write_decision` writes."""
MEASURING_CRASHED = {CRASHED: "a worker died measuring this row, several times"}


def write_decision(files: PartFiles, table: pa.Table, failing: Callable[[pa.Table], pa.Array]) -> int:
    """Write `dropped`: the failing rules of each row that the gate lets in, ["crashed"] where a worker died measuring it.

    `failing` maps `table`, one row per row of the part, to lists of rules. A row has crashed where the first column of
    `table` is null. Returns the rows of the part.
    """
    alive = kept(read(files.gate, ["dropped"])["dropped"])
    crashed = pc.is_null(table.column(0)).combine_chunks()
    reasons = pc.if_else(crashed, pa.scalar([CRASHED], DROPPED), failing(table))
    groups = [group.num_rows for group in row_groups(files.gate, ["dropped"])]
    dropped = reasons_to_dropped(alive, reasons)
    with writer(files.out, DECISION, files.key) as out:
        start = 0
        for length in groups:
            out.write_table(pa.Table.from_arrays([dropped.slice(start, length)], schema=DECISION))
            start += length
    return len(dropped)


def floats(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """A column as float64, NaN where it is null."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    numbers = pc.fill_null(pc.cast(values, pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, np.float64)
