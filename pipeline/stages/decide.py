"""Deciding: from the measured columns, in seconds. A changed threshold measures nothing again."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Care, Tick
from pipeline.core.ledger import DROPPED, kept, read, reasons_to_dropped, row_groups, rows_in, writer
from pipeline.stages.job import Job, View, gate, part_key

if TYPE_CHECKING:
    from pipeline.filters.quantiles import Bound


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

    return write_decision(job, gate(job.config), read(job.file("language"), ["language", "language_score"]), failing)


def decide_quality(job: Job, tick: Tick, care: Care) -> int:
    """Every rule of the config on its signal, and the evaluation texts a document may not hold."""
    from pipeline.filters.quantiles import failures
    from pipeline.filters.rules import decide, labelled
    from pipeline.filters.signals import all_signals

    config = job.config
    rules, known = (*config.rules, *config.edited_rules), all_signals(config.plugged.signals)
    table = signals_of(
        job.file, config, [*(rule.signal for rule in rules), *(rule.signal for rule in config.relative_rules)]
    )
    labels = read(job.file("language"), ["language"])["language"].combine_chunks()

    def failing(table: pa.Table) -> pa.Array:
        values = {name: table[name].combine_chunks() for name in table.column_names}
        others = []
        if config.relative_rules:
            ids = read(job.file("extract"), ["id"])["id"].combine_chunks()
            numbers = {rule.signal: floats(values[rule.signal]) for rule in config.relative_rules}
            bounds = read_bounds(job.file("quality.bounds")) if has_shares(config) else []
            others += failures(config.relative_rules, bounds, numbers, labels, ids)
        if config.contamination == "drop":
            ngrams, share = floats(values["contamination_ngrams"]), floats(values["contamination"])
            others.append(("contamination", (ngrams > 0) & (share >= (config.decontaminate.threshold or 0))))
        for rule in rules:
            signal = known.get(rule.signal.removeprefix("edited."))
            if signal and signal.languages is not None:
                undefined = ~labelled(labels, signal.languages) & labelled(labels, rule.languages)
                others.append((f"{rule.signal}.language", np.broadcast_to(undefined, len(table))))
        signals = {name: values[name] for name in ("words", *(rule.signal for rule in rules))}
        return decide(rules, signals, labels, others)

    return write_decision(job, "language.decide", table, failing)


def signals_of(file: Callable[[str], Path], config: Config, names: list[str]) -> pa.Table:
    """Columns of a part's signals, named as rules name them, whichever step has measured them.

    The first one is "words", null where any of the steps has not measured the row: nothing came in, or its worker crashed.
    """
    columns: dict[str, list[str]] = {"quality": ["words"]}
    if config.edits:
        columns["quality.edit"] = ["words"]
    if config.scores:
        columns["quality.scores"] = list(config.scores)
    if config.contamination:
        columns["quality.contamination"] = ["contamination", "contamination_ngrams"]
    for name in names:
        step = "quality.edit" if name.startswith("edited.") else "quality"
        if name not in config.scores:
            columns[step].append(name.removeprefix("edited."))
    table: dict[str, pa.Array] = {}
    measured = None
    for step, wanted in columns.items():
        found = read(file(step), list(dict.fromkeys(wanted)))
        prefix = "edited." if step == "quality.edit" else ""
        table |= {f"{prefix}{name}": found[name].combine_chunks() for name in found.column_names}
        there = found.column(0).combine_chunks().is_valid()
        measured = there if measured is None else pc.and_(measured, there)
    table["words"] = pc.if_else(measured, table["words"], None)
    return pa.table(table)


def floats(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column as float64, NaN where it is null."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    numbers = pc.fill_null(pc.cast(values, pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, np.float64)


BOUNDS = pa.schema(
    [("rule", pa.string()), ("language", pa.string()), ("value", pa.float64()), ("documents", pa.int64())]
)
"""Columns of ledger/quality.bounds: every part's file has the bounds of the whole run."""


def has_shares(config: Config) -> bool:
    """Whether a rule is on a share of the run's documents."""
    return any(rule.shares for rule in config.relative_rules)


def find_bounds(view: View, tick: Tick) -> int:
    """What the shares of the rules come to, over all parts, a part in memory at a time."""
    from pipeline.filters.quantiles import Columns
    from pipeline.filters.quantiles import find_bounds as find

    rules = [rule for rule in view.config.relative_rules if rule.shares]

    def columns() -> Iterator[Columns]:
        for part in view.parts:
            file = partial(view.file, part=part)
            table = signals_of(file, view.config, [rule.signal for rule in rules])
            labels = read(file("language"), ["language"])["language"].combine_chunks()
            yield {rule.signal: floats(table[rule.signal]) for rule in rules}, labels

    found = find(rules, columns)
    rows = [{"rule": b.rule, "language": b.language, "value": b.value, "documents": b.documents} for b in found]
    for part in view.parts:
        with writer(view.file("quality.bounds", part), BOUNDS, part_key(view.key, part)) as out:
            out.write_table(pa.Table.from_pylist(rows, BOUNDS))
    return sum(rows_in(view.file("quality", part)) for part in view.parts)


def read_bounds(path: Path) -> "list[Bound]":
    """The bounds that `find_bounds` has written."""
    from pipeline.filters.quantiles import Bound

    return [Bound(**row) for row in read(path, BOUNDS.names).to_pylist()]
