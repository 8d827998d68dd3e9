"""The trainer's objectives and packings: the default is the plain loop, each is learnt, and masks hold in the model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from pipeline.errors import UserError
from pipeline.tokenize import shards as token_shards
from pipeline.train.ablation import Arm, train_all
from pipeline.train.batches import Rows, Task, batch, task_of
from pipeline.train.config import TrainConfig
from pipeline.train.data import Tokens, window_order
from pipeline.train.export import export_model
from pipeline.train.loop import first_model, reproducible, train
from pipeline.train.objectives import IGNORE
from pipeline.train.optim import adamw, learning_rate

END, VOCABULARY = 0, 40
TINY = TrainConfig(
    layers=1,
    width=32,
    heads=2,
    kv_heads=1,
    context=24,
    steps=5,
    batch_size=4,
    learning_rate=0.02,
    evaluate_every=5,
    evaluation_tokens=100,
    device="cpu",
    threads=1,
)
TASKS: dict[str, dict[str, Any]] = {
    "causal": {},
    "packed": {"packing": "best-fit"},
    "masked": {"objective": "masked"},
    "masked and packed": {"objective": "masked", "packing": "best-fit"},
    "spans": {"objective": "span-corruption"},
    "middle": {"objective": "fill-in-the-middle"},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine two OpenMP threads that wait for one another are ten times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dice = np.random.default_rng(0)
    documents = [(f"d{n}", dice.integers(1, VOCABULARY, dice.integers(5, 30))) for n in range(60)]
    folder = tmp_path_factory.mktemp("objectives") / "shards"
    options: dict[str, Any] = {"vocab_size": VOCABULARY, "end_of_text": END, "validation": 0.2}
    token_shards.write(folder, documents, token_bytes=np.full(VOCABULARY, 3), **options)
    return folder


def rows_of(task: Task, corpus: Path) -> Rows:
    opened = token_shards.open(corpus)
    table = opened.documents("train")
    places = table["start"].to_numpy(), table["length"].to_numpy()
    return task.rows(opened.splits["train"], lambda: places, name="train")


def tensors(task: Task, arrays: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    sees = task.sees(arrays)
    mask = None if sees is None else torch.from_numpy(sees)
    return torch.from_numpy(arrays["inputs"]), torch.from_numpy(arrays["targets"]), mask


def test_the_default_is_the_plain_loop_to_the_bit(corpus: Path, tmp_path: Path) -> None:
    """Windows of the stream, side by side, in the order of the seed; the model sees what comes before."""
    train(TINY, corpus, tmp_path / "out")
    stream = token_shards.open(corpus).splits["train"]
    windows = (stream.tokens - 1) // TINY.context
    losses = []
    with reproducible(torch.device("cpu"), 1):
        model = first_model(TINY, VOCABULARY)
        optimizer = adamw(model, TINY)
        for step in range(TINY.steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, TINY)
            places = [divmod(place, windows) for place in range(step * 4, step * 4 + 4)]
            numbers = [int(window_order(TINY.seed, epoch, windows)[rank]) for epoch, rank in places]
            tokens = torch.from_numpy(np.stack([stream.read(n * 24, 25).astype(np.int64) for n in numbers]))
            loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1).float(), tokens[:, 1:].flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines[1:]] == losses
    (tmp_path / "plain").mkdir()
    export_model(model, tmp_path / "plain", end_of_text=END)
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize("name", TASKS)
def test_one_batch_of_each_is_learnt_by_heart(corpus: Path, name: str) -> None:
    config = replace(TINY, learning_rate=0.005, **TASKS[name])  # at 0.02 the loss jumps, on some CPUs at the end
    task = task_of(config, VOCABULARY, END)
    arrays = batch(rows_of(task, corpus), task.objective, seed=0, step=0, batch_size=1)
    assert arrays["inputs"].shape[1] <= config.context
    assert arrays["inputs"].max() < task.vocab_size
    inputs, targets, mask = tensors(task, arrays)
    assert (targets != IGNORE).any()
    model = first_model(config, task.vocab_size)
    optimizer = adamw(model, replace(config, weight_decay=0.0))
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs, mask).flatten(0, 1), targets.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.02


@pytest.mark.parametrize("name", TASKS)
def test_the_loop_trains_and_resumes_each_to_the_bit(corpus: Path, tmp_path: Path, name: str) -> None:
    config = replace(TINY, **TASKS[name], checkpoint_every=2)
    result = train(config, corpus, tmp_path / "whole")
    assert (result.bits_per_byte is None) == (name != "causal")
    assert 0 < result.validation_loss < 6

    def stop(told: Any) -> None:
        if told.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, corpus, tmp_path / "killed", progress=stop)
    train(config, corpus, tmp_path / "killed")
    for file in ("model.safetensors", "metrics.jsonl", "result.json"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    special = {"masked": 1, "masked and packed": 1, "spans": 1, "middle": 3}.get(name, 0)
    weights = load_file(tmp_path / "whole" / "model.safetensors")["model.embed_tokens.weight"]
    assert len(weights) == VOCABULARY + special


@pytest.mark.parametrize("objective", ["causal", "masked"])
def test_documents_of_a_packed_row_do_not_see_one_another(corpus: Path, objective: Any) -> None:
    config = replace(TINY, packing="best-fit", objective=objective)
    task = task_of(config, VOCABULARY, END)
    rows = rows_of(task, corpus)
    batches = [batch(rows, task.objective, seed=0, step=step, batch_size=1) for step in range(rows.count)]
    arrays = next(arrays for arrays in batches if arrays["segments"].max() > 1)
    inputs, _, mask = tensors(task, arrays)
    assert mask is not None
    model = first_model(config, task.vocab_size)
    first = arrays["segments"][0] == 1
    changed = inputs.clone()
    changed[0, first] = (changed[0, first] + 1) % VOCABULARY
    before, after = model(inputs, mask)[0], model(changed, mask)[0]
    assert torch.equal(before[~first], after[~first])
    assert not torch.equal(before[first], after[first])
    # What a document's tokens score is what they score alone, up to rounding: rotary positions are relative.
    second = np.flatnonzero(arrays["segments"][0] == 2)
    alone = mask[:, second][:, :, second]
    torch.testing.assert_close(model(inputs[:, second], alone)[0], before[second], rtol=1e-4, atol=1e-5)
    size = len(second)
    assert alone.sum() == (size * size if objective == "masked" else size * (size + 1) / 2)


def test_masked_tokens_see_both_sides(corpus: Path) -> None:
    config = replace(TINY, objective="masked")
    task = task_of(config, VOCABULARY, END)
    inputs, _, mask = tensors(task, batch(rows_of(task, corpus), task.objective, seed=0, step=0, batch_size=2))
    assert mask is not None
    assert mask.all()
    model = first_model(config, task.vocab_size)
    changed = inputs.clone()
    changed[:, -1] = (changed[:, -1] + 1) % VOCABULARY
    assert not torch.equal(model(inputs, mask)[:, 0], model(changed, mask)[:, 0])
    assert torch.equal(model(inputs)[:, 0], model(changed)[:, 0])


@pytest.mark.parametrize("context", [5, 6, 24, 100, 512])
def test_a_corrupted_row_fills_the_context(context: int) -> None:
    config = replace(TINY, objective="span-corruption", context=context)
    task = task_of(config, VOCABULARY, END)
    split = Tokens(np.arange(2000) % 39 + 1, bytes=1)
    rows = task.rows(split, lambda: pytest.fail("asked for documents"), name="train")
    arrays = batch(rows, task.objective, seed=0, step=0, batch_size=2)
    assert context - 2 <= arrays["inputs"].shape[1] <= context
    assert arrays["inputs"].max() < task.vocab_size
    for inputs, targets in zip(arrays["inputs"], arrays["targets"], strict=True):
        first = int(np.flatnonzero(targets != IGNORE)[0])
        assert (inputs[first], targets[first]) == (END, VOCABULARY)  # the end of the text, then the first sentinel
        assert (targets[first:] != IGNORE).all()
        assert targets[-1] == END


def test_validation_of_texts_in_memory_is_packed_too(corpus: Path, tmp_path: Path) -> None:
    ids = np.concatenate([[*(np.arange(n) % 39 + 1), END] for n in (3, 9, 30)])
    result = train(replace(TINY, packing="best-fit"), corpus, tmp_path / "o", validation=Tokens(ids, bytes=42))
    assert 0 < result.validation_loss < 6


def test_mistakes_are_found_before_any_work(corpus: Path, tmp_path: Path) -> None:
    short = Tokens(np.array([1, END]), bytes=1)
    for name in ("masked", "spans", "middle"):
        with pytest.raises(UserError, match=r"the validation split has .* lower train\.context or add text"):
            train(replace(TINY, **TASKS[name]), corpus, tmp_path / "o", validation=short)
    with pytest.raises(UserError, match="the validation split has no document"):
        train(replace(TINY, packing="best-fit"), corpus, tmp_path / "o", validation=Tokens(np.array([END]), bytes=1))
    arms = [Arm(name="a", shards=corpus, held_out=short)]
    with pytest.raises(UserError, match="compares bits per byte"):
        train_all(arms, replace(TINY, objective="masked"), tmp_path / "o", seeds=1, training=pytest.fail)
    assert not (tmp_path / "o").exists()
