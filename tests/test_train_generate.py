"""Drawing tokens from a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import UserError
from pipeline.train.export import export_model
from pipeline.train.generate import generate, generate_text
from pipeline.train.model import ModelConfig, Transformer

VOCABULARY = 12


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine two OpenMP threads that wait for one another are ten times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    shape = {"vocab_size": VOCABULARY, "layers": 1, "width": 16, "heads": 2, "kv_heads": 1, "hidden": 32, "context": 6}
    model = Transformer(ModelConfig(**shape, tie_embeddings=False))
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(15 if weights.ndim > 1 else 1)
    return model


def draw(model: Transformer, tokens: list[int], **options: Any) -> list[int]:
    return list(generate(model, tokens, **({"max_new_tokens": 20} | options)))


def scores(model: Transformer, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        row: torch.Tensor = model(torch.tensor([tokens[-6:]]))[0, -1]  # the last of the context's six tokens
    return row


def test_temperature_zero_takes_the_likeliest_token(model: Transformer) -> None:
    wanted = [3, 1]
    for _ in range(20):
        wanted.append(int(scores(model, wanted).argmax()))
    assert draw(model, [3, 1], temperature=0.0) == wanted[2:]
    assert draw(model, [3, 1], temperature=0.0, seed=9) == wanted[2:]
    assert draw(model, [3, 1], temperature=1e-6) == wanted[2:]  # the limit, and no overflow
    assert draw(model, [3, 1], top_k=1) == wanted[2:]


def test_same_seed_same_tokens_and_the_prompt_is_left_alone(model: Transformer) -> None:
    prompt, dice = [1, 2], torch.get_rng_state()
    assert draw(model, prompt, seed=4) == draw(model, prompt, seed=4) != draw(model, prompt, seed=5)
    assert prompt == [1, 2]
    assert torch.equal(torch.get_rng_state(), dice)


def test_frequencies_are_softmax_of_logits_over_temperature_among_the_top(model: Transformer) -> None:
    """All weights zeroed but one way through, so that the logits are the same after every token."""
    constant = Transformer(model.config)
    logits = torch.linspace(-2, 2, VOCABULARY)
    with torch.no_grad():
        for weights in constant.parameters():
            weights.zero_()
        constant.embedding.weight.fill_(1.0)  # normed to ones, read by the head's first column
        constant.norm.weight.fill_(1.0)
        assert constant.head is not None
        constant.head.weight[:, 0] = logits
    for temperature, top_k in ((1.0, None), (2.5, None), (2.5, 3), (1.0, VOCABULARY), (1.0, 99)):
        wanted = (logits / temperature).softmax(0)
        wanted[: VOCABULARY - min(top_k or VOCABULARY, VOCABULARY)] = 0
        wanted /= wanted.sum()
        drawn = draw(constant, [5], max_new_tokens=1000, temperature=temperature, top_k=top_k)
        shares = torch.bincount(torch.tensor(drawn), minlength=VOCABULARY) / 1000
        assert (shares - wanted).abs().max() < 0.06  # four deviations of a share of a half
        assert shares[wanted == 0].sum() == 0


def test_it_stops_before_the_end_of_text(model: Transformer) -> None:
    free = draw(model, [3], seed=1)
    assert len(free) == 20
    assert draw(model, [3], seed=1, end_of_text=free[4]) == free[: free.index(free[4])]
    assert draw(model, [3], max_new_tokens=0) == []


@pytest.mark.parametrize(
    ("tokens", "options", "message"),
    [
        ([], {}, "one or more token ids from 0 to 11"),
        ([0, 12], {}, "one or more token ids from 0 to 11"),
        ([-1], {}, "one or more token ids from 0 to 11"),
        ([1], {"temperature": -0.1}, "temperature = -0.1"),
        ([1], {"temperature": float("nan")}, "temperature = nan"),
        ([1], {"top_k": 0}, "top_k = 0"),
    ],
)
def test_bad_settings_are_told_at_once(
    model: Transformer, tokens: list[int], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        generate(model, tokens, max_new_tokens=1, **options)  # without taking a single token
    assert draw(model, [0, 11], temperature=0.0, max_new_tokens=1)


def test_generate_text_begins_a_document(model: Transformer, tmp_path: Path) -> None:
    export_model(model, tmp_path, end_of_text=11)
    letters = "abcdefghijk"

    def text(prompt: str, seed: int) -> str:
        return generate_text(
            tmp_path,
            prompt,
            encode=lambda text: [letters.index(letter) for letter in text],
            decode=lambda tokens: "".join(letters[token] for token in tokens),
            max_new_tokens=8,
            seed=seed,
        )

    for seed in range(5):
        drawn = draw(model, [11, 1, 0], max_new_tokens=8, temperature=0.8, top_k=50, seed=seed, end_of_text=11)
        assert text("ba", seed) == "".join(letters[token] for token in drawn)
    assert text("", 0) is not None
