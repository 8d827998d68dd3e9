"""Deciding: from the measured columns, in seconds. A changed threshold measures nothing again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engines import Care, Tick
from pipeline.ledger import DROPPED, kept, read, reasons_to_dropped, row_groups, writer
from pipeline.stages.job import Job


def write_decision(job: Job, gate: str, columns: list[str], failing: Callable[[pa.Table], pa.Array]) -> int:
    """Write `dropped`: the failing rules of each row kept at `gate`, ["crashed"] where the measuring killed its worker."""
    alive = kept(read(job.file(gate), ["dropped"])["dropped"])
    table = read(job.file(job.step.removesuffix(".decide")), columns)
    crashed = pc.is_null(table[columns[0]]).combine_chunks()
    reasons = pc.if_else(crashed, pa.scalar(["crashed"], DROPPED), failing(table))
    schema = pa.schema([("dropped", DROPPED)])
    groups = [group.num_rows for group in row_groups(job.file(gate), ["dropped"])]
    dropped = reasons_to_dropped(alive, reasons)
    with writer(job.out, schema, job.key) as out:
        start = 0
        for length in groups:
            out.write_table(pa.Table.from_arrays([dropped.slice(start, length)], schema=schema))
            start += length
    return len(dropped)


def failing_rules(masks: dict[str, np.ndarray[Any, np.dtype[np.bool_]]], rows: int) -> pa.Array:
    """A list of the names whose mask is true, for each row."""
    matrix = np.stack(list(masks.values()), axis=1) if masks else np.zeros((rows, 0), np.bool_)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(matrix.sum(axis=1), out=offsets[1:])
    names = pa.array(list(masks), pa.string()).take(pa.array(np.nonzero(matrix)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), names, type=DROPPED)


def decide_language(job: Job, tick: Tick, care: Care) -> int:
    """`keep` and `min_score`."""
    options = job.config.language

    def failing(table: pa.Table) -> pa.Array:
        masks = {}
        if options.keep is not None:
            wanted = pc.is_in(table["language"], pa.array(options.keep, pa.string()))
            masks["keep"] = ~np.asarray(wanted.to_numpy(), np.bool_)
        scores = table["language_score"].to_numpy()
        masks["min_score"] = scores < np.float32(options.min_score)
        return failing_rules(masks, len(table))

    return write_decision(job, "extract", ["language", "language_score"], failing)


def decide_quality(job: Job, tick: Tick, care: Care) -> int:
    """Every rule of the config on its signal."""
    from pipeline.filters.rules import decide

    rules = job.config.rules
    names = list(dict.fromkeys(["words", *(rule.signal for rule in rules)]))

    def failing(table: pa.Table) -> pa.Array:
        languages = read(job.file("language"), ["language"])["language"].combine_chunks()
        return decide(rules, {name: table[name].combine_chunks() for name in names}, languages)

    return write_decision(job, "language.decide", names, failing)
