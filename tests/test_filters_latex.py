"""Texts of mathematics: LaTeX found and taken out, and OpenWebMath's recipe from pages to decisions, its models trained here."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.filters.classifier import QualityClassifier
from pipeline.filters.latex import COMMON, commands, commonest_commands, has_latex, normalize, without_latex
from pipeline.filters.models.scorers import open_scorer
from pipeline.filters.options import ScoreOptions
from pipeline.filters.signals import measure
from pipeline.run.runner import run

Cli = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[1]

# text: formulas, common commands, and the text without LaTeX as a model of words sees it
TEXTS = {
    "so $x$ is": (1, 0, "so is"),
    "so $n'$ and $xy$ and $xyz$": (2, 0, "so and and xyz"),
    "so $a_1 + b$, $x=1$ and $i>j$": (3, 0, "so and"),
    "so $ x$ and $x $ and $x=$5": (0, 0, "so x and x and x 0"),
    "it cost $5 and $10, or $5-$10": (0, 0, "it cost 0 and 00 or 0 00"),
    "A | $$ | 4.7 |\n| B | $$ | 4.5 | = x": (0, 0, "a 0 0 b 0 0 x"),
    "set $twilio = new Client($sid": (0, 0, "set twilio new client sid"),
    "`$a = 1` or `$b = 2`": (0, 0, "a 0 or b 0"),
    "so $$x \\ge y$$ or\n$$a\n= b$$": (2, 1, "so or"),
    "so $$a = b\n\nc$$ is": (0, 0, "so a b c is"),
    "\\(x\\) and \\[y = z\\] and \\\\(x\\\\) and \\(ALPM\\)": (2, 0, "and and x and alpm"),
    "\\begin{align*}a &= \\frac{b}{c} \\\\ \\end{align*} so \\begin{table}x\\end{table}": (
        1,
        1,
        "so begin table x end table",
    ),
    "plain: \\frac{a}{b} and x_{12} \\alphabet \\alpha": (0, 2, "plain and x"),
    "C:\\text\\begin\\to": (0, 0, "c text begin to"),
    "\\$5 = \\$6": (0, 0, "0 0"),
    "no dollars": (0, 0, "no dollars"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_formulas_and_commands(text: str) -> None:
    formulas, found, words = TEXTS[text]
    measured = measure(pa.array([text, None]), ["latex_formulas", "latex_commands"])
    assert measured["latex_formulas"].to_pylist() == [formulas, None]
    assert measured["latex_commands"].to_pylist() == [found, None]
    assert has_latex([text, None]).tolist() == [formulas + found > 0, False]
    assert normalize([text, None], "no_latex").to_pylist() == [words, None]
    if not formulas + found:
        assert without_latex(text) == text


def test_commands_of_formulas_are_counted_by_texts() -> None:
    assert commands("$\\frac{\\alpha}{2}$ in C:\\Windows\\System") == {"frac", "alpha"}
    assert commands("\\frac{1}{2} \\mine") == {"frac", "mine"}
    assert commands("C:\\Windows\\System") == set()
    texts = [
        "$\\beta \\beta$",
        "$\\alpha$ $\\beta$",
        None,
        *(f"$\\zz{chr(97 + n % 26)}{chr(97 + n // 26)}$" for n in range(120)),
    ]
    found = commonest_commands([pa.array(texts[:50]), pa.array(texts[50:])])
    assert found[:3] == ["beta", "alpha", "zzaa"]
    assert len(found) == 100
    assert not COMMON & {"text", "begin", "to", "in", "bin"}


def test_long_texts_without_ends_take_linear_time() -> None:
    for piece in (
        "$x ",
        "$$x ",
        "\\(x",
        "\\[x",
        "\\begin{align}",
        "\\frac{",
        "\\alpha{x}{",
        "x_{",
        "$\\frac ",
        "\\end{align}",
    ):
        for text in (piece * (300_000 // len(piece)), "$\\alpha$" + piece * (300_000 // len(piece))):
            without_latex(text)
            commands(text)


SUBJECTS = [
    "group",
    "ring",
    "field",
    "vector space",
    "polynomial",
    "integer",
    "matrix",
    "function",
    "sequence",
    "prime number",
]
CLAIMS = [
    "is bounded by",
    "converges to",
    "is divisible by",
    "is isomorphic to",
    "is orthogonal to",
    "is an element of",
]
THINGS = ["soup", "bread", "garden", "kitchen", "holiday", "recipe", "sauce", "tomato", "market", "chicken"]
DOINGS = ["was cooked with", "goes well with", "was bought for", "is served after", "tasted better than", "was made of"]
TEX = ["\\frac{a}{b}", "\\alpha_1", "x \\le y", "\\sum_i x_i", "\\sqrt{2}", "\\int f"]


def sentences(draw: random.Random, names: list[str], verbs: list[str], formula: str = "") -> str:
    return " ".join(
        f"The {draw.choice(names)} {formula}that we have seen {draw.choice(verbs)} the {draw.choice(names)} of the other one."
        for _ in range(6)
    )


def marked(draw: random.Random) -> str:
    """A formula in one of the ways of pages, no two of which share more than the TeX."""
    tex = draw.choice(TEX)
    return draw.choice(
        [
            f"<math><annotation encoding='application/x-tex'>{tex}</annotation></math> ",
            f"<script type='math/tex'>{tex}</script> ",
            f"<img src='https://latex.codecogs.com/gif.latex?{tex}'> ",
            f"<img class=latex alt='{tex}'> ",
        ]
    )


def test_openwebmath_from_pages_to_decisions(tmp_path: Path, cli: Cli) -> None:
    draw = random.Random(5)
    rows = []
    for number in range(60):
        formula = marked(draw)
        rows += [
            {
                "id": f"math-{number}",
                "html": f"<main><h1>Notes</h1><p>{sentences(draw, SUBJECTS, CLAIMS, formula)}</p></main>",
            },
            {"id": f"food-{number}", "html": f"<main><h1>Notes</h1><p>{sentences(draw, THINGS, DOINGS)}</p></main>"},
        ]
    rows += [
        {"id": "prose of math", "html": f"<main><p>{sentences(draw, SUBJECTS, CLAIMS)}</p></main>"},
        {"id": "food with LaTeX", "html": f"<main><p>{sentences(draw, THINGS, DOINGS, marked(draw))}</p></main>"},
        {"id": "short", "html": "<main><p>The ring that we have seen.</p></main>"},
    ]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "proofs.txt").write_text("\n".join(sentences(draw, SUBJECTS, CLAIMS) for _ in range(50)))
    config = tmp_path / "math.toml"
    config.write_text(
        f"""
base = "{ROOT}/configs/recipes/openwebmath.toml"
[input]
paths = ["{tmp_path}/pages.jsonl"]
html = "html"
[language]
min_score = 0.0
[scores.math_latex]
model = "{tmp_path}/math.bin"
[scores.math_prose]
model = "{tmp_path}/math.bin"
[scores.proofs]
model = "{tmp_path}/proofs.ngrams"
[duplicates]
threshold = 1.0
"""
    )
    run(
        tmp_path / "run",
        load(config, ["scores={}", "quality={}"]),
        workers=1,
        engine="local",
        until="extract",
        reporter=Quiet(),
    )
    model = tmp_path / "math.bin"
    code, out, _ = cli(
        "classifier",
        "train",
        "--latex",
        f"{tmp_path}/run:raw",
        "--out",
        str(model),
        "--epochs",
        "40",
        "--buckets",
        "1000",
    )
    assert code == 0
    assert "texts with one of 6 commands: " in out
    trained = QualityClassifier.load(model)
    assert trained.normalization == "no_latex"
    assert sorted(trained.about["commands"]) == ["alpha", "frac", "int", "le", "sqrt", "sum"]
    assert trained.report.precision == 1.0
    assert trained.report.recall > 0.8
    assert (
        cli(
            "perplexity",
            "train",
            "--text",
            str(tmp_path / "proofs.txt"),
            "--out",
            str(tmp_path / "proofs.ngrams"),
            "--order",
            "3",
        )[0]
        == 0
    )

    for name, latex in (("math_latex", True), ("math_prose", False)):
        scorer = open_scorer(ScoreOptions(kind="fasttext", model=str(model), latex=latex))
        scores = scorer(
            pa.array(["The ring $\\alpha_1$ is bounded.", "The ring is bounded.", None]), pa.array(["en"] * 3)
        )
        assert np.isnan(scores).tolist() == [not latex, latex, True], name

    done = run(tmp_path / "run", load(config, []), workers=1, engine="local", until="quality", reporter=Quiet())
    dropped: dict[str, set[str]] = {}
    for part in done.parts:
        ids = pq.read_table(done.file("extract", part), columns=["id"])["id"].to_pylist()
        decided = pq.read_table(done.file("quality.decide", part), columns=["dropped"])["dropped"].to_pylist()
        dropped |= {name: set(reasons) for name, reasons in zip(ids, decided, strict=True)}
    assert [name for name, reasons in dropped.items() if name.startswith("math-") and reasons] == []
    assert dropped["prose of math"] == set()
    assert dropped["food with LaTeX"] == {"math_latex.min"}
    assert dropped["short"] >= {"characters.min"}
    assert all("math_prose.above" in reasons for name, reasons in dropped.items() if name.startswith("food-"))
