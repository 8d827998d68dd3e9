"""Deciding: from the measured columns, in seconds. A changed threshold measures nothing again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engines import Care, Tick
from pipeline.ledger import DROPPED, kept, read, reasons_to_dropped, row_groups, writer
from pipeline.stages.job import Job


def write_decision(job: Job, gate: str, table: pa.Table, failing: Callable[[pa.Table], pa.Array]) -> int:
    """Write `dropped`: the failing rules of each row kept at `gate`, ["crashed"] where the measuring killed its worker.

    A row has crashed where the first column of the measures is null.
    """
    alive = kept(read(job.file(gate), ["dropped"])["dropped"])
    crashed = pc.is_null(table.column(0)).combine_chunks()
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

    return write_decision(job, "extract", read(job.file("language"), ["language", "language_score"]), failing)


def decide_quality(job: Job, tick: Tick, care: Care) -> int:
    """Every rule of the config on its signal, of the extracted text or of the edited one."""
    from pipeline.filters.rules import decide

    rules = (*job.config.rules, *job.config.edited_rules)
    table = _signals(job, "quality", "", [rule.signal for rule in job.config.rules])
    if job.config.edits:
        edited = _signals(job, "quality.edit", "edited.", [rule.signal for rule in job.config.edited_rules])
        for name in edited.column_names:
            table = table.append_column(name, edited[name])
        whole = pc.if_else(pc.is_null(edited.column(0)), None, table.column(0))  # a crash in either is a crash
        table = table.set_column(0, table.column_names[0], whole)

    def failing(table: pa.Table) -> pa.Array:
        languages = read(job.file("language"), ["language"])["language"].combine_chunks()
        return decide(rules, {name: table[name].combine_chunks() for name in table.column_names}, languages)

    return write_decision(job, "language.decide", table, failing)


def _signals(job: Job, step: str, prefix: str, names: list[str]) -> pa.Table:
    """The columns of some signals, named as rules name them; first "words", which every measured row has."""
    wanted = list(dict.fromkeys([f"{prefix}words", *names]))
    return read(job.file(step), [name.removeprefix(prefix) for name in wanted]).rename_columns(wanted)
