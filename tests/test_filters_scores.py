"""Scores from model files, shares, chance and evaluation texts, in whole runs."""

import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import Config
from pipeline.config_file import check, load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.filters.classifier import Options, QualityClassifier
from pipeline.filters.models.kneser_ney import Options as NgramOptions
from pipeline.filters.models.kneser_ney import train
from pipeline.filters.models.scorers import open_scorer
from pipeline.filters.options import ScoreOptions
from pipeline.report.contamination import contamination
from pipeline.report.stats import stats
from pipeline.report.why import why
from pipeline.run.run import Run, open_run
from pipeline.run.runner import run

WORDS = ["river", "garden", "winter", "letter", "market", "window", "summer", "village", "teacher", "engine", "bridge"]
BAD = ["cheap", "pills", "casino", "click", "here", "free", "offer", "login", "cart", "price"]
ITEM = "the quick envoy of the seventh harbour carried eleven sealed letters over the frozen northern pass"


def go(root: Path, config: Config, workers: int = 1, until: str = "clean") -> tuple[Run, Quiet]:
    reporter = Quiet()
    return run(root, config, workers=workers, engine="local", until=until, reporter=reporter), reporter


def text(draw: random.Random, bad: float) -> str:
    return " ".join(draw.choice(BAD if draw.random() < bad else WORDS) for _ in range(40))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of documents, from good to bad, a classifier, a perplexity model, word lists and an evaluation."""
    folder = tmp_path_factory.mktemp("scores")
    draw = random.Random(1)
    for number in range(2):
        rows = [{"id": f"{number}-{n}", "text": text(draw, n / 40)} for n in range(40)]
        rows[7]["text"] += f" {ITEM}."
        rows[9]["text"] += " " + " ".join(ITEM.split()[:13]).upper()
        rows[11]["text"] += " " + " ".join(ITEM.split()[:12])
        rows.append({"id": f"{number}-empty", "text": "?!"})
        (folder / f"part-{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    good, bad = ([text(draw, share) for _ in range(150)] for share in (0.1, 0.9))
    options = Options(epochs=20, buckets=1000, dimensions=4, learning_rate=0.5)
    QualityClassifier.train(good, bad, 1, options).save(folder / "quality.bin")
    train([pa.array(good)], NgramOptions(order=3)).model().save(folder / "good.ngrams")
    (folder / "lists").mkdir()
    (folder / "lists" / "en").write_text("casino\nfree offer\n")
    (folder / "eval.jsonl").write_text(
        json.dumps({"id": "q1", "text": ITEM}) + "\n" + json.dumps({"text": "too short"}) + "\n"
    )
    return folder


def config(place: Path, extra: str) -> Config:
    path = place / f"{hashlib.blake2b(extra.encode()).hexdigest()[:8]}.toml"
    path.write_text(
        f"""
[input]
paths = ["{place}/part-*.jsonl"]
part_bytes = "100kB"
[duplicates]
threshold = 1.0
[scores.good]
kind = "fasttext"
model = "{place}/quality.bin"
[scores.surprise]
kind = "perplexity"
model = "{place}/good.ngrams"
[scores.listed]
kind = "words"
model = "{place}/lists"
{extra}"""
    )
    return load(path)


def rows(opened: Run, step: str) -> list[dict[str, Any]]:
    return [row for part in opened.parts for row in pq.read_table(opened.file(step, part)).to_pylist()]


def kept_ids(opened: Run) -> list[str]:
    decided = zip(rows(opened, "extract"), rows(opened, "quality.decide"), strict=True)
    return [record["id"] for record, row in decided if row["dropped"] == []]


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibrated_models_through_skops(method: str, tmp_path: Path) -> None:
    import skops.io as skops
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    texts = [f"{word} {number}" for number in range(20) for word in ("harbour tide", "cheap casino")]
    calibrated = CalibratedClassifierCV(LinearSVC(random_state=0), cv=2, method=method)
    model = make_pipeline(HashingVectorizer(n_features=64), calibrated).fit(texts, ["good", "bad"] * 20)
    skops.dump(model, tmp_path / "m.skops")
    score = open_scorer(ScoreOptions(kind="sklearn", model=str(tmp_path / "m.skops"), label="good"))
    found = score(pa.array(texts), pa.array(["en"] * len(texts)))
    assert found == pytest.approx(model.predict_proba(texts)[:, 1])
    assert found[0] > 0.5 > found[1]


def test_types_that_could_run_code_are_refused(tmp_path: Path) -> None:
    import skops.io as skops
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier

    model = CalibratedClassifierCV(RandomForestClassifier(2, random_state=0), cv=2).fit(
        [[0], [1]] * 4, ["bad", "good"] * 4
    )
    skops.dump(model, tmp_path / "m.skops")
    with pytest.raises(UserError, match=r"types that skops does not trust: sklearn\.tree\._tree\.Tree$"):
        open_scorer(ScoreOptions(kind="sklearn", model=str(tmp_path / "m.skops")))


def test_scikit_learn_models_through_skops(tmp_path: Path) -> None:
    import skops.io as skops
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    draw = random.Random(1)
    good, bad = ([text(draw, share) for _ in range(50)] for share in (0.1, 0.9))
    model = make_pipeline(HashingVectorizer(n_features=64), LogisticRegression())
    model.fit(good + bad, ["good"] * 50 + ["bad"] * 50)
    skops.dump(model, tmp_path / "m.skops")
    scorer = open_scorer(ScoreOptions(kind="sklearn", model=str(tmp_path / "m.skops"), label="bad"))
    texts = pa.array(["casino click", None, "river garden", " "])
    found = scorer(texts, texts)
    assert found[[0, 2]] == pytest.approx(model.predict_proba(["casino click", "river garden"])[:, 0])
    assert found[0] > 0.5 > found[2]
    assert found[1] != found[1]
    with pytest.raises(UserError, match="no probability of 'worse'; its classes: bad, good"):
        open_scorer(ScoreOptions(kind="sklearn", model=str(tmp_path / "m.skops"), label="worse"))
    (tmp_path / "other.skops").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="not a model that skops saved"):
        open_scorer(ScoreOptions(kind="sklearn", model=str(tmp_path / "other.skops")))


def test_scores_are_columns_and_rules(place: Path, tmp_path: Path) -> None:
    opened, reporter = go(tmp_path / "run", config(place, "[quality]\ngood = { min = 0.5 }\nlisted = { max = 3 }"))
    assert "quality.scores" in reporter.steps
    assert not {"quality.bounds", "decontaminate.find"} & set(reporter.steps)
    texts = [row["text"] for row in rows(opened, "extract")]
    scores = rows(opened, "quality.scores")
    model = QualityClassifier.load(place / "quality.bin")
    assert [row["good"] for row in scores] == pytest.approx(list(model.scores(texts)), nan_ok=True)
    labels = [row["language"] for row in rows(opened, "language")]
    for one, label, row in zip(texts, labels, scores, strict=True):
        expected = one.count("casino") + one.count("free offer") if label == "en" else float("nan")
        assert row["listed"] == pytest.approx(expected, nan_ok=True)
    assert scores[0]["surprise"] < scores[39]["surprise"]
    fails = [
        [name for name, bad in (("good.min", row["good"] < 0.5), ("listed.max", row["listed"] > 3)) if bad]
        for row in scores
    ]
    assert [row["dropped"] for row in rows(opened, "quality.decide")] == fails
    assert {"good", "surprise", "listed"} <= set(rows(opened, "clean")[0])
    assert stats(opened).stages[2].rules["good.min"].failed == sum("good.min" in one for one in fails)
    quality = why(opened, "0-39")[0].stages[2]
    assert quality.dropped
    assert quality.dropped[0].rule == "quality.good.min"
    assert quality.values["surprise"] == scores[39]["surprise"]


def test_shares_and_chance_are_the_same_with_any_number_of_workers(place: Path, tmp_path: Path) -> None:
    rules = """
[quality]
good = { top = 0.25, pareto = 9 }
surprise = { bottom = 0.6, by = "language" }
words = { top = 0.9 }
"""
    asked = config(place, rules)
    folders = []
    for workers in (1, 2):
        opened, _ = go(tmp_path / f"{workers}", asked, workers, "quality")
        files = sorted(file for file in opened.root.rglob("*.parquet"))
        folders.append({str(file.relative_to(opened.root)): file.read_bytes() for file in files})
    assert folders[0] == folders[1]
    scores, labels = rows(opened, "quality.scores"), [row["language"] for row in rows(opened, "language")]
    values = [row["good"] for row in scores if row["good"] == row["good"]]
    bound = sorted(values)[-20]
    dropped = [row["dropped"] for row in rows(opened, "quality.decide")]
    assert len(values) == 80
    assert ["good.top" in names for names in dropped] == [row["good"] < bound for row in scores]
    english = sorted(r["surprise"] for r, label in zip(scores, labels, strict=True) if label == "en" and r["good"])
    limit = next(bound for bound in stats(opened).stages[2].bounds if bound.language == "en")
    assert limit.rule == "surprise.bottom"
    assert limit.value in english
    assert 0 < sum("good.pareto" in names for names in dropped) < 80
    reasons = {failure.rule: failure.bound for failure in why(opened, "0-39")[0].stages[2].dropped or ()}
    assert reasons["quality.good.top"] == f"top = 0.25: bound {bound:.4g} among 80 documents"
    assert reasons["quality.good.pareto"] == "pareto = 9"


def test_another_share_measures_nothing_again(place: Path, tmp_path: Path) -> None:
    go(tmp_path / "run", config(place, "[quality]\ngood = { top = 0.5 }"), until="quality")
    opened, reporter = go(tmp_path / "run", config(place, "[quality]\ngood = { top = 0.25 }"), until="quality")
    assert reporter.steps == ["quality.bounds", "quality.decide"]
    assert len(kept_ids(opened)) == 20 + 2  # and those without a word


def test_a_changed_model_is_asked_again(place: Path, tmp_path: Path) -> None:
    copy = tmp_path / "m.bin"
    shutil.copy(place / "quality.bin", copy)
    shutil.copy(place / "quality.bin.json", f"{copy}.json")
    asked = config(place, "")
    asked = check(asked.model_dump() | {"scores": {"good": {"kind": "fasttext", "model": str(copy)}}}, "test")
    go(tmp_path / "run", asked, until="quality")
    assert go(tmp_path / "run", asked, until="quality")[1].steps == []
    about = json.loads(Path(f"{copy}.json").read_text())
    Path(f"{copy}.json").write_text(json.dumps(about | {"note": "other data"}))
    assert go(tmp_path / "run", asked, until="quality")[1].steps == ["quality.scores", "quality.decide"]


@pytest.mark.parametrize(
    ("settings", "dropped", "flagged"),
    [
        ('action = "drop"', {"0-7", "0-9", "1-7", "1-9"}, {"0-7": 1.0, "0-9": 0.25, "1-7": 1.0, "1-9": 0.25}),
        ("threshold = 0.3", {"0-7", "1-7"}, {"0-7": 1.0, "0-9": 0.25, "1-7": 1.0, "1-9": 0.25}),
        ('action = "flag"', set(), {"0-7": 1.0, "0-9": 0.25, "1-7": 1.0, "1-9": 0.25}),
        ("ngram = 12", {f"{p}-{n}" for p in (0, 1) for n in (7, 9, 11)}, None),
    ],
)
def test_evaluation_texts(
    place: Path, tmp_path: Path, settings: str, dropped: set[str], flagged: dict[str, float] | None
) -> None:
    asked = config(place, f'[decontaminate]\nagainst = ["{place}/eval.jsonl"]\n{settings}\n')
    opened, reporter = go(tmp_path / "run", asked, until="clean" if asked.contamination == "flag" else "quality")
    decided = zip(rows(opened, "extract"), rows(opened, "quality.decide"), strict=True)
    assert {record["id"] for record, row in decided if row["dropped"] == ["contamination"]} == dropped
    assert any("1 of 2 items have fewer than" in note for note in reporter.notes)
    report = contamination(open_run(opened.root))
    assert (report.items, report.short) == (2, 1)
    (match,) = report.matches
    assert match.item == "eval.jsonl#q1"
    if flagged is not None:
        assert {holder.id: holder.share for holder in match.documents} == flagged
        assert {holder.id for holder in match.documents if not holder.kept} == dropped
    if asked.contamination == "flag":
        clean = {row["id"]: row for row in rows(opened, "clean")}
        assert clean["0-7"]["contaminated_by"] == [{"item": "eval.jsonl#q1", "share": 1.0}]
        assert clean["0-11"]["contamination"] == 0.0


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[quality]\ngod = { top = 0.1 }", "quality.god: unknown signal .did you mean good"),
        ("[quality]\ngood = { topp = 0.1 }", "quality.good.topp: unknown key .did you mean top"),
        ("[quality]\ngood = { top = 2 }", "good.top: a share between 0 and 1"),
        ("[quality]\ngood = {}", "good: a bound is needed"),
        ('[scores.words]\nkind = "words"\nmodel = "x"', "scores.words: a signal already has this name"),
        ('[scores.url]\nkind = "words"\nmodel = "x"', "scores.url: a column already has this name"),
        ('[scores.x]\nkind = "fastext"\nmodel = "x"', "scores.x.kind: input should be 'fasttext'"),
        ('[scores.x]\nkind = "fasttext"\nmodell = "x"', "scores.x.modell?: (unknown key|missing)"),
        ('[decontaminate]\nagainst = ["x"]\nngrams = 8', "decontaminate.ngrams: unknown key .did you mean ngram"),
    ],
)
def test_mistakes_are_found_in_the_config(place: Path, extra: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(place, extra)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('[scores.x]\nkind = "fasttext"\nmodel = "{}/none.bin"', "scores.x.model: .*none.bin: no such file"),
        ('[scores.x]\nkind = "fasttext"\nmodel = "{}/quality.bin"\nlabel = "wiki"', "no label wiki; it has: .*good"),
        (
            '[scores.x]\nkind = "fasttext"\nmodel = "{}/quality.bin"\nlabel = "goood"',
            "no label goood .did you mean good",
        ),
        ('[scores.x]\nkind = "fasttext"\nmodel = "{}/good.ngrams"', "scores.x.model: .*not a fastText model"),
        ('[scores.x]\nkind = "perplexity"\nmodel = "{}/quality.bin"', "not an n-gram model"),
        (
            '[scores.x]\nkind = "perplexity"\nmodel = "{}/good.ngrams"\nnormalization = "lowercase"',
            "was trained with normalization",
        ),
        ('[scores.x]\nkind = "divergence"\nmodel = "{}/good.ngrams"', "a model of order 1 is needed"),
        ('[scores.x]\nkind = "sklearn"\nmodel = "{}/model.pkl"', "a pickle may run any code"),
        ('[scores.x]\nkind = "words"\nmodel = "{}/lists"\n[language]\nkeep = ["de", "fr"]', "no list for de, fr"),
        ('[decontaminate]\nagainst = ["{}/none.jsonl"]', "decontaminate.against: .*no such file"),
        ('[decontaminate]\nagainst = ["{}/eval.jsonl"]\nfields = ["question"]', "has no question; it has: id, text"),
        (
            '[decontaminate]\nagainst = ["{}/eval.jsonl"]\nfields = ["txt"]',
            "has no txt .did you mean text.*; it has: id, text",
        ),
        ('[decontaminate]\nagainst = ["{}/eval.jsonl"]\nngram = 50', "no item has that many words"),
    ],
)
def test_what_cannot_work_is_found_before_work(place: Path, tmp_path: Path, extra: str, message: str) -> None:
    (place / "model.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match=message):
        go(tmp_path / "run", config(place, extra.replace("{}", str(place))))
    assert not (tmp_path / "run" / "ledger").exists()


def test_a_score_without_any_value_is_told(place: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "eo").write_text("frob\n")
    asked = config(place, f'[scores.elsewhere]\nkind = "words"\nmodel = "{tmp_path}/lists"')
    _, reporter = go(tmp_path / "run", asked, until="quality")
    assert "elsewhere is undefined for every document: rules on it keep everything" in reporter.notes


def test_a_language_without_list_is_told(place: Path, tmp_path: Path) -> None:
    _, reporter = go(tmp_path / "run", config(place, '[language]\nkeep = ["de", "en"]'), until="extract")
    assert "listed has no list for de: it is undefined for these languages" in reporter.notes
