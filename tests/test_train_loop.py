"""The loop: it learns, it resumes to the bit, it says what is wrong."""

import json
import math
import resource
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.tokenize import shards as token_shards
from pipeline.train import checkpoint
from pipeline.train.config import TrainConfig
from pipeline.train.export import load_model
from pipeline.train.loop import Progress, TrainResult, find_device, fingerprint, first_model, reproducible, train
from pipeline.train.optim import adamw
from pipeline.train.plot import plot_losses

END, VOCABULARY = 0, 40
TINY = TrainConfig(
    layers=1,
    width=16,
    heads=2,
    kv_heads=1,
    context=8,
    steps=12,
    batch_size=4,
    learning_rate=0.02,
    evaluate_every=4,
    evaluation_tokens=None,
    checkpoint_every=5,
    device="cpu",
    threads=1,
)


class Killed(Exception):
    """Stands for whatever ends a run."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine two OpenMP threads that wait for one another are ten times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents that count upwards from a random token: easy to learn, in shards small enough to be several."""
    dice = np.random.default_rng(0)

    def document() -> NDArray[np.uint16]:
        return ((dice.integers(100) + np.arange(dice.integers(5, 30))) % (VOCABULARY - 1) + 1).astype(np.uint16)

    directory = tmp_path_factory.mktemp("corpus") / "shards"
    documents = [(f"d{i}", document()) for i in range(60)]
    sizes = np.full(VOCABULARY, 3)
    options: dict[str, Any] = {"vocab_size": VOCABULARY, "end_of_text": END, "shard_tokens": 300, "token_bytes": sizes}
    token_shards.write(directory, documents, validation=0.2, **options)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def train_killed_at(
    step: int, config: TrainConfig, corpus: Path, out: Path, kind: type[BaseException] = Killed
) -> None:
    def progress(told: Progress) -> None:
        if told.step == step:
            raise kind

    with pytest.raises(kind):
        train(config, corpus, out, progress=progress)


def test_one_batch_is_learnt_by_heart() -> None:
    model = first_model(replace(TINY, width=32), VOCABULARY)
    optimizer = adamw(model, replace(TINY, weight_decay=0.0))
    tokens = torch.randint(VOCABULARY, (4, 9), generator=torch.Generator().manual_seed(0))
    tokens[:, 0] = torch.arange(4)  # else two rows might begin alike and go on differently
    for _ in range(80):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.01


def test_a_run_learns_and_leaves_its_story(corpus: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    result = train(replace(TINY, width=32, steps=150, evaluate_every=50), corpus, tmp_path, progress=told.append)
    shards = token_shards.open(corpus)

    assert [progress.step for progress in told] == list(range(1, 151))
    assert {progress.steps for progress in told} == {150}
    metrics = lines(tmp_path)
    assert [line["step"] for line in metrics] == list(range(151))
    assert [line["tokens"] for line in metrics] == [step * 4 * 8 for step in range(151)]
    assert [line["step"] for line in metrics if "validation_loss" in line] == [0, 50, 100, 150]
    assert [progress.train_loss for progress in told] == [line["loss"] for line in metrics[1:]]
    assert told[48].validation_loss == metrics[0]["validation_loss"]
    assert told[49].validation_loss == metrics[50]["validation_loss"]

    assert metrics[0]["validation_loss"] == pytest.approx(math.log(VOCABULARY), rel=0.02)
    assert result.validation_loss == metrics[-1]["validation_loss"] < 1.0
    held_out = shards.splits["validation"]
    assert result.bits_per_byte == metrics[-1]["bits_per_byte"]
    assert result.bits_per_byte == pytest.approx(
        result.validation_loss * held_out.tokens / (math.log(2) * held_out.bytes)
    )
    assert result.train_loss == pytest.approx(sum(line["loss"] for line in metrics[-20:]) / 20)
    assert (result.steps, result.tokens_seen) == (150, 4800)
    assert result.parameters == load_model(tmp_path).parameter_count()
    assert result.seconds > 0

    story = json.loads((tmp_path / "result.json").read_text())
    assert "seconds" not in story
    assert TrainResult(**{name: value for name, value in story.items() if name != "fingerprint"}, seconds=0) == replace(
        result, seconds=0
    )
    assert sorted(contents(tmp_path)) == [
        "config.json",
        "loss.png",
        "metrics.jsonl",
        "model.safetensors",
        "result.json",
    ]
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == END


def test_the_exported_model_is_the_one_that_was_measured(corpus: Path, tmp_path: Path) -> None:
    from pipeline.train.evaluation import evaluate

    result = train(TINY, corpus, tmp_path)
    held_out = token_shards.open(corpus).splits["validation"]
    again = evaluate(load_model(tmp_path), held_out, end_of_text=END, batch_size=3)
    assert again.nats_per_token == pytest.approx(result.validation_loss, rel=1e-6)


@pytest.mark.parametrize("at", [3, 5, 9, 10, 12])  # before the first checkpoint, at one, after, at the end
def test_a_killed_run_ends_in_the_same_bytes(corpus: Path, tmp_path: Path, at: int) -> None:
    train(TINY, corpus, tmp_path / "whole")
    train_killed_at(at, TINY, corpus, tmp_path / "killed")
    assert (tmp_path / "killed" / "checkpoint.safetensors").exists() == (at >= 5)
    steps: list[int] = []
    train(TINY, corpus, tmp_path / "killed", progress=lambda told: steps.append(told.step))
    done = {3: 0, 5: 5, 9: 5, 10: 10, 12: 12}[at]
    assert steps == list(range(done + 1, 13))
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cuda_trains_as_the_cpu_does_and_resumes_in_the_same_bytes(corpus: Path, tmp_path: Path, dtype: Any) -> None:
    on_cuda = replace(TINY, device="cuda", dtype=dtype)
    cpu = train(replace(TINY, dtype=dtype), corpus, tmp_path / "cpu")
    assert train(on_cuda, corpus, tmp_path / "whole").validation_loss == pytest.approx(cpu.validation_loss, rel=0.02)
    train_killed_at(9, on_cuda, corpus, tmp_path / "killed")
    train(on_cuda, corpus, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_ctrl_c_leaves_the_last_checkpoint_and_half_a_line_is_cut(corpus: Path, tmp_path: Path) -> None:
    train(TINY, corpus, tmp_path / "whole")
    train_killed_at(7, TINY, corpus, tmp_path / "killed", KeyboardInterrupt)
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 8, "lo')
    (tmp_path / "killed" / ".checkpoint.safetensors.1.tmp").write_bytes(b"half")
    train(TINY, corpus, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_checkpoint_that_is_not_one_means_a_fresh_start(corpus: Path, tmp_path: Path) -> None:
    train(TINY, corpus, tmp_path / "whole")
    for number, damage in enumerate((b"", b"nonsense", None)):
        out = tmp_path / str(number)
        train_killed_at(6, TINY, corpus, out)
        if damage is None:
            (out / "metrics.jsonl").write_bytes(b"")  # shorter than the checkpoint says
        else:
            (out / "checkpoint.safetensors").write_bytes(damage)
        with pytest.warns(UserWarning, match="training starts from the beginning"):  # a note that nobody asked for
            train(TINY, corpus, out)
        assert contents(out) == contents(tmp_path / "whole")


def test_a_finished_run_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    first = train(TINY, corpus, tmp_path)
    before, times = contents(tmp_path), [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    again = train(
        replace(TINY, checkpoint_every=7), corpus, tmp_path, progress=lambda _: pytest.fail("trained"), note=pytest.fail
    )
    assert again == replace(first, seconds=0.0)
    assert contents(tmp_path) == before
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())] == times


def test_other_settings_or_shards_start_afresh_and_say_so(corpus: Path, tmp_path: Path) -> None:
    other = replace(TINY, seed=1)
    train(other, corpus, tmp_path / "whole")
    for name, kill in (("finished", None), ("killed", 6)):
        if kill is None:
            train(TINY, corpus, tmp_path / name)
        else:
            train_killed_at(kill, TINY, corpus, tmp_path / name)
        (tmp_path / name / "mine.txt").write_text("not the trainer's")
        notes: list[str] = []
        train(other, corpus, tmp_path / name, note=notes.append)
        assert [note.partition(": ")[2] for note in notes] == [
            "has a model of another config or other shards; training starts from the beginning"
        ]
        left = contents(tmp_path / name)
        assert left.pop("mine.txt")
        assert left == contents(tmp_path / "whole")


def test_fingerprint_follows_what_decides_the_weights(corpus: Path, tmp_path: Path) -> None:
    before = fingerprint(TINY, corpus)
    assert fingerprint(replace(TINY, checkpoint_every=1), corpus) == before
    assert fingerprint(replace(TINY, learning_rate=0.01), corpus) != before
    (tmp_path / "manifest.json").write_bytes((corpus / "manifest.json").read_bytes() + b" ")
    assert fingerprint(TINY, tmp_path) != before


def test_training_leaves_torch_as_it_was(corpus: Path, tmp_path: Path) -> None:
    def settings() -> tuple[Any, ...]:
        memory: Any = torch.utils.deterministic
        mode = torch.get_deterministic_debug_mode()
        return mode, memory.fill_uninitialized_memory, torch.get_num_threads(), torch.get_rng_state().tolist()

    before = settings()
    train(replace(TINY, threads=before[2] + 1), corpus, tmp_path / "finished")
    train_killed_at(2, TINY, corpus, tmp_path / "killed")
    assert settings() == before
    with reproducible(torch.device("cpu"), before[2] + 1):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == before[2] + 1


def test_bfloat16_trains_close_to_float32_and_resumes(corpus: Path, tmp_path: Path) -> None:
    config = replace(TINY, dtype="bfloat16", steps=40)
    exact = train(replace(config, dtype="float32"), corpus, tmp_path / "float32")
    rounded = train(config, corpus, tmp_path / "bfloat16")
    assert rounded.validation_loss != exact.validation_loss
    assert rounded.validation_loss == pytest.approx(exact.validation_loss, rel=0.05)
    train_killed_at(33, config, corpus, tmp_path / "killed")
    train(config, corpus, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "bfloat16")


def test_clipping_bounds_what_the_optimizer_sees(corpus: Path, tmp_path: Path) -> None:
    train(replace(TINY, steps=2), corpus, tmp_path / "clipped")
    train(replace(TINY, steps=2, grad_clip=None), corpus, tmp_path / "free")
    clipped, free = lines(tmp_path / "clipped"), lines(tmp_path / "free")
    assert clipped[1] == free[1]  # the norm is the one before clipping
    assert (clipped[1]["gradient_norm"] > 1.0) == (clipped[2] != free[2])


def test_a_loss_that_is_no_number_names_what_to_change(corpus: Path, tmp_path: Path) -> None:
    config = replace(TINY, learning_rate=1e30, grad_clip=None, checkpoint_every=1)
    with pytest.raises(UserError, match=r"at step \d+ the loss is .*lower train\.learning_rate") as caught:
        train(config, corpus, tmp_path)
    assert "\n" not in str(caught.value)
    assert all(math.isfinite(line["loss"]) for line in lines(tmp_path)[1:])
    assert not (tmp_path / "result.json").exists()


def test_what_the_user_can_mend_is_told_before_anything_is_written(corpus: Path, tmp_path: Path) -> None:
    out, tokens = tmp_path / "out", token_shards.open(corpus).splits["train"].tokens
    with pytest.raises(UserError, match=rf"has {tokens:,} tokens, but a window needs .* = {tokens + 1:,}"):
        train(replace(TINY, context=tokens), corpus, out)
    with pytest.raises(UserError, match=r"manifest\.json"):
        train(TINY, tmp_path / "nowhere", out)
    assert not out.exists()
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r'train\.device = "cuda"'):
            find_device("cuda")
    assert find_device("cpu").type == "cpu"


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    model, file = first_model(TINY, VOCABULARY), tmp_path / "checkpoint.safetensors"
    checkpoint.save(file, model, adamw(model, TINY), {"step": 1})
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoint.save(file, model, adamw(model, TINY), {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    assert checkpoint.read_state(file) == {"step": 1}


def test_the_picture_is_the_same_bytes_and_shows_the_losses(tmp_path: Path) -> None:
    first: dict[str, Any] = {"step": 0, "tokens": 0, "validation_loss": 9.0, "bits_per_byte": 3.0}
    steps: list[dict[str, Any]] = [{"step": i, "tokens": i * 2048, "loss": 9 - 3 * i / 100} for i in range(1, 101)]
    steps[-1] |= {"validation_loss": 6.1, "bits_per_byte": None}
    metrics = tmp_path / "metrics.jsonl"
    pictures = []
    for number, story in enumerate((steps, [first, *steps], [first, *steps], [first])):
        metrics.write_text("".join(json.dumps(line) + "\n" for line in story))
        plot_losses(metrics, tmp_path / f"{number}.png")
        pictures.append((tmp_path / f"{number}.png").read_bytes())
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert pictures[1] == pictures[2]
    assert len(set(pictures)) == 3
    assert not any(stamp in pictures[1] for stamp in (b"tEXt", b"tIME", b"iTXt"))


def test_damaged_shards_are_refused(corpus: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(corpus, shards)
    file = shards / "train-00001.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=r"train-00001\.npy: damaged \(its checksum does not match the manifest\)"):
        train(TINY, shards, tmp_path / "out")
    file.write_bytes(whole)
    assert train(replace(TINY, steps=1), shards, tmp_path / "out").steps == 1
