"""Rules: what a range keeps, what a configuration may say, and how columns of numbers become reasons."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.filters.decisions import decide
from pipeline.filters.rules import Reason, Rule, check_signals

NAN = math.nan


@pytest.mark.parametrize(
    ("bounds", "kept", "failed"),
    [
        ({"min": 2}, [2, 2.5, math.inf], {"min": [1.99, 0, -math.inf]}),
        ({"max": 2}, [2, 0, -math.inf], {"max": [2.01, math.inf]}),
        ({"above": 0.12}, [0.1200001, 1], {"above": [0.12, 0]}),
        ({"below": 0.1}, [0.0999999, 0], {"below": [0.1, 1]}),
        ({"min": 0, "max": 0}, [0.0, -0.0], {"min": [-1], "max": [1]}),
        ({"above": 0, "max": 1}, [1, 1e-9], {"above": [0], "max": [1.5]}),
    ],
)
def test_bounds(bounds: dict[str, float], kept: list[float], failed: dict[str, list[float]]) -> None:
    rule = Rule(signal="x", **bounds)  # type: ignore[arg-type]
    values = [*kept, NAN, *(value for group in failed.values() for value in group)]
    expected: list[list[str]] = [[] for _ in [*kept, NAN]]
    expected += [[f"x.{bound}"] for bound, group in failed.items() for _ in group]
    assert decide([rule], {"x": pa.array(values, pa.float64())}).to_pylist() == expected


def test_all_reasons_in_the_rules_order() -> None:
    rules = [Rule(signal="b", max=1), Rule(signal="a", min=1, max=5), Rule(signal="c", above=0)]
    signals = {
        "a": pa.array([0.0, 9.0, 3.0, NAN, None]),
        "b": pa.array([2.0, 2.0, 0.0, 2.0, None]),
        "c": pa.array([0.0, 1.0, 1.0, NAN, None]),
    }
    assert [name for rule in rules for name in rule.names] == ["b.max", "a.min", "a.max", "c.above"]
    reasons = decide(rules, signals)
    assert reasons.type == pa.list_(pa.string())
    assert reasons.to_pylist() == [["b.max", "a.min", "c.above"], ["b.max", "a.max"], [], ["b.max"], None]
    sliced = {name: column.slice(1, 3) for name, column in signals.items()}
    assert decide(rules, sliced).to_pylist() == [["b.max", "a.max"], [], ["b.max"]]


def test_languages() -> None:
    rules = [Rule(signal="x", min=1, languages=("en", "de")), Rule(signal="x", max=-1)]
    column = {"x": pa.array([0.0, 0.0, 0.0, 0.0])}
    labels = pa.array(["en", "fr", None, "de"])
    both, only = ["x.min", "x.max"], ["x.max"]
    assert decide(rules, column, labels).to_pylist() == [both, only, only, both]
    assert decide(rules, column, labels.dictionary_encode()).to_pylist() == [both, only, only, both]
    assert decide(rules, column, pa.nulls(4, pa.string())).to_pylist() == [only] * 4
    assert decide(rules, column).to_pylist() == [both] * 4  # no labels: every rule applies


def test_no_documents_and_no_rules() -> None:
    empty = decide([Rule(signal="x", min=1, languages=("en",))], {"x": pa.array([], pa.float64())}, pa.array([], "str"))
    assert empty.to_pylist() == []
    assert empty.type == pa.list_(pa.string())
    assert decide([], {"x": pa.array([1.0, 2.0])}).to_pylist() == [[], []]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "words: a bound is needed: min, max, above, below"),
        ({"languages": ("en",)}, "words: a bound is needed"),
        ({"max": NAN}, r"words\.max: a number is needed"),
        ({"min": 5, "max": 4}, "words: the range from 5 to 4 is empty"),
        ({"above": 4, "max": 4}, "words: the range from 4 to 4 is empty"),
        ({"min": 1, "above": 1}, "words: give min or above, not both"),
        ({"max": 1, "below": 1}, "words: give max or below, not both"),
        ({"min": 1, "languages": "en"}, r"words\.languages: a list of labels"),
        ({"min": 1, "languages": ()}, r"words\.languages: a list of labels"),
    ],
)
def test_a_bad_rule_is_one_line_with_its_signal(table: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Rule(signal="words", **table)
    assert "\n" not in str(caught.value)


def test_a_good_rule() -> None:
    assert Rule(signal="w", max=0).bounds() == (("max", 0.0),)  # 0 is a bound like any other
    rule = Rule(signal="edited.words", min=50, top=0.5, pareto=9)
    assert (rule.bounds(), rule.shares()) == ((("min", 50.0),), (("top", 0.5),))
    assert rule.names == ("edited.words.min", "edited.words.top", "edited.words.pareto")
    assert rule.measured == "words"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("quality.words.min", Reason("quality", "words", "min")),
        ("quality.edited.words.min", Reason("quality", "edited.words", "min")),
        ("language.keep", Reason("language", "keep", None)),
    ],
)
def test_a_reason_is_written_and_read(name: str, reason: Reason) -> None:
    assert Reason.parse(name) == Reason.of(*name.split(".", 1)) == reason
    assert str(reason) == name


def test_an_unknown_signal_is_an_error() -> None:
    with pytest.raises(UserError, match=r"word: unknown signal \(did you mean words\?\); known: lines, words"):
        check_signals([Rule(signal="word", min=1)], ["words", "lines"])
    with pytest.raises(UserError, match="gone: unknown signal"):
        decide([Rule(signal="gone", min=1)], {"x": pa.array([1.0])})


def test_rules_load_no_kernel() -> None:
    code = "import sys, pipeline.filters.rules; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0
