import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filters.quantiles import Bound, Columns, failures, find_bounds, pareto_draws
from pipeline.filters.rules import Rule


def reader(values: list[float], labels: list[str], size: int = 7):  # type: ignore[no-untyped-def]
    def read() -> Iterator[Columns]:
        for start in range(0, len(values), size):
            yield {"s": np.array(values[start : start + size])}, pa.array(labels[start : start + size])

    return read


def kept(rule: Rule, values: list[float], labels: list[str]) -> list[bool]:
    bounds = find_bounds([rule], reader(values, labels))
    ids = pa.array([str(n) for n in range(len(values))])
    found = failures([rule], bounds, {"s": np.array(values)}, pa.array(labels), ids)
    return [not any(fails[n] for fails in found.values()) for n in range(len(values))]


NUMBERS = [0.0, -0.0, 1.5, -1.5, 1e-300, -1e-300, math.inf, -math.inf, 3.0, 3.0, 3.0, 2.0**60, -7.25]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.6, 0.99])
def test_shares_are_those_of_a_sorted_list(share: float) -> None:
    draw = random.Random(1)
    values = NUMBERS + [draw.gauss(0, 1) for _ in range(200)]
    share_of_all = round(share * len(values), 9)
    top, bottom = sorted(values)[-math.ceil(share_of_all)], sorted(values)[math.floor(share_of_all) - 1]
    labels = ["en"] * len(values)
    found = find_bounds([Rule(signal="s", top=share, bottom=share)], reader(values, labels))
    assert [(bound.rule, bound.value, bound.documents) for bound in found] == [
        ("s.top", top, len(values)),
        ("s.bottom", bottom, len(values)),
    ]
    assert kept(Rule(signal="s", top=share), values, labels) == [value >= top for value in values]
    assert kept(Rule(signal="s", bottom=share), values, labels) == [value <= bottom for value in values]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.1, [10]),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.11, [9, 10]),
        ([1, 2, 3, 9, 9, 9, 9, 9, 9, 9], 0.1, [9] * 7),  # those that are equal stay together
        ([1, 2, 3, math.nan], 0.4, [2, 3, math.nan]),  # a share of three; what is undefined is kept
        ([math.nan], 0.5, [math.nan]),
        ([5], 0.01, [5]),
        ([], 0.5, []),
    ],
)
def test_what_a_share_keeps(values: list[float], share: float, expected: list[float]) -> None:
    found = kept(Rule(signal="s", top=share), values, ["en"] * len(values))
    assert [value for value, stays in zip(values, found, strict=True) if stays] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 1311])
def test_head_middle_and_tail_divide_the_documents(count: int) -> None:
    values = random.Random(count).sample(range(10 * count), count)
    labels = ["en"] * count
    asked: tuple[Any, ...] = ({"bottom": 0.3}, {"bottom": 0.6, "top": 0.7}, {"top": 0.4})
    found = [kept(Rule(signal="s", **options), [float(v) for v in values], labels) for options in asked]
    if count >= 4:  # of fewer one is the head, whatever its share
        assert [sum(stays) for stays in zip(*found, strict=True)] == [1] * count
        assert sum(found[0]) == math.floor(round(0.3 * count, 9))
    assert sum(found[0]) >= 1


def test_by_language_and_for_languages() -> None:
    values, labels = [1.0, 2, 3, 4, 10, 20, 30, 40], ["en"] * 4 + ["de"] * 4
    rule = Rule(signal="s", bottom=0.5, by="language")
    assert find_bounds([rule], reader(values, labels, 3)) == [
        Bound(rule="s.bottom", language="de", value=20, documents=4),
        Bound(rule="s.bottom", language="en", value=2, documents=4),
    ]
    assert kept(rule, values, labels) == [True, True, False, False] * 2
    assert kept(Rule(signal="s", bottom=0.5), values, labels) == [True] * 4 + [False] * 4
    rule = Rule(signal="s", bottom=0.25, languages=("de",))
    assert kept(rule, values, labels) == [True] * 5 + [False] * 3


def test_pareto_keeps_with_gpt3s_odds() -> None:
    """P(keep) = (2 - score) ** -9: one in 12 at 0.68, nine in ten at 0.99."""
    ids = pa.array([f"urn:{n}" for n in range(20_000)])
    for score in (0.0, 0.5, 0.9, 0.99, 1.0):
        rule = Rule(signal="s", pareto=9)
        (fails,) = failures([rule], [], {"s": np.full(20_000, score)}, pa.array(["en"] * 20_000), ids).values()
        assert rule.names == ("s.pareto",)
        assert 1 - fails.mean() == pytest.approx((2 - score) ** -9, abs=0.01)
    assert (pareto_draws(ids, 9, 0) == pareto_draws(ids, 9, 0)).all()
    assert (pareto_draws(ids.slice(5, 1), 9, 0) == pareto_draws(ids, 9, 0)[5]).all()
    assert (pareto_draws(ids, 9, 0) != pareto_draws(ids, 9, 1)).mean() > 0.99
    (fails,) = failures([rule], [], {"s": np.full(20_000, np.nan)}, pa.array(["en"] * 20_000), ids).values()
    assert not fails.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "s.top: a share between 0 and 1"),
        ({"bottom": 1}, "s.bottom: a share between 0 and 1"),
        ({"pareto": 0}, "s.pareto: a number above 0"),
        ({"pareto": 9, "by": "language"}, "s.by: needs"),
    ],
)
def test_rules_that_make_no_sense(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule(signal="s", **options)  # type: ignore[arg-type]
