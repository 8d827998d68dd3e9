"""Batches of any objective over contiguous or packed rows, as a pure function of the step: nothing to save but its number.

    split, documents = opened.splits["train"], opened.documents("train")
    rows = packed_rows(
        split, documents["start"].to_numpy(), documents["length"].to_numpy(), padding=opened.end_of_text, context=1024
    )
    for step in range(resumed_at, steps):
        arrays = batch(rows, causal, seed=0, step=step, batch_size=64, rank=rank, ranks=world_size)

An epoch takes each row once, in an order of its own; a batch may straddle two epochs. Each of `ranks` gets its own slice of the
same batch, so the number of ranks changes nothing about what is learned from in a step.

The trainer's own are those of its settings: `task_of(config, …)`, then `task.rows(…)` and `batch(rows, task.objective, …)`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.train.config import TrainConfig
from pipeline.train.data import Split, window_count, window_order
from pipeline.train.objectives import (
    Arrays,
    Draws,
    Objective,
    Row,
    as_one_stream,
    causal,
    document_mask,
    fill_in_the_middle,
    masked,
    span_corruption,
    span_counts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """`count` rows of `context` tokens; `read(number)` is one of them."""

    count: int
    context: int
    read: Callable[[int], Row]


def contiguous_rows(split: Split, context: int) -> Rows:
    """The split cut every `context` tokens: no padding, documents run on behind one another and are all one segment."""

    def read(number: int) -> Row:
        tokens = split.read(number * context, context + 1).astype(np.int64)
        return Row(tokens=tokens[:-1], following=tokens[1:], segments=np.ones(context, np.int64))

    return Rows(count=window_count(split.tokens, context), context=context, read=read)


def packed_rows(
    split: Split, starts: NDArray[np.int64], lengths: NDArray[np.int64], *, padding: int, context: int
) -> Rows:
    """Documents packed by best fit, a segment each; what is left of a row is the token `padding` in segment 0.

    `starts` and `lengths` say where each document lies in the split, its end-of-text included.
    """
    from pipeline.train.packing import pack  # it loads numba, which contiguous rows do without

    packing = pack(starts, lengths, context)

    def read(number: int) -> Row:
        tokens, following = np.full((2, context), padding, np.int64)
        segments = np.zeros(context, np.int64)
        at = 0
        for segment, piece in enumerate(range(packing.bounds[number], packing.bounds[number + 1]), 1):
            length = int(packing.lengths[piece])
            stream = split.read(int(packing.starts[piece]), length + 1)
            tokens[at : at + length], following[at : at + length] = stream[:-1], stream[1:]
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
    return _stacked(made)


def in_order(rows: Rows, objective: Objective, *, seed: int, first: int, last: int) -> Arrays:
    """Rows `first` to `last` - 1 as they lie in the split, drawn alike each time: what validation measures."""
    return _stacked([objective(rows.read(number), Draws(seed, 0, number)) for number in range(first, last)])


def _stacked(made: list[Arrays]) -> Arrays:
    return {name: np.stack([arrays[name] for arrays in made]) for name in made[0]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the settings' objective and packing come to."""

    objective: Objective
    context: int
    """Tokens of text a row; below the model's context where the objective adds some of its own."""
    vocab_size: int
    """The model's: the tokenizer's ids, and behind them the special tokens of the objective."""
    packed: bool
    both_sides: bool
    """Whether a token sees those after it."""
    end_of_text: int

    @property
    def is_plain(self) -> bool:
        """Next-token prediction on the stream, which scores every token: what bits per byte are defined for."""
        return self.objective is causal and not self.packed

    def rows(
        self, split: Split, documents: Callable[[], tuple[NDArray[np.int64], NDArray[np.int64]]], *, name: str
    ) -> Rows:
        """The rows of the split called `name`, whose `documents` have these starts and lengths; UserError without a row."""
        if not self.packed:
            rows = contiguous_rows(split, self.context)
            if rows.count == 0:
                raise UserError(
                    f"the {name} split holds {split.tokens:,} tokens, but one window takes "
                    f"train.context + 1 = {self.context + 1:,}: lower train.context or bring more text"
                )
            return rows
        starts, lengths = documents()
        rows = packed_rows(split, starts, lengths, padding=self.end_of_text, context=self.context)
        if rows.count == 0:
            raise UserError(f"the {name} split holds no document with a token to predict: bring more text")
        return rows

    def sees(self, arrays: Arrays) -> NDArray[np.bool_] | None:
        """Who sees whom in a batch, [B, T, T]; None: each token all those up to itself."""
        if not self.packed and not self.both_sides:
            return None
        segments = arrays["segments"] if self.packed else np.ones_like(arrays["inputs"])
        return document_mask(segments, both_sides=self.both_sides)


def task_of(config: TrainConfig, vocab_size: int, end_of_text: int) -> Task:
    """The task of these settings over shards with this vocabulary and end-of-text."""
    context, special, both_sides = config.context, 0, False
    objective: Objective = causal
    if config.objective == "masked":
        special, both_sides = 1, True
        objective = masked(vocab_size, vocab_size, [end_of_text], config.mask_rate)
    elif config.objective == "span-corruption":
        context, special = _span_row(config)
        sentinels = range(vocab_size, vocab_size + special)
        spans = span_corruption(sentinels, end_of_text, config.span_rate, config.span_length)
        objective = as_one_stream(spans)
    elif config.objective == "fill-in-the-middle":
        special = 3
        prefix, middle, suffix = range(vocab_size, vocab_size + 3)
        rates = config.middle_rate, config.suffix_first_rate
        objective = fill_in_the_middle(prefix, middle, suffix, end_of_text, *rates)
    return Task(
        objective=objective,
        context=context,
        vocab_size=vocab_size + special,
        packed=config.packing == "best-fit",
        both_sides=both_sides,
        end_of_text=end_of_text,
    )


def _span_row(config: TrainConfig) -> tuple[int, int]:
    """The most tokens whose corrupted text and targets fit the model's context together, and the spans among them."""
    # Two sentinels a span and two ends, less the last token, which is no input. The config sees to it that 2 tokens fit.
    return next(
        (tokens, spans)
        for tokens in range(config.context, 1, -1)
        if tokens + 2 * (spans := span_counts(tokens, config.span_rate, config.span_length)[1]) + 1 <= config.context
    )
