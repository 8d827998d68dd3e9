"""Numbers, names and places from Python: the bounds are those of the config, each tried just inside and just outside."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from annotated_types import Ge, Gt, Le, Lt

from pipeline.arguments import at_least, not_a_file, one_option, path_of
from pipeline.errors import UserError
from pipeline.extract import html_to_text
from pipeline.filters import minhash
from pipeline.filters.classifier import Options, QualityClassifier
from pipeline.filters.language import LanguageIdentifier
from pipeline.filters.lines import dedup_lines
from pipeline.tokenize import shards
from pipeline.tokenize.bpe import train_bpe

TEXTS = ["one two three four five six"]
PAIRS = [("a", np.array([1])), ("b", np.array([2, 1]))]
ANY: Any = {"vocab_size": 3, "end_of_text": 0}


@dataclass(frozen=True, slots=True)
class Limits:
    """Each form that a number of the config has."""

    count: Annotated[int, Ge(1), Le(9)] | None = None
    share: Annotated[float, Gt(0), Lt(1)] = 0.5
    free: int = 0


def test_an_option_has_the_type_and_the_bounds_of_the_config() -> None:
    for key, number in (("count", 1), ("count", np.int64(9)), ("share", 0.001), ("share", 0.999), ("free", -5)):
        one_option(Limits, key, number)
    for number in (0, 10):
        with pytest.raises(ValueError, match=f"^count must be at least 1 and at most 9, not {number}$"):
            one_option(Limits, "count", number)
    for share in (0, 1, float("nan")):
        with pytest.raises(ValueError, match=f"^the share must be above 0 and below 1, not {share}$"):
            one_option(Limits, "share", share, "the share")
    for key, wrong in (("count", 1.0), ("count", None), ("count", True), ("free", 1.5), ("share", "0.5")):
        with pytest.raises(TypeError, match=f"^{key} must be a (whole )?number, not "):
            one_option(Limits, key, wrong)
    at_least(3, "n", 3)
    with pytest.raises(ValueError, match="^n must be at least 3, not 2$"):
        at_least(2, "n", 3)


def test_a_path_is_a_string_or_a_path(tmp_path: Path) -> None:
    assert path_of("a/b") == path_of(Path("a/b")) == Path("a/b")
    for wrong in (None, 3, b"a"):
        with pytest.raises(TypeError, match="^path must be a path, not "):
            path_of(wrong)
    calls: tuple[Callable[[Any], Any], ...] = (shards.open, QualityClassifier.load, LanguageIdentifier)
    for call in calls:
        with pytest.raises(TypeError, match="must be a path, not an int"):
            call(3)
        for form in (str, Path):
            with pytest.raises(UserError, match=r"none.*[Nn]o such file"):
                call(form(tmp_path / "none"))


DEDUP: Any = minhash.dedup_documents
PROBABILITY: Any = minhash.candidate_probability
OUT: dict[str, tuple[Callable[[Any], Any], list[Any], list[Any]]] = {
    "threshold": (lambda x: DEDUP(TEXTS, threshold=x), [0.001, 1], [0, 1.001, 80, float("nan")]),
    "ngram": (lambda x: DEDUP(TEXTS, ngram=x), [1], [0, -1]),
    "bands": (lambda x: DEDUP(TEXTS, bands=x, rows=1), [1, 1000], [0, 1001]),
    "rows": (lambda x: DEDUP(TEXTS, rows=x, bands=1), [1, 1000], [0, 1001]),
    "seed": (lambda x: minhash.MinHasher(2, seed=x).signatures(TEXTS), [0, 2**32 - 1], [-1, 2**32]),
    "similarity": (lambda x: PROBABILITY(x, 14, 8), [0, 1, [0, 1]], [-0.001, 1.001, float("nan"), [0.5, 80]]),
    "characters": (lambda x: LanguageIdentifier(characters=x), [1], [0, -1]),
    "groups": (lambda x: LanguageIdentifier(groups=x), [(), [["hr", "bs"]]], [[["hr"]], [["hr", "bs"], ["bs", "sr"]]]),
    "encoding": (
        lambda x: html_to_text(b"<p>a", encoding=x),
        ["utf-8", "UTF8", "latin-1", ""],
        ["utf9", "hex", "\0"],
    ),
    "threads": (lambda x: train_bpe(["ab"], 256, threads=x), [1], [0]),
    "memory": (lambda x: dedup_lines(["a.txt"], "lines", memory=x), [1], [0, -1]),
    "epochs": (lambda x: Options(epochs=x), [1], [0]),
    "dimensions": (lambda x: Options(dimensions=x), [1], [0]),
    "buckets": (lambda x: Options(buckets=x), [1], [0]),
    "word_ngrams": (lambda x: Options(word_ngrams=x), [1], [0]),
    "learning_rate": (lambda x: Options(learning_rate=x), [0.001], [0, float("nan")]),
    "held_out": (lambda x: Options(held_out=x), [0, 0.999], [-0.001, 1]),
    "shard_tokens": (lambda x: shards.write("o", PAIRS, **ANY, shard_tokens=x, overwrite=True), [1], [0]),
    "vocab_size": (lambda x: shards.write("o", [], vocab_size=x, end_of_text=0, overwrite=True), [1], [0]),
    "end_of_text": (lambda x: shards.write("o", [], vocab_size=3, end_of_text=x, overwrite=True), [0, 2], [-1, 3]),
}
"""Option -> how it is given, values just inside of its bounds, and values just outside."""


@pytest.mark.parametrize("name", OUT)
def test_numbers_have_bounds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("a\n")
    call, inside, outside = OUT[name]
    for value in inside:
        call(value)
    for value in outside:
        with pytest.raises(ValueError, match=name):
            call(value)


def test_a_text_that_names_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.txt").write_text("low lower lowest")
    Path("plain").write_text("x")
    with pytest.raises(ValueError, match=r"^'c.txt' is a text here, and the name of a file; give Path\('c.txt'\)"):
        train_bpe(["c.txt"], 300)
    with pytest.raises(ValueError, match=r"^'c.txt' is a text here, and the name of a file; give the texts"):
        QualityClassifier.train(["some words", "c.txt"], ["others"])
    for text in ("d.txt", "c.txt c.txt", "plain", ".", "\0.", "c." * 200, ""):
        not_a_file(text, "")
    assert len(train_bpe([Path("c.txt")], 300)) > 257
    assert len(train_bpe([pa.array(["c.txt"] * 2)], 258)) == 258


def test_shards_replace_nothing_unasked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert shards.write(out, PAIRS, **ANY).splits["train"].documents == 2  # an empty directory is free
    with pytest.raises(UserError, match="out: has shards already; choose another name, or give overwrite=True"):
        shards.write(out, PAIRS[:1], **ANY)
    assert shards.open(str(out)).splits["train"].documents == 2
    assert shards.write(out, PAIRS[:1], **ANY, overwrite=True).splits["train"].documents == 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    for place in (other, other / "thesis.txt"):
        with pytest.raises(UserError, match="exists already, and is no directory of shards"):
            shards.write(place, PAIRS, **ANY, overwrite=True)
    assert [*other.iterdir()] == [other / "thesis.txt"]


def test_ids_and_splits_of_shards_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the id 'a' is given twice"):
        shards.write(tmp_path / "s", [*PAIRS, ("a", [2])], **ANY)
    assert not [*tmp_path.iterdir()]
    opened = shards.write(tmp_path / "s", PAIRS, **ANY)
    with pytest.raises(ValueError, match=r"split: 'trian' is not one of train, validation \(did you mean train\?\)"):
        opened.locate("trian", 0)
    with pytest.raises(ValueError, match="split: 'val' is not one of train, validation"):
        opened.documents("val")
    with pytest.raises(TypeError, match="position must be a whole number, not a float"):
        opened.locate("train", 1.0)  # type: ignore[arg-type]
    assert opened.locate("train", 0).start == 0
    with pytest.raises(IndexError, match="token 5 of train, which has 5"):
        opened.locate("train", 5)
