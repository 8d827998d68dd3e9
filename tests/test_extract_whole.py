"""Our own extractor tears nothing apart: the parts of a list, table or post are kept or dropped together."""

import numpy as np
import pytest

from pipeline.extract import html_to_text
from pipeline.extract.native.blocks import parse
from pipeline.extract.native.whole import together, with_code

SENTENCE = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall."


def tied(page: str) -> list[str]:
    """The texts of the page's blocks, those that are decided together joined."""
    found = parse(np.frombuffer(page.encode(), np.uint8), 500, 1000, False)
    count = len(found.home)
    texts = [found.out[a:b].tobytes().decode() for a, b in zip(found.start, found.stop, strict=True)]
    groups: dict[bytes, list[str]] = {}
    # which blocks the probability of block i has an effect on
    effects = np.array([together(found, np.eye(count, dtype=np.float32)[i]) > 0 for i in range(count)])
    for i in range(count):
        groups.setdefault(effects[i].tobytes(), []).append(texts[i][:3].strip())
    return [" ".join(group) for group in groups.values()]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>a<p>b", ["a", "b"]),
        ("<p>a<ul><li>b<li>c</ul><p>d<ol><li>e<li>f</ol>", ["a", "b c", "d", "e f"]),
        ("<ul><li>a<ul><li>b<li>c</ul><li>d</ul>e", ["a b c d", "e"]),
        ("<dl><dt>a<dd>b<dt>c<dd><p>d<p>e</dl>f", ["a b c d e", "f"]),
        ("<menu><li>a<li>b</menu><pre><div>c</div><div>d</div></pre>", ["a b", "c d"]),
        ("<table><tr><td>a<td><ul><li>b<li>c</ul><tr><td>d<td><ul><li>e</ul></table>", ["a b c d e"]),
        ("<table><caption>a</caption><tr><td>b</table><table><tr><td>c<td>d</table>", ["a b", "c d"]),
        ("<table><tr><td><table><tr><td>a<td>b</table><td>c</table>", ["a b c"]),
    ],
)
def test_the_parts_of_a_list_or_table_belong_together(page: str, expected: list[str]) -> None:
    assert tied(page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<div class=post><p>a<p>b</div><div class=post><p>c<ul><li>d</ul>e</div>", ["a b", "c d e"]),
        ("<article><p>a<p>b</article><article><h2>c</h2><pre>d</pre></article>", ["a b", "c d"]),
        ("<ol><li class=comment><p>a<p>b<li class=comment>c<br><br>d</ol>", ["a b c d"]),  # a small list already
        (f"<ol><li class=comment><p>a<p>b<li class=comment>c<p>{'d ' * 201}</ol>", ["a b", "c d d"]),
        # one post is the page's text; elements of other names are none, nor are those at other places
        ("<div class=post><p>a<p>b</div>", ["a", "b"]),
        ("<div class=part><p>a<p>b</div><div class=part><p>c<p>d</div>", ["a", "b", "c", "d"]),
        ("<div class=post><p>a<p>b</div><div><div class=post><p>c<p>d</div></div>", ["a", "b", "c", "d"]),
        # the author, a quote, a table and the buttons are not the post's text
        (
            "<div class=post><div>a</div><div><p>b<blockquote>c</blockquote><p>d<table><tr><td>e<td>f</table></div>"
            "<div><a>g</a></div></div><div class=post>h</div>",
            ["a", "b d", "c", "e f", "g", "h"],
        ),
    ],
)
def test_the_text_of_a_post_belongs_together(page: str, expected: list[str]) -> None:
    assert tied(page) == expected


@pytest.mark.parametrize(
    ("page", "keep", "expected"),
    [
        ("<p>a<pre>b</pre><pre><i>c</i></pre><p>d", "1001", "1111"),
        ("<p>a<dl><dd><tex>b</tex></dl><p>d", "101", "111"),
        ("<p>a<div><i><tex>b</tex></i></div><pre>c</pre><p>d", "1001", "1111"),
        ("<p>a<pre>b</pre><pre>c</pre><p>d", "1100", "1100"),  # not between
        ("<p>a<pre>b</pre><p>c<p>d", "1001", "1001"),  # other text between
        ("<p>a<div>b<p><tex>c</tex></p></div><p>d", "1001", "1001"),  # the element around a formula's
    ],
)
def test_code_and_formulas_between_kept_text_are_kept(page: str, keep: str, expected: str) -> None:
    found = parse(np.frombuffer(page.encode(), np.uint8), 500, 1000, False)
    kept = with_code(found, np.array([sign == "1" for sign in keep]))
    assert "".join("01"[int(block)] for block in kept) == expected


def words(count: int) -> str:
    return "ab " * count


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (f"<ul><li>{words(41)}<li>{words(159)}</ul>", 1),
        (f"<ul><li>{words(41)}<li>{words(160)}</ul>", 2),
        (f"<table><tr><td>{words(41)}<td>{words(59)}</table>", 1),
        (f"<table><tr><td>{words(41)}<td>{words(60)}</table>", 2),
        (f"<table>{f'<tr><td>{words(40)}' * 12}<tr><td>{words(20)}</table>", 1),
        (f"<table>{f'<tr><td>{words(40)}' * 12}<tr><td>{words(21)}</table>", 13),
        (f"<table><tr><td><table><tr><td>{words(40)}<td>{words(40)}</table><td>{words(20)}</table>", 1),
        (f"<table><tr><td><table><tr><td>{words(40)}<td>{words(40)}</table><td>{words(21)}</table>", 2),
    ],
)
def test_what_is_large_is_layout(page: str, expected: int) -> None:
    assert len(tied(page)) == expected


def test_the_mean_is_weighted_by_words() -> None:
    page = parse(np.frombuffer(b"<p>x<ul><li>a<li>b c d</ul>", np.uint8), 500, 100, False)
    found = together(page, np.array([0.5, 0.9, 0.3], np.float32))
    assert list(found) == pytest.approx([0.5, 0.5, 0.5])  # (2 * 0.9 + 4 * 0.3) / 6


ROWS = ("10:00 - 20:00", "closed", "9:30 - 18:00", "11:00 - 21:00")
LISTS = [
    "<table>" + "".join(f"<tr><td>Day {n}<td><ul><li>{row}</ul>" for n, row in enumerate(ROWS)) + "</table>",
    "<dl>" + "".join(f"<dt>Day {n}<dd><p>{row}" for n, row in enumerate(ROWS)) + "</dl>",
    "<ul>" + "".join(f"<li>Day {n}<ul><li>{row}</ul>" for n, row in enumerate(ROWS)) + "</ul>",
    "<ol>" + "".join(f"<li><a href=/{n}>Day {n}</a> {row}" for n, row in enumerate(ROWS)) + "</ol>",
    "<table>" + "".join(f"<tr><td>Day {n}<td><p>{row}<p>(or later)" for n, row in enumerate(ROWS)) + "</table>",
]


@pytest.mark.parametrize("part", LISTS)
def test_a_list_in_an_article_is_whole(part: str) -> None:
    page = (
        f"<article><h1>The harbour</h1><p>{SENTENCE} {SENTENCE}<h2>Hours</h2>{part}<p>{SENTENCE} {SENTENCE}</article>"
    )
    found = html_to_text(page)
    assert [row in found and f"Day {n}" in found for n, row in enumerate(ROWS)] in ([True] * 4, [False] * 4)
    assert isinstance(html_to_text(page, whole=False), str)
