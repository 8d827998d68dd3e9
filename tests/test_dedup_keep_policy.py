"""The order in which duplicates are preferred."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.filters.dedup.keep_policy import best_first, parse_keep

MEMBERS = np.array([0, 1, 2, 3, 5, 6, 7])
COLUMNS = {
    "text_bytes": np.array([10, 30, 30, 10, 20, 5, 5]),
    "date": pa.array(["2020", "2019", None, "2021", "2020", None, None]),
    "words": pa.array([3.0, None, float("nan"), 9.0, 3.0, 1.0, 2.0]),
    "url": pa.array(["http://a.edu/x", "http://b.com", None, "http://c.edu", "http://d.edu/\ny", "edu", "x"]),
    "file": pa.array(["in/old/1", "in/new/1", "in/old/1", "in/new/1", "in/old/2", "in/old/2", "in/old/2"]),
}
IDS = pa.array(["e", "d", "c", "b", "é", "z", "y"])


def order(*keep: str, ids: object = IDS) -> list[int]:
    found: list[int] = best_first(MEMBERS, parse_keep(keep, ["words"]), COLUMNS.__getitem__, ids).tolist()
    return found


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (("longest",), [2, 1, 5, 3, 0, 7, 6]),
        (("shortest",), [7, 6, 3, 0, 5, 2, 1]),
        (("earliest",), [1, 0, 5, 3, 2, 7, 6]),
        (("latest",), [3, 0, 5, 1, 2, 7, 6]),
        (("first",), [0, 1, 2, 3, 5, 6, 7]),
        (("highest words",), [3, 0, 5, 7, 6, 2, 1]),
        (("lowest words",), [6, 7, 0, 5, 3, 2, 1]),
        (("url *.edu/*",), [0, 5, 3, 2, 1, 7, 6]),
        (("url *.edu*", "longest"), [5, 3, 0, 2, 1, 7, 6]),
        (("file */new/*", "shortest"), [3, 1, 7, 6, 0, 5, 2]),
        (("longest", "earliest"), [1, 2, 5, 0, 3, 7, 6]),
        (("longest", "first", "latest"), [1, 2, 5, 0, 3, 6, 7]),
    ],
)
def test_preferences(keep: tuple[str, ...], expected: list[int]) -> None:
    assert order(*keep) == expected
    chunked = pa.chunked_array([IDS.slice(0, 3), IDS.slice(3)])
    assert order(*keep, ids=chunked) == expected


def test_ties_without_ids_go_to_the_smaller_index() -> None:
    assert order("longest", ids=None) == [1, 2, 5, 0, 3, 6, 7]


@pytest.mark.parametrize(("ids", "first"), [(["é", "z"], 1), (["b", "B"], 1), (["a", "ab"], 0), ([None, "z"], 1)])
def test_ids_compare_as_bytes(ids: list[str | None], first: int) -> None:
    two = np.arange(2)
    assert best_first(two, parse_keep(["longest"], ()), lambda _: np.ones(2), pa.array(ids))[0] == first


def test_dates_of_numpy() -> None:
    dates = np.array(["NaT", "2021-01-01", "2020-01-01"], "datetime64[s]")
    assert best_first(np.arange(3), parse_keep(["earliest"], ()), lambda _: dates).tolist() == [2, 1, 0]
    assert best_first(np.arange(3), parse_keep(["latest"], ()), lambda _: dates).tolist() == [1, 2, 0]


def test_none_stands_alone() -> None:
    assert parse_keep(["none"], ()) == ()
    with pytest.raises(UserError, match="keeps no document"):
        parse_keep(["none", "longest"], ())


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ("best", "unknown policy 'best' .* known: longest, shortest"),
        ("longst", r"unknown policy 'longst' \(did you mean longest\?\)"),
        ("highest", "unknown policy 'highest'"),
        ("highest wrods", r"unknown signal wrods \(did you mean words\?\); known: words, language_score"),
        ("url", "unknown policy 'url'"),
    ],
)
def test_unknown_words_are_refused(keep: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_keep([keep], ["words"])
    with pytest.raises(UserError, match="say which"):
        parse_keep([], ())
