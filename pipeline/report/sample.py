"""A choice of documents that a rule dropped, or that are kept."""

import hashlib
from collections.abc import Iterator
from heapq import nsmallest

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.ledger import Part, kept, read
from pipeline.errors import UserError, did_you_mean, listed
from pipeline.extract.options import NOT_PAGES
from pipeline.filters.rules import Reason
from pipeline.run.run import Run
from pipeline.stages.extract import EXTRACT


def sample(run: Run, dropped_by: str | None, count: int) -> Iterator[tuple[Part, int]]:
    """At most `count` rows (part, row) that a rule dropped, or that are kept; the choice is by the hash of their ids, so
    that it is the same each time.

    `dropped_by` is a stage ("quality"), a signal ("quality.words") or a rule ("quality.words.min"); None: kept documents.
    UserError where it dropped nothing, or nothing is kept.
    """
    chosen: list[tuple[bytes, int, int]] = []
    rules_that_dropped: set[str] = set()
    stages = list(run.deciders) if dropped_by else list(run.deciders)[-1:]
    for part in run.done_parts(EXTRACT):
        ids = read(run.file(EXTRACT, part), ["id"])["id"]
        for stage in stages:
            step = run.deciders[stage]
            if not run.is_done(step, part):
                continue
            dropped = read(run.file(step, part), ["dropped"])["dropped"].combine_chunks()
            if dropped_by is None:
                rows = pc.indices_nonzero(kept(dropped)).to_pylist()
            else:
                rows = _rows_dropped(dropped, stage, dropped_by)
                rules_that_dropped |= {
                    str(Reason.of(stage, rule)) for rule in pc.list_flatten(dropped).unique().to_pylist()
                }
            names = ids.take(pa.array(rows, pa.int64())).to_pylist()
            hashes = [hashlib.blake2b(name.encode()).digest() for name in names]
            chosen += ((name_hash, part.index, row) for name_hash, row in zip(hashes, rows, strict=True))
            chosen = nsmallest(count, set(chosen))
    if not chosen:
        for stage in stages:
            run.require(run.deciders[stage])
    if not chosen and not dropped_by:
        raise UserError(f"{run.root}: no document is kept; python -m pipeline stats {run.root} shows what dropped them")
    if dropped_by and not chosen:
        names = sorted(rules_that_dropped)
        raise UserError(
            f"--dropped-by {dropped_by}: dropped nothing in this run{did_you_mean(dropped_by, names)}; "
            f"rules that did: {listed(names, f'python -m pipeline stats {run.root}', near=dropped_by) or 'none'}"
        )
    for _, index, row in chosen:
        yield run.parts[index], row


def _rows_dropped(dropped: pa.ListArray, stage: str, dropped_by: str) -> list[int]:
    """The rows that fail `dropped_by` or a rule of it. Records that are not pages only where they are asked for."""
    rules = pc.list_flatten(dropped)
    matching = [
        rule
        for rule in rules.unique().to_pylist()
        if (rule not in NOT_PAGES or dropped_by.endswith(rule))
        and any(f"{name}.".startswith(f"{dropped_by}.") for name in (rule, Reason.of(stage, rule)))
    ]
    rows = pc.list_parent_indices(dropped).filter(pc.is_in(rules, pa.array(matching, pa.string())))
    return [int(row) for row in rows.to_pylist()]
