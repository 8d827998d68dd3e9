"""Batches of any objective over contiguous or packed rows: a pure function of the step, so only its number must be saved.

    split, documents = opened.splits["train"], opened.documents("train")
    rows = packed_rows(
        split, documents["start"].to_numpy(), documents["length"].to_numpy(), padding=opened.end_of_text, context=1024
    )
    for step in range(resumed_at, steps):
        arrays = batch(rows, causal, seed=0, step=step, batch_size=64, rank=rank, ranks=world_size)

An epoch uses each row once, in its own order; a batch may straddle two epochs. Each of `ranks` gets its own slice of the same
batch, so the number of ranks does not change which rows a step learns from.

The trainer makes its batches from its config: `task_of(config, …)`, then `task.rows(…)` and `batch(rows, task.objective, …)`.
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
    """The split cut every `context` tokens: no padding; documents follow one another and form a single segment."""

    def read(number: int) -> Row:
        tokens = split.read(number * context, context + 1).astype(np.int64)
        return Row(tokens=tokens[:-1], following=tokens[1:], segments=np.ones(context, np.int64))

    return Rows(count=window_count(split.tokens, context), context=context, read=read)


def packed_rows(
    split: Split, starts: NDArray[np.int64], lengths: NDArray[np.int64], *, padding: int, context: int
) -> Rows:
    """Documents packed by best fit, each a segment; the rest of a row is the token `padding` in segment 0.

    `starts` and `lengths` give each document's position in the split, including its end-of-text.
    """
    from pipeline.train.packing import pack  # loads Numba, which contiguous rows do not need

    packing = pack(starts, lengths, context)

    def read(number: int) -> Row:
        tokens, following = np.full((2, context), padding, np.int64)
        segments = np.zeros(context, np.int64)
        offset = 0
        for segment, piece in enumerate(range(packing.bounds[number], packing.bounds[number + 1]), 1):
            length = int(packing.lengths[piece])
            stream = split.read(int(packing.starts[piece]), length + 1)
            tokens[offset : offset + length], following[offset : offset + length] = stream[:-1], stream[1:]
            segments[offset : offset + length] = segment
            offset += length
        return Row(tokens=tokens, following=following, segments=segments)

    return Rows(count=packing.rows, context=context, read=read)


def batch(
    rows: Rows, objective: Objective, *, seed: int, step: int, batch_size: int, rank: int = 0, ranks: int = 1
) -> Arrays:
    """This rank's arrays of one step, each [batch_size / ranks, …]; UserError without rows, or for an uneven split."""
    if rows.count == 0:
        raise UserError(f"the split has no row of {rows.context:,} tokens: lower the context or add text")
    if batch_size % ranks or not 0 <= rank < ranks:
        raise UserError(f"a batch of {batch_size} rows cannot be split evenly among {ranks} ranks")
    share = batch_size // ranks
    views = []
    for index in range(step * batch_size + rank * share, step * batch_size + (rank + 1) * share):
        epoch, rank_in_epoch = divmod(index, rows.count)
        number = int(window_order(seed, epoch, rows.count)[rank_in_epoch])
        views.append(objective(rows.read(number), Draws(seed, epoch, number)))
    return _stacked(views)


def in_order(rows: Rows, objective: Objective, *, seed: int, first: int, last: int) -> Arrays:
    """Rows `first` to `last` - 1 in the order of the split, with the same draws each time: for validation."""
    return _stacked([objective(rows.read(number), Draws(seed, 0, number)) for number in range(first, last)])


def _stacked(views: list[Arrays]) -> Arrays:
    return {name: np.stack([arrays[name] for arrays in views]) for name in views[0]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The objective and packing of a config, resolved."""

    objective: Objective
    context: int
    """Tokens of text per row; less than the model's context if the objective adds tokens."""
    vocab_size: int
    """The model's vocabulary: the tokenizer's ids, then the special tokens of the objective."""
    packed: bool
    both_sides: bool
    """Whether a token attends to those after it."""
    end_of_text: int

    @property
    def is_plain(self) -> bool:
        """Whether it is next-token prediction on the stream, which scores every token; bits per byte are defined only then."""
        return self.objective is causal and not self.packed

    def rows(
        self, split: Split, documents: Callable[[], tuple[NDArray[np.int64], NDArray[np.int64]]], *, name: str
    ) -> Rows:
        """The rows of the split called `name`; `documents` returns starts and lengths. UserError without rows."""
        if not self.packed:
            rows = contiguous_rows(split, self.context)
            if rows.count == 0:
                raise UserError(
                    f"the {name} split has {split.tokens:,} tokens, but a window needs "
                    f"train.context + 1 = {self.context + 1:,}: lower train.context or add text"
                )
            return rows
        starts, lengths = documents()
        rows = packed_rows(split, starts, lengths, padding=self.end_of_text, context=self.context)
        if rows.count == 0:
            raise UserError(f"the {name} split has no document with a token to predict: add text")
        return rows

    def sees(self, arrays: Arrays) -> NDArray[np.bool_] | None:
        """The attention mask of a batch, bool [B, T, T]; None: each token attends to all up to itself."""
        if not self.packed and not self.both_sides:
            return None
        segments = arrays["segments"] if self.packed else np.ones_like(arrays["inputs"])
        return document_mask(segments, both_sides=self.both_sides)


def task_of(config: TrainConfig, vocab_size: int, end_of_text: int) -> Task:
    """The task of a config over shards with this vocabulary and end-of-text."""
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
    """The most tokens whose corrupted text and targets together fit the model's context, and the number of spans in them."""
    # Two sentinels per span and two ends, minus the last token, which is not an input. The config ensures that 2 tokens fit.
    return next(
        (tokens, spans)
        for tokens in range(config.context, 1, -1)
        if tokens + 2 * (spans := span_counts(tokens, config.span_rate, config.span_length)[1]) + 1 <= config.context
    )
