import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.filters.classifier import GOOD, Options, QualityClassifier
from pipeline.filters.kernels.normalize import normalize
from pipeline.filters.language import Prediction
from pipeline.tools.models import train_classifier
from pipeline.tools.text_sources import PASSAGE, read_texts

WORDS = ["river", "garden", "winter", "letter", "market", "window", "summer", "village", "teacher", "engine", "bridge"]
BAD = ["cheap", "pills", "casino", "click", "here", "free", "offer", "login", "cart", "price"]
SMALL: Any = {
    "normalization": "words",
    "epochs": 20,
    "buckets": 1000,
    "dimensions": 4,
    "word_ngrams": 1,
    "learning_rate": 0.5,
    "held_out": 0.1,
}


def texts(seed: int, count: int, words: list[str]) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=20)) for _ in range(count)]


@pytest.fixture(scope="module")
def model() -> QualityClassifier:
    return QualityClassifier.train(texts(1, 200, WORDS), texts(2, 260, BAD), 7, Options(**SMALL))


@pytest.mark.parametrize(
    ("normalization", "keep_lines", "text", "expected"),
    [
        ("whitespace", False, "  Don't\t panic!\r\n\nAt 3.14\u2028x\x00y ", "Don't panic! At 3.14 x y"),
        ("whitespace", True, "  Don't\t panic!\r\n \nAt 3.14\u2028x ", "Don't panic!\nAt 3.14\nx"),
        ("lowercase", False, "ÀB\u00a0İ K", "àb i k"),
        ("words", False, "Don't panic! At 3.14: ١٢ x_y", "don t panic at 0 00 00 x y"),
        ("words", True, "\n--\nA. \n\n ... \nb-c\n", "a\nb c"),
        ("words", False, "我是cat、ガー です", "我 是 cat ガ ー で す"),
        ("words", False, "น้ำ e\u0301 \u0301x", "น้ ำ e\u0301 x"),
        ("words", False, "?!", ""),
        ("words", False, "", ""),
        ("words", False, None, None),
    ],
)
def test_normalize(normalization: str, keep_lines: bool, text: str | None, expected: str | None) -> None:
    around = ["Before", text, None, "After all"]
    found = normalize(pa.array(around, pa.string()).slice(1, 2), normalization, keep_lines=keep_lines)
    assert found.to_pylist() == [expected, None]


def test_normalize_knows_its_names() -> None:
    with pytest.raises(
        UserError, match=r"unknown normalization 'word' \(did you mean words\?\); known: whitespace, lowercase, words"
    ):
        normalize(["a"], "word")


def test_it_tells_what_it_was_trained_to_tell(model: QualityClassifier) -> None:
    report = model.report
    assert (report.training, report.held_out) == (360, 40)
    assert (report.precision, report.recall) == (1.0, 1.0)
    assert sum(report.good) == sum(report.bad) == 20
    sample = [WORDS[0] + " " + WORDS[1], "Casino! Free pills.", "?!", "", None]
    good, bad, *undefined = model.scores(sample)
    assert good > 0.9
    assert bad < 0.1
    assert np.isnan(undefined).all()
    first, second, *others = model.predict(sample)
    assert (first.label, first.score) == ("good", good)
    assert second.label == "bad"
    assert second.score == pytest.approx(1 - bad, abs=1e-4)
    assert others == [Prediction("und", 0.0)] * 3


def test_the_same_texts_give_the_same_bytes(tmp_path: Path, model: QualityClassifier) -> None:
    """In any order, from strings or from Arrow."""
    good, bad = texts(1, 200, WORDS), texts(2, 260, BAD)
    again = QualityClassifier.train(pa.array(good[::-1]), iter(bad[::-1]), 7, Options(**SMALL))
    other = QualityClassifier.train(good, bad, 8, Options(**SMALL))
    files = {}
    for name, trained in (("model", model), ("again", again), ("other", other)):
        trained.save(tmp_path / name)
        files[name] = ((tmp_path / name).read_bytes(), (tmp_path / f"{name}.json").read_bytes())
    assert files["model"] == files["again"]
    assert files["model"][0] != files["other"][0]


def test_loaded_again(tmp_path: Path, model: QualityClassifier) -> None:
    model.save(tmp_path / "m.bin")
    loaded = QualityClassifier.load(tmp_path / "m.bin")
    assert loaded.report == model.report
    assert (loaded.label, loaded.normalization) == (GOOD, "words")
    sample = texts(3, 5, WORDS + BAD)
    assert (loaded.scores(sample) == model.scores(pa.array(sample))).all()
    assert loaded.predict(sample) == model.predict(pa.array(sample))
    turned = QualityClassifier.load(tmp_path / "m.bin", label="bad").scores(sample)
    assert turned == pytest.approx(1 - model.scores(sample), abs=1e-4)
    with pytest.raises(UserError, match="no label better; it has: .*good"):
        QualityClassifier.load(tmp_path / "m.bin", label="better")
    described = tmp_path / "m.bin.json"
    described.write_text(described.read_text().replace('"normalization": "words"', '"spelling": "words"'))
    with pytest.raises(UserError, match="m.bin: trained by an earlier version; train it again"):
        QualityClassifier.load(tmp_path / "m.bin")
    described.unlink()
    plain = QualityClassifier.load(tmp_path / "m.bin")
    assert plain.normalization == "whitespace"
    with pytest.raises(UserError, match="no report"):
        _ = plain.report


def test_a_text_cannot_label_itself(model: QualityClassifier) -> None:
    marked = [f"__label__bad {text}" for text in texts(1, 60, WORDS)]
    trained = QualityClassifier.train(marked, texts(2, 60, BAD), 7, Options(**SMALL | {"normalization": "whitespace"}))
    assert sorted(trained._labels) == ["__label__bad", "__label__good"]
    assert trained.report.recall == 1.0


def test_too_few_texts() -> None:
    with pytest.raises(UserError, match="1 positive texts"):
        QualityClassifier.train(["a a", "A, a!", "."], ["b", "c", "d"], 1)


def test_sources_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * (PASSAGE - 1) + "\n" + "one two\n" + "rest\n")
    with gzip.open(tmp_path / "b.txt.gz", "wt") as file:
        file.write("packed")
    (tmp_path / "c.jsonl").write_text(json.dumps({"body": "a line"}) + "\n\n" + json.dumps({"body": " "}) + "\n")
    pq.write_table(pa.table({"body": ["a row", None]}), tmp_path / "d.parquet")
    names = [str(tmp_path / name) for name in ("?.txt", "b.txt.gz", "c.jsonl", "d.parquet")]
    found = [text for array in read_texts(names, text="body") for text in array.to_pylist()]
    assert found == ["word " * (PASSAGE - 1) + "\none two\n", "rest\n", "packed", "a line", "a row"]


def test_sources_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("x")
    (tmp_path / "x.jsonl").write_text('{"text": "a"}')
    for source, message in (
        (tmp_path / "nothing", "no such file or run directory"),
        (tmp_path, "not a run directory"),
        (tmp_path / "x.html", "not text; known: .txt"),
    ):
        with pytest.raises(UserError, match=message):
            read_texts([str(source)])
    with pytest.raises(UserError, match='has no text; a document\'s text is its "body"'):
        list(read_texts([str(tmp_path / "x.jsonl")], text="body"))


def test_train_command_writes_model_description_and_picture(tmp_path: Path) -> None:
    for name, words in (("good", WORDS), ("bad", BAD)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts(1, 60, words)))
    out = tmp_path / "models" / "m.bin"
    sides = ([str(tmp_path / "good.jsonl")], [str(tmp_path / "bad.jsonl")])
    train_classifier(*sides, out, language=None, text="text", seed=0, options=SMALL)
    about = json.loads(Path(f"{out}.json").read_text())
    assert about["positive"] == ["good.jsonl"]
    assert about["report"]["held_out"] == 12
    assert {file.name for file in out.parent.iterdir()} >= {"m.bin", "m.bin.json"}
    assert not list(out.parent.glob(".*"))
