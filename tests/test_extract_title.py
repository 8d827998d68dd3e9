"""The page's title as the first line of its text."""

import numpy as np
import pytest

from pipeline.extract import html_to_text
from pipeline.extract.native.blocks import parse
from pipeline.extract.native.heading import heading, starts_with

SENTENCE = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall."


@pytest.mark.parametrize(
    ("title", "h1", "expected"),
    [
        ("Tides - The Sea", "<h1>Tides</h1>", "Tides"),
        ("Tides | The Sea", "<h1>The <b>Sea</b>\nnews</h1><h1>Tides</h1>", "The Sea news"),
        ("Tides today | The Sea", "<h1>Sea</h1><h1>Tides <br>today</h1>", "Tides today"),
        ("Tides | The Sea", "<h1><img src=x></h1><h1>Welcome</h1>", "The Sea"),
        ("Low tides at noon | The Sea", "<h1>Welcome</h1>", "Low tides at noon"),
        ("Low-tide: at noon", "", "Low-tide: at noon"),
        ("A » B b » C", "", "B b"),
        ("|", "", "|"),
        (None, "<h1>Welcome</h1><h1>Tides</h1>", "Welcome"),
        (None, "", ""),
        ("Tides", "<h1><div>Tides</div><div>and winds</div></h1>", "Tides and winds"),
    ],
)
def test_which_title(title: str | None, h1: str, expected: str) -> None:
    page = parse(np.frombuffer(f"{h1}<p>{SENTENCE}".encode(), np.uint8), 500, 1000, False)
    text, blocks = heading(page, title)
    assert text == expected
    own = " ".join(page.out[a:b].tobytes().decode() for a, b in zip(page.start[blocks], page.stop[blocks], strict=True))
    assert own.split() == (expected.split() if blocks.any() else [])
    assert blocks.any() == bool(expected and (title is None or f">{expected.split()[0]}" in h1))


def test_the_title_comes_first_and_once() -> None:
    body = "".join(f"<p>{SENTENCE} {n}</p>" for n in range(5))
    page = f"<title>Tides - Sea</title><nav><a href=/>Home</a></nav><p>By Al, in May</p><h1><a href=/t>Tides</a></h1>{body}"
    lines = [f"{SENTENCE} {n}" for n in range(5)]
    assert html_to_text(page, title=True).split("\n") == ["Tides", "By Al, in May", *lines]
    marked = html_to_text(page, title=True, format="markdown", links=True)
    assert marked.split("\n\n") == ["# Tides", "By Al, in May", *lines]
    assert html_to_text(page, title=True, main_content=False).split("\n") == ["Tides", "Home", "By Al, in May", *lines]
    assert html_to_text(page, main_content=False).split("\n") == ["Home", "By Al, in May", "Tides", *lines]
    twice = f"<title>Tides - Sea</title><h2>Tides</h2>{body}"
    assert html_to_text(twice, title=True, main_content=False).split("\n") == ["Tides", *lines]


def test_a_title_is_no_text() -> None:
    assert html_to_text("<title>Tides</title><h1>Tides</h1>", title=True, main_content=False) == ""
    assert html_to_text("<title>Tides</title><img>", title=True) == ""


@pytest.mark.parametrize(
    ("text", "title", "expected"),
    [
        ("Tides today\nx", "Tides Today!", True),
        ("# **Tides**\n\nx", "tides", True),
        ("Tide", "Tides", False),
        ("x Tides", "Tides", False),
    ],
)
def test_whether_a_text_starts_with_its_title(text: str, title: str, expected: bool) -> None:
    assert starts_with(text, title) == expected
