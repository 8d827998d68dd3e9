"""Batches of any objective over contiguous or packed rows, as a pure function of the step: nothing to save but its number.

    rows = packed_rows(shards.open("runs/mine/shards"), "train", context=1024)
    for step in range(resumed_at, steps):
        arrays = batch(rows, causal, seed=0, step=step, batch_size=64, rank=rank, ranks=world_size)

An epoch takes each row once, in an order of its own; a batch may straddle two epochs. Each of `ranks` gets its own slice of the
same batch, so the number of ranks changes nothing about what is learned from in a step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.tokenize.shards import Shards
from pipeline.train.data import window_count, window_order
from pipeline.train.objectives import Arrays, Draws, Objective, Row
from pipeline.train.packing import pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """`count` rows of `context` tokens; `read(number)` is one of them."""

    count: int
    context: int
    read: Callable[[int], Row]


def contiguous_rows(shards: Shards, split: str, context: int) -> Rows:
    """The split cut every `context` tokens: no padding, documents run on behind one another and are all one segment."""
    stream = shards.splits[split]

    def read(number: int) -> Row:
        tokens = stream.read(number * context, context + 1).astype(np.int64)
        return Row(tokens=tokens[:-1], following=tokens[1:], segments=np.ones(context, np.int64))

    return Rows(count=window_count(stream.tokens, context), context=context, read=read)


def packed_rows(shards: Shards, split: str, context: int) -> Rows:
    """Documents packed by best fit, a segment each; what is left of a row is padding, as end-of-text in segment 0."""
    stream, table = shards.splits[split], shards.documents(split)
    packing = pack(table["start"].to_numpy(), table["length"].to_numpy(), context)

    def read(number: int) -> Row:
        tokens, following = np.full((2, context), shards.end_of_text, np.int64)
        segments = np.zeros(context, np.int64)
        at = 0
        for segment, piece in enumerate(range(packing.bounds[number], packing.bounds[number + 1]), 1):
            length = int(packing.lengths[piece])
            found = stream.read(int(packing.starts[piece]), length + 1)
            tokens[at : at + length], following[at : at + length] = found[:-1], found[1:]
            segments[at : at + length] = segment
            at += length
        return Row(tokens=tokens, following=following, segments=segments)

    return Rows(count=packing.rows, context=context, read=read)


def batch(
    rows: Rows, objective: Objective, *, seed: int, step: int, batch_size: int, rank: int = 0, ranks: int = 1
) -> Arrays:
    """This rank's arrays of one step, each [batch_size / ranks, …]; UserError without a row or for an uneven split."""
    if rows.count == 0:
        raise UserError(f"the split holds no row of {rows.context:,} tokens: lower the context or bring more text")
    if batch_size % ranks or not 0 <= rank < ranks:
        raise UserError(f"a batch of {batch_size} rows cannot be split evenly among {ranks} ranks")
    share = batch_size // ranks
    made = []
    for place in range(step * batch_size + rank * share, step * batch_size + (rank + 1) * share):
        epoch, at = divmod(place, rows.count)
        number = int(window_order(seed, epoch, rows.count)[at])
        made.append(objective(rows.read(number), Draws(seed, epoch, number)))
    return {name: np.stack([arrays[name] for arrays in made]) for name in made[0]}
