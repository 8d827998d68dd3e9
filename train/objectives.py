"""What a model is to predict: views of one row of tokens, as NumPy arrays.

An objective takes a Row and draws, and returns named arrays of a fixed shape; targets that do not count are IGNORE. The draws
depend on the run's seed, the epoch and the row alone, so the same row is masked anew in each epoch and alike on any machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError

IGNORE = -100  # torch's cross_entropy leaves such targets out

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """`tokens` and the token that follows each (int64 [context]); `segments` numbers the documents from 1, 0 is padding."""

    tokens: Ints
    following: Ints
    segments: Ints


class Draws:
    """Uniform numbers from raw bits: NumPy promises that its bit generators keep their streams, not its distributions."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def uniform(self, count: int) -> NDArray[np.float64]:
        """`count` numbers in [0, 1)."""
        return (self._bits.random_raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, bound: int) -> int:
        """A whole number in 0 … bound - 1."""
        return int(self.uniform(1)[0] * bound)

    def choose(self, count: int, among: int) -> Ints:
        """`count` different numbers in 0 … among - 1, in increasing order."""
        return np.sort(np.argsort(self.uniform(among), kind="stable")[:count])


Arrays = dict[str, NDArray[Any]]
Objective = Callable[[Row, Draws], Arrays]


def causal(row: Row, draws: Draws) -> Arrays:
    """The next token: inputs, targets, segments and positions in the document, each [context]."""
    targets = np.where(row.segments > 0, row.following, IGNORE)
    return {"inputs": row.tokens, "targets": targets, "segments": row.segments, "positions": positions(row.segments)}


def masked(mask: int, vocab_size: int, special: Sequence[int], rate: float = 0.15) -> Objective:
    """BERT's masked language modelling (Devlin et al. 2019, arXiv 1810.04805, section 3.1): inputs, targets, segments.

    Of the tokens, special ones and padding aside, `rate` (at least one token) are to be predicted; of those 80 % are seen as
    `mask`, 10 % as an ordinary token drawn from the vocabulary, 10 % as they are.
    """
    ordinary = np.setdiff1d(np.arange(vocab_size), [*special, mask])

    def objective(row: Row, draws: Draws) -> Arrays:
        candidates = np.flatnonzero((row.segments > 0) & ~np.isin(row.tokens, [*special, mask]))
        chosen = candidates[draws.choose(max(1, round(rate * len(candidates))), len(candidates))]
        fate = draws.uniform(len(chosen))
        random = ordinary[(draws.uniform(len(chosen)) * len(ordinary)).astype(np.int64)]
        seen = np.where(fate < 0.8, mask, np.where(fate < 0.9, random, row.tokens[chosen]))
        inputs, targets = row.tokens.copy(), np.full_like(row.tokens, IGNORE)
        inputs[chosen], targets[chosen] = seen, row.tokens[chosen]
        return {"inputs": inputs, "targets": targets, "segments": row.segments}

    return objective


def span_corruption(sentinels: Sequence[int], end: int, noise: float = 0.15, mean_span: float = 3.0) -> Objective:
    """T5's (Raffel et al. 2020, section 3.1.4; random_spans_noise_mask of google-research/text-to-text-transfer-transformer).

    Spans are taken out; in their places stand sentinels, and the targets are each sentinel with its span. Both end with
    `end`. For a context of n the inputs are n - m + s + 1 and the targets m + s + 1 long, with m = round(n * noise) tokens in
    s = round(m / mean_span) spans. UserError for packed rows and for too few sentinels.
    """
    marks = np.array(sentinels, np.int64)

    def objective(row: Row, draws: Draws) -> Arrays:
        _check_contiguous(row)
        length = len(row.tokens)
        taken, spans = span_counts(length, noise, mean_span)
        if spans > len(marks):
            raise UserError(f"span corruption of {length} tokens takes {spans} sentinels; there are {len(marks)}")
        sizes = np.empty(2 * spans, np.int64)  # kept, taken, kept, taken, …
        sizes[0::2], sizes[1::2] = _segments(length - taken, spans, draws), _segments(taken, spans, draws)
        ends = np.cumsum(sizes)
        bounds = np.append(0, ends)
        kept = [[row.tokens[bounds[2 * n] : bounds[2 * n + 1]], marks[n : n + 1]] for n in range(spans)]
        gone = [[marks[n : n + 1], row.tokens[bounds[2 * n + 1] : bounds[2 * n + 2]]] for n in range(spans)]
        last = [np.array([end])]
        inputs, targets = (
            np.concatenate([*(each for pair in pairs for each in pair), *last]) for pairs in (kept, gone)
        )
        return {"inputs": inputs, "targets": targets}

    return objective


def span_counts(length: int, noise: float, mean_span: float) -> tuple[int, int]:
    """How many of `length` tokens (at least 2) span corruption takes out, and in how many spans."""
    taken = min(max(round(length * noise), 1), length - 1)
    return taken, min(max(round(taken / mean_span), 1), length - taken)


def as_one_stream(objective: Objective) -> Objective:
    """An encoder's inputs (i tokens) and a decoder's targets (t) as one sequence for a decoder alone, [i + t - 1].

    Only the targets are predicted: a language model with a prefix (Raffel et al. 2020, section 3.2.1), seen causally.
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
    """Bavarian et al. 2022 (arXiv 2207.14255), at the level of the context: a row's documents are cut at `end`.

    With probability `rate` a document becomes prefix, suffix, middle, each after its token, or (`suffix_first` of those)
    the paper's other order, both tokens first; its end stays. What no longer fits into the row is cut off. The arrays are
    those of `causal`. UserError for packed rows.
    """
    before, between, after = ([token] for token in (prefix, middle, suffix))

    def objective(row: Row, draws: Draws) -> Arrays:
        _check_contiguous(row)
        whole = np.append(row.tokens, row.following[-1:])
        pieces = []
        for document in np.split(whole, np.flatnonzero(whole == end) + 1):
            text = document[:-1] if len(document) and document[-1] == end else document
            if len(text) and draws.uniform(1)[0] < rate:
                one, two = sorted((draws.below(len(text) + 1), draws.below(len(text) + 1)))
                first, core, last = text[:one], text[one:two], text[two:]
                if draws.uniform(1)[0] < suffix_first:
                    pieces += [before, after, last, between, first, core]
                else:
                    pieces += [before, first, after, last, between, core]
                pieces.append(document[len(text) :])
            else:
                pieces.append(document)
        changed = np.concatenate([np.asarray(piece, np.int64) for piece in pieces])[: len(row.tokens) + 1]
        segments = np.append(0, np.cumsum(changed[:-2] == end)) + 1
        return causal(Row(tokens=changed[:-1], following=changed[1:], segments=segments), draws)

    return objective


def positions(segments: Ints) -> Ints:
    """The place of each token in its document's piece."""
    at = np.arange(len(segments))
    starts = np.append(True, segments[1:] != segments[:-1]) if len(segments) else np.empty(0, bool)
    return at - np.maximum.accumulate(np.where(starts, at, 0))


def document_mask(segments: Ints, *, both_sides: bool = False) -> NDArray[np.bool_]:
    """Who sees whom: [..., context] to [..., context, context], each token those up to itself in its own document.

    With `both_sides` the tokens after it too. Padding sees itself, so that no row of the softmax is empty.
    """
    same = segments[..., :, None] == segments[..., None, :]
    itself = np.eye(segments.shape[-1], dtype=bool)
    allowed: NDArray[np.bool_] = same & ((segments[..., None, :] > 0) | itself)
    return allowed if both_sides else np.tril(allowed)


def _check_contiguous(row: Row) -> None:
    if not (row.segments == 1).all():
        raise UserError("span corruption and fill-in-the-middle are for contiguous rows; these are packed")


def _segments(items: int, count: int, draws: Draws) -> Ints:
    """`count` positive whole numbers that add up to `items`, each way of cutting equally likely."""
    cuts = draws.choose(count - 1, items - 1) + 1
    return np.diff(np.concatenate([[0], cuts, [items]]))
