import json
import math
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.config_file import load
from pipeline.core.plain_values import plain_values
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.filters.thresholds import best_cut, histograms, shortest
from pipeline.report.show_suggest import plot_suggestions
from pipeline.report.suggest import SuggestedBound, SuggestedRule, Suggestions, _thinned, suggest
from pipeline.run.run import Run, open_run
from pipeline.run.runner import run

NAN = math.nan


@pytest.mark.parametrize(
    ("good", "bad", "side", "expected"),
    [
        ([1, 2, 3], [4, 5, 6], "max", (3, 0, 1)),
        ([1, 2, 3], [4, 5, 6], "min", None),
        ([4, 5, 6], [1, 2, 3], "min", (4, 0, 1)),
        ([1, 2, 3, 4], [3, 4, 5, 6], "max", (4, 0, 0.5)),  # 2 would catch all, and cost half the good: as much excess
        ([1, 2, 3, 10], [9, 9, 9, 11], "max", (3, 0.25, 1)),
        ([1, 2, 3, NAN], [9, 9, NAN, NAN], "max", (3, 0, 0.5)),  # what has no value is not dropped
        ([1, 1, 1], [1, 1, 1], "max", None),
        ([1, 1, 1, 2], [1, 1, 2, 2], "max", (1, 0.25, 0.5)),
        ([1.23456, 1], [1.23457, 1], "max", (1.23456, 0, 0.5)),
        ([0.1, 0.2], [0.8, 0.9], "max", (0.2, 0, 1)),
        ([0.8, 0.9], [0.1, 0.2], "min", (0.8, 0, 1)),
        ([12345, 1], [99999, 1], "max", (60000, 0, 0.5)),  # a short number between
        ([-5, -4], [-9, -8], "min", (-5, 0, 1)),
        ([], [1, 2], "max", (1, 0, 0.5)),
        ([NAN], [NAN], "max", None),
    ],
)
def test_the_cut_of_made_distributions(
    good: list[float], bad: list[float], side: str, expected: tuple[float, float, float] | None
) -> None:
    cut = best_cut(np.array(good, np.float64), np.array(bad, np.float64), side)
    assert (cut and (cut.bound, cut.good, cut.bad)) == expected


def test_a_cut_drops_no_more_good_than_it_may() -> None:
    good, bad = np.arange(100.0), np.arange(50.0, 150.0)
    free = best_cut(good, bad, "max")
    assert free is not None
    assert (free.good, free.bad, free.separation) == (0.0, 0.5, 0.5)
    good, bad = np.arange(100.0), np.full(100, 80.5)
    free, bound = best_cut(good, bad, "max"), best_cut(good, bad, "max", max_good_dropped=0.1)
    assert free is not None
    assert (free.bound, free.good, free.bad) == (80, 0.19, 1.0)
    assert bound is None


def test_the_cut_is_where_densities_cross() -> None:
    """Two normal distributions of equal width cross half way."""
    draw = np.random.default_rng(1)
    good, bad = draw.normal(0, 1, 50_000), draw.normal(2, 1, 50_000)
    cut = best_cut(good, bad, "max")
    assert cut is not None
    assert cut.bound == pytest.approx(1, abs=0.15)
    assert cut.separation == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.01)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.123, 0.129, 0.123),
        (3, 4, 3),
        (3.2, 7, 5),
        (-0.5, -0.4, -0.5),
        (0.1 + 0.2, 0.31, 0.305),
        (1e10, math.inf, 1e10),
    ],
)
def test_the_shortest_number(low: float, high: float, expected: float) -> None:
    found = shortest(low, high)
    assert low <= found < high
    assert found == expected


def test_histograms_share_their_bins() -> None:
    found = histograms(np.array([0.0, 1.0, NAN]), np.array([10.0]))
    assert found.good.sum() == found.bad.sum() == 1
    assert found.good[0] == 0.5
    assert found.bad[-1] == 1
    assert histograms(np.array([NAN]), np.array([])).good.sum() == 0


def test_thinning_keeps_every_second_or_fourth() -> None:
    batches = [{"words": np.arange(start, min(start + 7, 100), dtype=np.float64)} for start in range(0, 100, 7)]
    assert _thinned(iter(batches), 50)["words"].tolist() == list(range(100))
    assert _thinned(iter(batches), 25)["words"].tolist() == list(range(0, 100, 2))
    assert _thinned(iter(batches), 15)["words"].tolist() == list(range(0, 100, 4))


def test_suggestions_can_be_pasted_and_do_what_they_say(tmp_path: Path) -> None:
    def write(name: str, texts: list[str]) -> str:
        rows = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(tmp_path / name)

    good = write(
        "good.jsonl", [f"The river and the garden of number {n} have a bridge to them. " * 9 for n in range(30)]
    )
    bad = write("bad.jsonl", [f"click here number {n} ... " * 3 for n in range(20)])
    asked = '[input]\npaths = ["{}"]\n[language]\nmin_score = 0\n[duplicates]\nthreshold = 1.0\n'
    (tmp_path / "a.toml").write_text(asked.format(bad))
    opened = run(
        tmp_path / "run", load(tmp_path / "a.toml"), workers=1, engine="local", until="quality", reporter=Quiet()
    )
    report = suggest(opened, [good], [], language=None, documents=1000, max_good_dropped=0.1)
    assert (report.good, report.bad) == (30, 20)
    words = next(rule for rule in report.signals if rule.signal == "words").cuts[0]
    assert (words.side, words.good, words.bad) == ("min", 0.0, 1.0)
    lines = report.lines_to_paste()
    assert any(line.startswith("stop_words = { min = ") and ", above = false }" in line for line in lines)
    others = {"min": "above", "max": "below"}
    below = [f"{rule.signal} = {{ {others[cut.side]} = 0.5 }}" for rule in report.signals for cut in rule.cuts[:1]]
    (tmp_path / "below.toml").write_text(asked.format(bad) + "[quality]\n" + "\n".join(below))
    (tmp_path / "above.toml").write_text('base = "below.toml"\n[quality]\n' + "\n".join(lines))
    (tmp_path / "b.toml").write_text(asked.format(bad) + "[quality]\n" + "\n".join(lines))
    for cut in words.side, "above":
        assert getattr(load(tmp_path / "above.toml").quality["words"], cut) == (words.bound if cut == "min" else None)
    with pytest.raises(UserError, match="nothing is left after the quality stage"):
        run(tmp_path / "run", load(tmp_path / "b.toml"), workers=1, engine="local", until="quality", reporter=Quiet())
    again = open_run(tmp_path / "run")
    best = suggest(again, [good], [bad], language=None, documents=1000, max_good_dropped=0.1).signals[0]
    assert best.cuts[0].bad == 1.0
    plain = plain_values(report)
    assert list(plain["signals"][0]) == ["signal", "cuts", "edges", "good", "bad"]
    json.dumps(plain, allow_nan=False)
    for language, refusal in (
        ("cy", "no good documents in cy"),
        ("eng", r"knows no language 'eng'; its label is en"),
    ):
        with pytest.raises(UserError, match=refusal):
            suggest(again, [good], [], language=language, documents=10, max_good_dropped=0.1)
    pytest.importorskip("matplotlib")
    plot_suggestions(report, tmp_path / "all.png")
    assert (tmp_path / "all.png").read_bytes()[:4] == b"\x89PNG"


def test_the_old_name_of_an_option_is_answered_with_the_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["suggest", "run", "--good", "good.txt", "--most", "0.05"])
    assert stop.value.code == 2
    expected = "error: suggest: --most is now called --max-good-dropped; give --max-good-dropped 0.05\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("which", ["good", "bad"])
def test_lengths_of_passages_are_not_compared(tmp_path: Path, config_file: Path, which: str) -> None:
    (tmp_path / "book.txt").write_text("The river and the garden have a bridge to them.\n" * 300)
    (tmp_path / "page.jsonl").write_text('{"text": "click here"}\n')
    run_ = Run(tmp_path, load(config_file), ())
    sides = {"good": [str(tmp_path / "page.jsonl")], "bad": [str(tmp_path / "page.jsonl")]}

    def suggested() -> Suggestions:
        return suggest(run_, sides["good"], sides["bad"], language=None, documents=9, max_good_dropped=0.1)

    assert suggested().not_compared == ()
    sides[which] = [str(tmp_path / "book.txt")]
    report = suggested()
    names = {rule.signal for rule in report.signals}
    assert set(report.not_compared) == {"characters", "lines", "paragraphs", "sentences", "words"}
    assert not names & set(report.not_compared)
    assert "stop_words" in names


def test_bounds_that_exclude_one_another_are_not_both_given() -> None:
    cuts = tuple(
        SuggestedBound(side=side, bound=bound, good=0.1, bad=0.5, separation=0.4)
        for side, bound in (("min", 9.0), ("max", 3.0))
    )
    none = np.zeros(0)
    rule = SuggestedRule(signal="words", cuts=cuts, edges=none, good=none, bad=none)
    lines = Suggestions(good=1, bad=1, signals=(rule,)).lines_to_paste()
    assert lines == ["words = { min = 9.0, above = false }   # drops 50.0% of bad, 10.0% of good"]
