"""Ablations: what a difference is worth, that all but the data is held fixed, and that a comparison goes on where it was."""

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import app as main
from pipeline.config_file import load
from pipeline.core.plain_values import plain_values
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.run.run import retrained
from pipeline.run.runner import run
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import Tokenizer
from pipeline.tools.ablate import Ablation, ablate, encoded, first_bytes
from pipeline.train.ablation import Arm, compare, train_all
from pipeline.train.config import TrainConfig
from pipeline.train.data import Tokens
from pipeline.train.evaluation import evaluate
from pipeline.train.export import load_model

END = 0
TINY = TrainConfig(
    layers=1,
    width=16,
    heads=2,
    kv_heads=1,
    context=8,
    steps=10,
    batch_size=4,
    evaluate_every=5,
    device="cpu",
    threads=1,
)


@pytest.mark.parametrize(
    ("one", "other", "mean", "reach"),
    [
        ([1.0, 1.2, 1.4], [1.1, 1.3, 1.5], -0.1, 0.0),
        ([1.0, 1.0], [1.1, 1.3], -0.2, 12.706 * 0.1),  # of -0.1 and -0.3: deviation 0.1414, over the root of 2
        ([3.0, 1.0, 2.0], [1.0, 1.0, 1.0], 1.0, 4.303 / math.sqrt(3)),
    ],
)
def test_a_difference_is_taken_seed_by_seed(one: list[float], other: list[float], mean: float, reach: float) -> None:
    found = compare(one, other)
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((mean - reach, mean + reach))
    assert found.significant == (reach < abs(mean))


def test_one_seed_shows_nothing() -> None:
    assert not compare([1.0], [9.0]).significant


@contextmanager
def silent(what: str) -> Iterator[None]:
    yield


def corpus(folder: Path, step: int) -> Path:
    """Documents that count upwards in steps."""
    dice = np.random.default_rng(0)
    documents = ((str(n), (dice.integers(39) + np.arange(30) * step) % 39 + 1) for n in range(60))
    shards.write(folder, documents, vocab_size=40, end_of_text=END)
    return folder


def test_the_data_that_is_like_the_texts_wins(tmp_path: Path) -> None:
    held_out = Tokens(np.concatenate([(np.arange(30) + n) % 39 + 1 for n in range(5)]), bytes=150)
    arms = [Arm(name=f"by-{step}", shards=corpus(tmp_path / f"by-{step}", step), held_out=held_out) for step in (1, 2)]
    config = replace(TINY, learning_rate=0.02)
    found = train_all(arms, config, tmp_path / "out", seeds=2, training=silent)
    one, two = ([result.bits_per_byte or 0.0 for result in found[arm.name]] for arm in arms)
    assert max(one) < min(two)
    model = load_model(tmp_path / "out" / "by-1" / "seed-1")
    assert evaluate(model, held_out, end_of_text=END).bits_per_byte == pytest.approx(one[1], rel=1e-6)

    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert [r.seconds for r in train_all(arms, config, tmp_path / "out", seeds=2, training=silent)["by-1"]] == [0, 0]
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*") if file.is_file()} == before
    other = replace(arms[0], held_out=Tokens(held_out.ids[::-1].copy(), bytes=150))
    notes: list[str] = []
    [again] = train_all([other], config, tmp_path / "out", seeds=1, training=silent, note=notes.append)["by-1"]
    assert len(notes) == 1
    assert "training starts from the beginning" in notes[0]
    assert again.bits_per_byte != one[0]  # other texts are another comparison


def test_seeds_and_texts_are_checked(tmp_path: Path) -> None:
    arm = Arm(name="a", shards=tmp_path, held_out=Tokens(np.zeros(0, np.int64), bytes=0))
    with pytest.raises(UserError, match="11 seeds; the number must be 1 to 10"):
        train_all([arm], TINY, tmp_path, seeds=11, training=silent)
    with pytest.raises(UserError, match="the held-out texts are empty"):
        train_all([arm], TINY, tmp_path, seeds=1, training=silent)


def test_whole_texts_up_to_a_size() -> None:
    arrays = [pa.array(["abc", "déf"], pa.large_string()), pa.array(["ghi", "jkl"], pa.large_string())]
    for size, count in ((1, 1), (3, 1), (4, 2), (7, 2), (8, 3), (10, 3), (11, 4), (99, 4)):
        assert first_bytes(iter(arrays), size).to_pylist() == ["abc", "déf", "ghi", "jkl"][:count]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, config_file: Path) -> list[Path]:
    """A run, and one of half its input with the first one's tokenizer."""
    folder = tmp_path_factory.mktemp("runs")
    half = [
        f'input.paths=["{config_file.parent}/input/one.warc.gz"]',
        f"tokenizer.file={folder}/a/tokenizer/tokenizer.json",
    ]
    for name, sets in (("a", []), ("b", half)):
        config = load(config_file, sets)
        run(folder / name, config, workers=1, engine="local", until="shards", reporter=Quiet())
    return [folder / "a", folder / "b"]


def test_runs_are_compared(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = pq.read_table(min((runs[0] / "clean").glob("*.parquet")))["text"].to_pylist()
    texts = [
        "A text of our own that no page has, and that is long enough to be measured on.",
        clean[0],
        clean[1].upper(),
    ]
    (tmp_path / "on.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (tmp_path / "more.txt").write_text("Another source.\n")

    def compared(reporter: Quiet) -> Ablation:
        config = retrained(runs[0], ["train.steps=3", "train.threads=1"]).train
        on = [str(tmp_path / "on.jsonl"), str(tmp_path / "more.txt")]
        return ablate(tmp_path / "out", runs, on, seeds=2, size=20_000, config=config, reporter=reporter)

    reporter = Quiet()
    report = compared(reporter)
    assert reporter.notes[0] == f"2 of the 4 held-out texts are in {runs[0]}: its figures are too good"
    assert reporter.notes[-4:] == ["0-a, seed 0", "1-b, seed 0", "0-a, seed 1", "1-b, seed 1"]
    assert (report.documents, report.bytes) == (4, sum(len(t.encode()) for t in texts) + 16)
    first, second = report.arms
    assert first.epochs == pytest.approx(3 * 4 * 32 / first.tokens)
    [difference] = report.against_first
    assert difference.mean == pytest.approx(np.mean(second.bits_per_byte) - np.mean(first.bits_per_byte))
    assert json.loads((tmp_path / "out" / "ablation.json").read_text()) == plain_values(report)
    assert (tmp_path / "out" / "ablation.png").read_bytes()[:4] == b"\x89PNG"
    assert compared(Quiet()) == report

    with pytest.raises(SystemExit) as stop:
        main(
            [
                *("ablate", str(tmp_path / "out"), str(runs[0]), str(runs[1]), "--on", str(tmp_path / "on.jsonl")),
                *("--seeds", "1", "--set", "train.steps=2", "--set", "train.threads=1"),
            ]
        )
    assert stop.value.code == 0
    assert "one seed" in capsys.readouterr().out


def test_texts_stand_as_in_shards(runs: list[Path]) -> None:
    tokenizer = Tokenizer.from_file(runs[0] / "tokenizer")
    tokens = encoded(tokenizer, pa.array(["one two", "three"], pa.large_string()))
    end = tokenizer.end_of_text
    assert tokens.ids.tolist() == [*tokenizer.encode("one two"), end, *tokenizer.encode("three"), end]
    assert tokens.bytes == 12


def test_what_cannot_be_compared_is_said_first(runs: list[Path], tmp_path: Path) -> None:
    config = retrained(runs[0], []).train
    (tmp_path / "on.txt").write_text("Words.\n")

    def attempt(*others: Path, on: str = "on.txt") -> None:
        ablate(tmp_path / "out", others, [str(tmp_path / on)], seeds=1, size=9, config=config, reporter=Quiet())

    with pytest.raises(UserError, match="name two runs or more"):
        attempt(runs[0])
    with pytest.raises(UserError, match="no such file"):
        attempt(*runs, on="none.txt")
    with pytest.raises(UserError, match=r"--set tokenizer.vocab_size=9: only train.\* can be set here"):
        retrained(runs[0], ["tokenizer.vocab_size=9"])
    shutil.copytree(runs[0], tmp_path / "a")
    (tmp_path / "a" / "shards" / "train-00000.npy").unlink()
    with pytest.raises(UserError, match="has no finished shards"):
        attempt(runs[0], tmp_path / "a")
    assert not (tmp_path / "out").exists()
