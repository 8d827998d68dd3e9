"""Which window comes when, and the validation loss in bits per byte."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.train.batches import batch, contiguous_rows
from pipeline.train.data import Tokens, window_count, window_order
from pipeline.train.evaluation import bits_per_byte, evaluate
from pipeline.train.model import ModelConfig, Transformer
from pipeline.train.objectives import causal


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine two OpenMP threads that wait for one another are ten times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Numbers:
    """A split whose token at place p is p itself (modulo `vocabulary`), so that a batch tells where it was read."""

    def __init__(self, tokens: int, *, vocabulary: int = 60_000, text_bytes: int = 1000) -> None:
        self.tokens, self.bytes, self.vocabulary = tokens, text_bytes, vocabulary

    def read(self, start: int, length: int) -> NDArray[np.uint16]:
        assert 0 <= start <= start + length <= self.tokens
        return (np.arange(start, start + length) % self.vocabulary).astype(np.uint16)


@pytest.mark.parametrize(("tokens", "windows"), [(0, 0), (1, 0), (8, 0), (9, 1), (16, 1), (17, 2), (801, 100)])
def test_window_count(tokens: int, windows: int) -> None:
    assert window_count(tokens, 8) == windows


def test_each_epoch_sees_each_window_once_in_another_order() -> None:
    rows, epochs = contiguous_rows(Numbers(20 * 8 + 5), 8), 3
    starts = []
    for step in range(epochs * 5):  # 20 windows in batches of 4
        arrays = batch(rows, causal, seed=3, step=step, batch_size=4)
        inputs, targets = arrays["inputs"], arrays["targets"]
        assert inputs.dtype == targets.dtype == np.int64
        assert inputs.shape == targets.shape == (4, 8)
        assert (targets == inputs + 1).all()
        assert (inputs - inputs[:, :1] == np.arange(8)).all()
        starts += inputs[:, 0].tolist()
    orders = [starts[epoch * 20 : (epoch + 1) * 20] for epoch in range(epochs)]
    assert all(sorted(order) == list(range(0, 160, 8)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_batches_straddle_epochs_without_loss() -> None:
    rows = contiguous_rows(Numbers(7 * 8 + 1), 8)

    def starts(step: int, batch_size: int) -> list[int]:
        first: list[int] = batch(rows, causal, seed=0, step=step, batch_size=batch_size)["inputs"][:, 0].tolist()
        return first

    assert Counter(start for step in range(7) for start in starts(step, 5)) == dict.fromkeys(range(0, 56, 8), 5)
    assert Counter(starts(2, 21)) == dict.fromkeys(range(0, 56, 8), 3)  # one batch, three whole epochs


def test_order_depends_on_the_seed_and_is_fixed_for_ever() -> None:
    assert window_order(0, 0, 10).tolist() != window_order(1, 0, 10).tolist()
    assert window_order(0, 0, 10).tolist() == [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]


def test_too_few_tokens_have_no_row() -> None:
    batch(contiguous_rows(Numbers(9), 8), causal, seed=0, step=0, batch_size=2)
    with pytest.raises(UserError, match="has no row of 8 tokens"):
        batch(contiguous_rows(Numbers(8), 8), causal, seed=0, step=0, batch_size=2)


def test_texts_in_memory_know_their_documents() -> None:
    for ids, expected in (([5, 6, 0, 7, 0, 0], [(0, 3), (3, 2), (5, 1)]), ([], []), ([5], [])):
        starts, lengths = Tokens(np.array(ids, np.int64), bytes=1).documents(0)
        assert list(zip(starts.tolist(), lengths.tolist(), strict=True)) == expected


def small_model() -> Transformer:
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": 30,
        "layers": 1,
        "width": 16,
        "heads": 2,
        "kv_heads": 1,
        "hidden": 16,
        "context": 8,
    }
    model = Transformer(ModelConfig(**shape))
    with torch.no_grad():
        model.embedding.weight.mul_(30)
    return model


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 24, 29, 64, 65, 100])
def test_evaluation_scores_every_token_once(count: int) -> None:
    model, split = small_model(), Numbers(count, vocabulary=30, text_bytes=3 * count)
    stream = [4, *(place % 30 for place in range(count))]
    nats = 0.0
    for start in range(0, count, 8):
        window = stream[start : min(start + 8, count) + 1]
        scores = model(torch.tensor([window[:-1]]))[0].log_softmax(-1)
        nats -= sum(scores[place, token].item() for place, token in enumerate(window[1:]))
    found = evaluate(model, split, end_of_text=4, batch_size=2)
    assert found.tokens == count
    assert found.nats_per_token == pytest.approx(nats / count, rel=1e-5)
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / (3 * count), rel=1e-5)


def test_evaluation_of_a_part_takes_its_share_of_the_bytes() -> None:
    model, split = small_model(), Numbers(100, vocabulary=30, text_bytes=700)
    part, whole = (evaluate(model, split, end_of_text=4, tokens=tokens) for tokens in (40, 100))
    assert (part.tokens, whole.tokens) == (40, 100)
    assert part.bits_per_byte == pytest.approx(part.nats_per_token / math.log(2) / 7)
    assert evaluate(model, split, end_of_text=4, tokens=101) == whole == evaluate(model, split, end_of_text=4)
    assert evaluate(model, split, end_of_text=5, tokens=40) != part  # the first token is scored after an end-of-text


def test_bits_per_byte() -> None:
    assert bits_per_byte(100 * math.log(256), 100) == pytest.approx(8)  # one byte a token, all equally likely
    assert bits_per_byte(math.log(2), 4) == pytest.approx(0.25)


def test_an_empty_validation_split_is_the_users_error() -> None:
    with pytest.raises(UserError, match="validation split is empty"):
        evaluate(small_model(), Numbers(0), end_of_text=0)


def test_unknown_bytes_give_no_bits() -> None:
    assert evaluate(small_model(), Numbers(9, vocabulary=30, text_bytes=0), end_of_text=0).bits_per_byte is None
