"""Packing and objectives: each prediction once, masks that hold, views that can be undone, and resuming at the very next batch."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.tokenize import shards
from pipeline.train.batches import Rows, batch, contiguous_rows, packed_rows
from pipeline.train.objectives import (
    IGNORE,
    Draws,
    Objective,
    Row,
    causal,
    document_mask,
    fill_in_the_middle,
    masked,
    positions,
    span_corruption,
)
from pipeline.train.packing import pack

ROOT = Path(__file__).parents[1]
END, MASK, PREFIX, MIDDLE, SUFFIX = 99, 98, 97, 96, 95
SENTINELS = range(80, 90)
SPECIAL = (*range(80, 100),)


def make(folder: Path) -> shards.Shards:
    draw = np.random.default_rng(0)
    documents = [(f"d{n}", draw.integers(0, 80, draw.integers(0, 90))) for n in range(120)]
    return shards.write(folder, documents, vocab_size=100, end_of_text=END, shard_tokens=999, validation=0.2)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> shards.Shards:
    return make(tmp_path_factory.mktemp("batches") / "s")


def contiguous(opened: shards.Shards, split: str, context: int) -> Rows:
    return contiguous_rows(opened.splits[split], context)


def packed(opened: shards.Shards, split: str, context: int) -> Rows:
    starts, lengths = (opened.documents(split)[name].to_numpy() for name in ("start", "length"))
    return packed_rows(opened.splits[split], starts, lengths, padding=opened.end_of_text, context=context)


def row_of(tokens: list[int]) -> Row:
    array = np.array(tokens, np.int64)
    return Row(tokens=array[:-1], following=array[1:], segments=np.ones(len(array) - 1, np.int64))


def slow_best_fit(sizes: list[int], context: int) -> list[int]:
    """Rows' room after each piece went into the row where it leaves the least."""
    room: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [(left, n) for n, left in enumerate(room) if left >= size]
        if fitting:
            room[min(fitting)[1]] -= size
        else:
            room.append(context - size)
    return sorted(room)


@pytest.mark.parametrize("context", [1, 7, 63, 64, 65, 200, 1000])
def test_best_fit_is_best_fit(context: int) -> None:
    draw = np.random.default_rng(context)
    lengths = np.concatenate([draw.integers(0, 2 * context + 2, 150), draw.integers(0, 9, 50)])
    packing = pack(np.cumsum(lengths) - lengths, lengths, context)
    rows = [packing.lengths[a:b] for a, b in zip(packing.bounds, packing.bounds[1:], strict=False)]
    pieces = [min(context, rest) for n in lengths for rest in range(int(n) - 1, 0, -context)]
    assert sorted(packing.lengths.tolist()) == sorted(pieces)
    assert sorted(context - int(row.sum()) for row in rows) == slow_best_fit(pieces, context)
    assert packing.fill == pytest.approx(sum(pieces) / (len(rows) * context))


def test_no_documents_pack_into_no_rows() -> None:
    empty = np.empty(0, np.int64)
    assert pack(empty, empty, 8).rows == 0
    assert pack(np.zeros(1, np.int64), np.ones(1, np.int64), 8).rows == 0  # an end of text alone predicts nothing


@pytest.mark.parametrize("context", [5, 32, 500])
def test_packed_rows_hold_each_prediction_once(opened: shards.Shards, context: int) -> None:
    rows = packed(opened, "train", context)
    stream = opened.splits["train"].read(0, opened.splits["train"].tokens)
    expected = []
    for document in opened.documents("train").to_pylist():
        tokens = stream[document["start"] : document["start"] + document["length"]].tolist()
        expected += [(tokens[max(0, at - at % context) : at + 1], tokens[at + 1]) for at in range(len(tokens) - 1)]
    found = []
    for number in range(rows.count):
        row = rows.read(number)
        at = positions(row.segments)
        sees = document_mask(row.segments)
        assert sees.diagonal().all()
        for place in np.flatnonzero(row.segments).tolist():
            seen = row.tokens[sees[place]].tolist()
            assert len(seen) == at[place] + 1
            found.append((seen, int(row.following[place])))
        padding = row.segments == 0
        assert (row.tokens[padding] == END).all()
        assert (causal(row, Draws(0))["targets"][padding] == IGNORE).all()
        assert sees[padding].sum() == padding.sum()
    assert sorted(found) == sorted(expected)


def test_contiguous_rows_are_the_stream(opened: shards.Shards) -> None:
    rows = contiguous(opened, "validation", 10)
    split = opened.splits["validation"]
    stream = split.read(0, split.tokens)
    assert rows.count == (split.tokens - 1) // 10
    read = [causal(rows.read(n), Draws(0)) for n in range(rows.count)]
    assert np.concatenate([arrays["inputs"] for arrays in read]).tolist() == stream[: 10 * rows.count].tolist()
    assert np.concatenate([arrays["targets"] for arrays in read]).tolist() == stream[1 : 10 * rows.count + 1].tolist()


def test_masking_as_bert_does() -> None:
    objective = masked(MASK, 100, SPECIAL)
    draw = np.random.default_rng(1)
    tally = {"mask": 0, "random": 0, "same": 0}
    for n in range(300):
        tokens = draw.integers(0, 80, 101)
        tokens[[3, 50]] = END
        row = row_of(tokens.tolist())
        row.segments[90:] = 0
        arrays = objective(row, Draws(n))
        chosen = arrays["targets"] != IGNORE
        assert chosen.sum() == round(0.15 * 88)
        assert not chosen[[3, 50]].any()
        assert not chosen[90:].any()
        assert (arrays["targets"][chosen] == row.tokens[chosen]).all()
        assert (arrays["inputs"][~chosen] == row.tokens[~chosen]).all()
        seen = arrays["inputs"][chosen]
        assert not np.isin(seen[seen != MASK], SPECIAL).any()
        tally["mask"] += int((seen == MASK).sum())
        tally["same"] += int((seen == row.tokens[chosen]).sum())
        tally["random"] += int(((seen != MASK) & (seen != row.tokens[chosen])).sum())
    total = sum(tally.values())
    assert abs(tally["mask"] / total - 0.8) < 0.02
    assert abs(tally["random"] / total - 0.1) < 0.02


def test_span_corruption_can_be_undone() -> None:
    objective = span_corruption(SENTINELS, END)
    shapes = set()
    taken: list[float] = []
    for n in range(200):
        tokens = np.random.default_rng(n).integers(0, 80, 101).tolist()
        arrays = objective(row_of(tokens), Draws(n))
        inputs, targets = arrays["inputs"].tolist(), arrays["targets"].tolist()
        shapes.add((len(inputs), len(targets)))
        assert inputs[-1] == targets[-1] == END
        spans: dict[int, list[int]] = {}
        for token in targets[:-1]:
            if token in SENTINELS:
                spans[token] = []
            else:
                spans[list(spans)[-1]].append(token)
        assert list(spans) == list(SENTINELS)[: len(spans)]
        assert all(spans.values())
        assert [each for token in inputs[:-1] for each in spans.get(token, [token])] == tokens[:100]
        taken += [len(span) for span in spans.values()]
    assert shapes == {(100 - 15 + 5 + 1, 15 + 5 + 1)}
    assert np.mean(taken) == 3
    with pytest.raises(UserError, match="needs 5 sentinels; there are 4"):
        span_corruption(range(4), END)(row_of([1] * 101), Draws(0))


def test_fill_in_the_middle_can_be_undone() -> None:
    objective = fill_in_the_middle(PREFIX, MIDDLE, SUFFIX, END)
    kinds = {"plain": 0, "psm": 0, "spm": 0}
    for n in range(900):
        draw = np.random.default_rng(n)
        documents = [draw.integers(0, 80, size).tolist() for size in (0, 30, 1, 45)]
        tokens = [token for document in documents for token in [*document, END]]
        row = row_of([*tokens, *[1] * 40])
        arrays = objective(row, Draws(n))
        assert arrays["inputs"].shape == arrays["targets"].shape == arrays["segments"].shape == row.tokens.shape
        assert arrays["inputs"][1:].tolist() == arrays["targets"][:-1].tolist()
        rest = arrays["inputs"].tolist()
        for number, document in enumerate(documents, 1):
            at = rest.index(END)
            made, rest = rest[:at], rest[at + 1 :]
            assert (arrays["segments"] == number).sum() == at + 1
            if PREFIX not in made:
                assert made == document
                kinds["plain"] += len(document) > 1
            elif made[:2] == [PREFIX, SUFFIX] and is_suffix_first(made, document):
                kinds["spm"] += len(document) > 1
            else:
                suffix, middle = made.index(SUFFIX), made.index(MIDDLE)
                assert made[0] == PREFIX
                assert made[1:suffix] + made[middle + 1 :] + made[suffix + 1 : middle] == document
                kinds["psm"] += len(document) > 1
    total = sum(kinds.values())
    assert total == 1800  # a document of one token looks alike both ways
    assert abs(kinds["plain"] / total - 0.5) < 0.05
    assert abs(kinds["psm"] / total - 0.25) < 0.05


def is_suffix_first(made: list[int], document: list[int]) -> bool:
    """prefix token, suffix token, suffix, middle token, then prefix and middle as they were."""
    middle = made.index(MIDDLE)
    return made[middle + 1 :] + made[2:middle] == document


def test_packed_rows_are_refused_where_documents_would_be_cut_wrongly(opened: shards.Shards) -> None:
    rows = packed(opened, "train", 64)
    row = rows.read(rows.count - 1)
    assert set(row.segments.tolist()) != {1}
    for objective in (span_corruption(SENTINELS, END), fill_in_the_middle(PREFIX, MIDDLE, SUFFIX, END)):
        with pytest.raises(UserError, match="are for contiguous rows"):
            objective(row, Draws(0))


OBJECTIVES: dict[str, tuple[Callable[..., Rows], Objective]] = {
    "causal": (packed, causal),
    "masked": (packed, masked(MASK, 100, SPECIAL)),
    "spans": (contiguous, span_corruption(SENTINELS, END)),
    "middle": (contiguous, fill_in_the_middle(PREFIX, MIDDLE, SUFFIX, END)),
}


def batches(opened: shards.Shards, name: str, steps: range, **options: Any) -> list[dict[str, np.ndarray]]:
    make_rows, objective = OBJECTIVES[name]
    rows = make_rows(opened, "train", 32)
    return [batch(rows, objective, seed=5, step=step, batch_size=6, **options) for step in steps]


def same(one: list[dict[str, np.ndarray]], other: list[dict[str, np.ndarray]]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_resuming_goes_on_with_the_very_next_batch(opened: shards.Shards, name: str) -> None:
    whole = batches(opened, name, range(60))  # about three epochs
    assert not same(whole[:1], whole[1:2])
    for cut in (1, 7, 33):
        assert same(batches(opened, name, range(cut)) + batches(opened, name, range(cut, 60)), whole)
    parts = [batches(opened, name, range(60), rank=rank, ranks=3) for rank in range(3)]
    joined = [{key: np.concatenate([part[n][key] for part in parts]) for key in whole[n]} for n in range(60)]
    assert same(joined, whole)


def test_each_epoch_has_each_row_once_and_masks_it_anew(opened: shards.Shards) -> None:
    make_rows, objective = OBJECTIVES["masked"]
    rows = make_rows(opened, "train", 32)
    steps = [batch(rows, objective, seed=5, step=step, batch_size=1) for step in range(2 * rows.count)]
    texts = [np.where(b["targets"] == IGNORE, b["inputs"], b["targets"]).tobytes() for b in steps]
    assert sorted(texts[: rows.count]) == sorted(texts[rows.count :])
    assert texts[: rows.count] != texts[rows.count :]
    first = dict(zip(texts[: rows.count], steps, strict=False))
    again = sum(
        np.array_equal(first[text]["inputs"], b["inputs"])
        for text, b in zip(texts, steps, strict=True)
        if b is not first[text]
    )
    assert again < rows.count / 4


def test_another_process_draws_the_same(opened: shards.Shards) -> None:
    code = (
        "import hashlib, numpy as np; from pipeline.train.objectives import Draws; d = Draws(1, 2, 3);"
        "print(hashlib.sha256(np.concatenate([d.uniform(5), d.choose(3, 9), [d.below(7)]]).tobytes()).hexdigest()[:16])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    d = Draws(1, 2, 3)
    expected = hashlib.sha256(np.concatenate([d.uniform(5), d.choose(3, 9), [d.below(7)]]).tobytes()).hexdigest()[:16]
    assert done.stdout.strip() == expected


def test_mistakes_are_one_line(opened: shards.Shards) -> None:
    rows = contiguous(opened, "train", 100_000)
    with pytest.raises(UserError, match="has no row of 100,000 tokens"):
        batch(rows, causal, seed=0, step=0, batch_size=4)
    rows = contiguous(opened, "train", 10)
    with pytest.raises(UserError, match="4 rows cannot be split evenly among 3 ranks"):
        batch(rows, causal, seed=0, step=0, batch_size=4, ranks=3)
