"""What a model predicts: inputs and targets from one row of tokens, as NumPy arrays.

An objective takes a Row and Draws, and returns named arrays of a fixed shape; targets that do not count are IGNORE. The draws
depend only on the seed, the epoch and the row, so a row is masked differently in each epoch, and the same on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError

IGNORE = -100  # torch's cross_entropy ignores such targets

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """`tokens` and the token `following` each (int64 [context]); `segments` numbers the documents from 1; 0 is padding."""

    tokens: Ints
    following: Ints
    segments: Ints


class Draws:
    """Uniform numbers from raw bits: NumPy guarantees stable streams of its bit generators, but not of its distributions."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def uniform(self, count: int) -> NDArray[np.float64]:
        """`count` numbers in [0, 1)."""
        return (self._bits.random_raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, bound: int) -> int:
        """An integer in 0 … bound - 1."""
        return int(self.uniform(1)[0] * bound)

    def choose(self, count: int, among: int) -> Ints:
        """`count` different integers in 0 … among - 1, in increasing order."""
        return np.sort(np.argsort(self.uniform(among), kind="stable")[:count])


Arrays = dict[str, NDArray[Any]]
Objective = Callable[[Row, Draws], Arrays]


def causal(row: Row, draws: Draws) -> Arrays:
    """The next token: inputs, targets, segments and positions in the document, each [context]."""
    targets = np.where(row.segments > 0, row.following, IGNORE)
    return {"inputs": row.tokens, "targets": targets, "segments": row.segments, "positions": positions(row.segments)}


def masked(mask: int, vocab_size: int, special: Sequence[int], rate: float = 0.15) -> Objective:
    """BERT's masked language modelling (Devlin et al. 2019, arXiv 1810.04805, section 3.1): inputs, targets, segments.

    The share `rate` of the tokens, except special ones and padding, but at least one token, is to be predicted. The model sees
    80 % of those as `mask`, 10 % as an ordinary token drawn from the vocabulary, 10 % unchanged.
    """
    ordinary = np.setdiff1d(np.arange(vocab_size), [*special, mask])

    def objective(row: Row, draws: Draws) -> Arrays:
        candidates = np.flatnonzero((row.segments > 0) & ~np.isin(row.tokens, [*special, mask]))
        chosen = candidates[draws.choose(max(1, round(rate * len(candidates))), len(candidates))]
        choice = draws.uniform(len(chosen))
        random = ordinary[(draws.uniform(len(chosen)) * len(ordinary)).astype(np.int64)]
        shown = np.where(choice < 0.8, mask, np.where(choice < 0.9, random, row.tokens[chosen]))
        inputs, targets = row.tokens.copy(), np.full_like(row.tokens, IGNORE)
        inputs[chosen], targets[chosen] = shown, row.tokens[chosen]
        return {"inputs": inputs, "targets": targets, "segments": row.segments}

    return objective


def span_corruption(sentinels: Sequence[int], end: int, noise: float = 0.15, mean_span: float = 3.0) -> Objective:
    """T5's objective (Raffel et al. 2020, section 3.1.4; random_spans_noise_mask in text-to-text-transfer-transformer).

    Spans are replaced by sentinels; the targets are each sentinel followed by its span. Both end with `end`. For a context of
    n, the inputs have n - m + s + 1 and the targets m + s + 1 tokens, with m = round(n * noise) tokens in
    s = round(m / mean_span) spans. UserError for packed rows and for too few sentinels.
    """
    marks = np.array(sentinels, np.int64)

    def objective(row: Row, draws: Draws) -> Arrays:
        _check_contiguous(row)
        length = len(row.tokens)
        removed, spans = span_counts(length, noise, mean_span)
        if spans > len(marks):
            raise UserError(f"span corruption of {length} tokens needs {spans} sentinels; there are {len(marks)}")
        sizes = np.empty(2 * spans, np.int64)  # kept, taken, kept, taken, …
        sizes[0::2], sizes[1::2] = _segments(length - removed, spans, draws), _segments(removed, spans, draws)
        ends = np.cumsum(sizes)
        bounds = np.append(0, ends)
        kept = [[row.tokens[bounds[2 * n] : bounds[2 * n + 1]], marks[n : n + 1]] for n in range(spans)]
        removed_pieces = [[marks[n : n + 1], row.tokens[bounds[2 * n + 1] : bounds[2 * n + 2]]] for n in range(spans)]
        ending = [np.array([end])]
        inputs, targets = (
            np.concatenate([*(array for pair in pairs for array in pair), *ending]) for pairs in (kept, removed_pieces)
        )
        return {"inputs": inputs, "targets": targets}

    return objective


def span_counts(length: int, noise: float, mean_span: float) -> tuple[int, int]:
    """How many of `length` tokens (at least 2) span corruption removes, and in how many spans."""
    removed = min(max(round(length * noise), 1), length - 1)
    return removed, min(max(round(removed / mean_span), 1), length - removed)


def as_one_stream(objective: Objective) -> Objective:
    """An encoder's inputs (i tokens) and a decoder's targets (t) as one sequence for a decoder-only model, [i + t - 1].

    Only the targets are predicted: a prefix language model (Raffel et al. 2020, section 3.2.1) with causal attention.
    """

    def joined(row: Row, draws: Draws) -> Arrays:
        arrays = objective(row, draws)
        stream = np.concatenate([arrays["inputs"], arrays["targets"]])
        targets = stream[1:].copy()
        targets[: len(arrays["inputs"]) - 1] = IGNORE
        return {"inputs": stream[:-1], "targets": targets}

    return joined


def fill_in_the_middle(
    prefix: int, middle: int, suffix: int, end: int, rate: float = 0.5, suffix_first: float = 0.5
) -> Objective:
    """Fill in the middle (Bavarian et al. 2022, arXiv 2207.14255) at context level: a row is divided into documents at `end`.

    With probability `rate` a document becomes prefix, suffix, middle, each after its token; or, for the share `suffix_first` of
    those, the paper's other order with both tokens first. Its end stays. Text that no longer fits into the row is cut off.
    Returns the arrays of `causal`. UserError for packed rows.
    """
    prefix_token, middle_token, suffix_token = ([token] for token in (prefix, middle, suffix))

    def objective(row: Row, draws: Draws) -> Arrays:
        _check_contiguous(row)
        stream = np.append(row.tokens, row.following[-1:])
        pieces = []
        for document in np.split(stream, np.flatnonzero(stream == end) + 1):
            text = document[:-1] if len(document) and document[-1] == end else document
            if len(text) and draws.uniform(1)[0] < rate:
                first_cut, second_cut = sorted((draws.below(len(text) + 1), draws.below(len(text) + 1)))
                prefix_text, middle_text, suffix_text = text[:first_cut], text[first_cut:second_cut], text[second_cut:]
                if draws.uniform(1)[0] < suffix_first:
                    pieces += [prefix_token, suffix_token, suffix_text, middle_token, prefix_text, middle_text]
                else:
                    pieces += [prefix_token, prefix_text, suffix_token, suffix_text, middle_token, middle_text]
                pieces.append(document[len(text) :])
            else:
                pieces.append(document)
        rearranged = np.concatenate([np.asarray(piece, np.int64) for piece in pieces])[: len(row.tokens) + 1]
        segments = np.append(0, np.cumsum(rearranged[:-2] == end)) + 1
        return causal(Row(tokens=rearranged[:-1], following=rearranged[1:], segments=segments), draws)

    return objective


def positions(segments: Ints) -> Ints:
    """The position of each token in its segment."""
    index = np.arange(len(segments))
    starts = np.append(True, segments[1:] != segments[:-1]) if len(segments) else np.empty(0, bool)
    return index - np.maximum.accumulate(np.where(starts, index, 0))


def document_mask(segments: Ints, *, both_sides: bool = False) -> NDArray[np.bool_]:
    """The attention mask: [..., context] to bool [..., context, context]; a token attends to its own document up to itself.

    With `both_sides` also to the tokens after it. Padding attends to itself, so that no row of the softmax is empty.
    """
    same = segments[..., :, None] == segments[..., None, :]
    itself = np.eye(segments.shape[-1], dtype=bool)
    allowed: NDArray[np.bool_] = same & ((segments[..., None, :] > 0) | itself)
    return allowed if both_sides else np.tril(allowed)


def _check_contiguous(row: Row) -> None:
    if not (row.segments == 1).all():
        raise UserError("span corruption and fill-in-the-middle are for contiguous rows; these are packed")


def _segments(items: int, count: int, draws: Draws) -> Ints:
    """`count` positive integers that add up to `items`; all partitions are equally likely."""
    cuts = draws.choose(count - 1, items - 1) + 1
    return np.diff(np.concatenate([[0], cuts, [items]]))
