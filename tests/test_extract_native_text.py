"""Our own extractor: how blocks are put together as text and Markdown."""

import html
import html.entities
import random
import re

import numpy as np
import pytest

from pipeline.extract import html_to_text
from pipeline.extract.native.assemble import captions
from pipeline.extract.native.blocks import parse
from pipeline.extract.native.parsed import Parsed
from pipeline.extract.native.unseen import EVERYTHING, without_unseen

SENTENCE = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall."


def parsed(page: str | bytes, max_depth: int = 500) -> Parsed:
    data = page if isinstance(page, bytes) else page.encode()
    found: Parsed = parse(np.frombuffer(data, np.uint8), max_depth, 1_000_000, False)
    return found


def everything(page: str) -> str:
    return html_to_text(page, extractor="native", main_content=False)


def test_a_noscript_that_never_ends_hides_nothing() -> None:
    assert everything("<p>a</p><noscript><p>b</p></noscript><noscript><p>c") == "a\nc"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h1>Head</h1><p>One<br>line<p>Two", "Head\nOne\nline\nTwo"),
        ("<ul><li>a<li><p>b</p><p>c</p><li>d</ul>e", "- a\n- b\nc\n- d\ne"),
        ("<ol><li>a<li>b<ul><li>c<li>d</ul><p>more b<li>e</ol>", "1. a\n2. b\n   - c\n   - d\nmore b\n3. e"),
        ("<ul><li><ol><li>a</ol></ul><li>b", "1. a\n- b"),
        ("<ol><li>a<li><p>b<li><div>c</div><ul><li>d</ul></ol>", "1. a\n2. b\n- c\n  - d"),
        (
            "<ol start=9><li>a<li>b</ol><ol start=-2><li value=7>c<li>d<li value=x>e</ol>",
            "9. a\n10. b\n7. c\n8. d\n9. e",
        ),
        ("<ol start=999999999><li>a</ol><ol start=1000000000><li>b</ol>", "999999999. a\n1. b"),
        ("<table><tr><th>k<th>v<tr><td>a<td>1</table>", "k | v\na | 1"),
        ("<table><tr><td>menu<td><p>One<p>Two</table>", "menu | One / Two"),
        ("<table><tr><td>a<td><ul><li>b<li>c<ol><li>d</ol></ul><tr><td>e<td>f</table>", "a | b / c / d\ne | f"),
        (f"<table><tr><td>a<td>{'<p>b' * 12}</table>", f"a | {' / '.join('b' * 12)}"),
        (f"<table><tr><td>a<td>{'<p>b' * 13}</table>", "a" + "\nb" * 13),
        (f"<table><tr><td>a<td><p>{'b' * 199}<p>c</table>", f"a | {'b' * 199} / c"),
        (f"<table><tr><td>a<td><p>{'b' * 200}<p>c</table>", f"a\n{'b' * 200}\nc"),
        ("<table><tr><td>a<td><p>b<pre>c</pre></table>", "a\nb\nc"),
        ("<table><tr><td>a<td>b<tr><td>c<tr><td>d<td>e</table>", "a | b\nc\nd | e"),
        ("<table><tr><td>a<br>b<td>c</table>", "a b | c"),
        (f"<table><tr><td>{'a' * 200}<br>b<td>c</table>", f"{'a' * 200}\nb\nc"),
        ("<table><tr><td>one<tr><td>two</table>", "one\ntwo"),
        (f"<table><tr>{'<td>x' * 64}</table>", " | ".join("x" * 64)),
        (f"<table><tr>{'<td>x' * 65}</table>", "\n".join("x" * 65)),
        ("<pre>if x:\n    y()\n</pre>", "if x:\n    y()"),
        ("a<p hidden>b</p><p style='display: none'>c</p><noscript><p>d</p></noscript><p>e", "a\ne"),
        ("<div hidden><p>b</p></div>c", "c"),
        ("<p>a <noscript>b <p>c</p> d</noscript> e<noscript>f</noscript>", "a\ne"),
        ("<div>a <noscript><div><img></div></noscript></div>", "a"),
        ("<p>a <img><noscript><img> <b></b></noscript> b", "a b"),
    ],
)
def test_blocks_to_text(page: str, expected: str) -> None:
    assert everything(page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h1>A<br>b</h1><p>One<br>line<h3><a>c</a></h3>", "# A b\n\nOne  \nline\n\n### c"),
        ("<h2>never ended<p>a<p>b", "never ended\n\na\n\nb"),  # too much for a heading
        ("<ul><li>a<li><p>b</p><p>c</p><li>d</ul>e", "- a\n- b\n\n  c\n- d\n\ne"),
        ("x<ol><li>a<li>b<ul><li>c</ul><li>d</ol>", "x\n\n1. a\n2. b\n   - c\n3. d"),
        ("<ol>" + "<li>x" * 10 + "<p>y</ol>", "\n".join(f"{n}. x" for n in range(1, 11)) + "\n\n    y"),
        ("<table><tr><th>k<th>v<tr><td>a|b<td>1</table>z", "| k | v |\n|---|---|\n| a\\|b | 1 |\n\nz"),
        ("<table><tr><td><td>v<tr><td>a<td><td>b</table>", "| | v | |\n|---|---|---|\n| a | | b |"),
        ("<table><tr><td>a<td>b<tr><td><p>One<p>Two<td>c</table>", "| a | b |\n|---|---|\n| One<br>Two | c |"),
        ("<table><tr><td>a<td>b<tr><td><ul><li><b>c</b><li>d|</ul><td>e</table>", "| a | b |\n|---|---|\n| **c**<br>d\\| | e |"),
        ("<table><tr><td>a<td>b<tr><td><pre>c</pre><td>e</table>", "| a | b |\n|---|---|\n\n```\nc\n```\n\ne"),
        # below a cell of several rows, and behind one of several columns, values stand under their heads
        ("<table><tr><th>a<th>b<th>c<tr><td rowspan=2>1<td>2<td>3<tr><td>4<td>5<tr><td colspan=2>6<td>7</table>",
         "| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |\n| | 4 | 5 |\n| 6 | | 7 |"),
        ("<table><tr><th>a<th>b<th>c<tr><td>1<td rowspan=3 colspan=2>2<tr><td>3<tr><td>4<tr><td>5<td>6<td>7</table>",
         "| a | b | c |\n|---|---|---|\n| 1 | 2 | |\n| 3 | | |\n| 4 | | |\n| 5 | 6 | 7 |"),
        ("<table><thead><tr><th rowspan=9>a<th>b<tbody><tr><td>1<td rowspan=0>2<tr><td>3<tbody><tr><td>4<td>5</table>",
         "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | |\n| 4 | 5 |"),
        ("<table><tr><td rowspan=x>a<td colspan=-1>b<tr><td rowspan=99999999999>c<td>d<tr><td>e</table>",
         "| a | b |\n|---|---|\n| c | d |\n| e | |"),
        ("<table><tr><td rowspan=2>a<td>b<td><table><tr><td>c<td>d<tr><td>e<td>f</table><tr><td>g<td>h</table>",
         "| a | b | |\n|---|---|---|\n\n| c | d |\n|---|---|\n| e | f |\n\n| | g | h |\n|---|---|---|"),
        ("<table><tr><td>a<td>b<tr><td colspan=100>c<tr><td>d<td>e</table>", "| a | b |\n|---|---|\n| c | |\n| d | e |"),
        # a title over all columns is a line, a head of one cell is a row
        ("<table><tr><th colspan=2>t<tr><td>a<td>b</table>", "t\n\n| a | b |\n|---|---|"),
        ("<table><tr><th>a<tr><td>b<td>c</table>", "| a | |\n|---|---|\n| b | c |"),
        ("<table><tr><td>a<tr><td>b<td>c</table>", "a\n\n| b | c |\n|---|---|"),
        ("<table><tr><th>a<tr><td>b</table>", "a\n\nb"),
        ("<table><tr><td>a<td>b</table><table><tr><td>c<td>d</table>",
         "| a | b |\n|---|---|\n\n| c | d |\n|---|---|"),
        ("<p>a<pre>if x:\n    y()</pre><pre>```</pre>b", "a\n\n```\nif x:\n    y()\n```\n\n````\n```\n````\n\nb"),
        ("<li>a<pre>x\ny</pre>", "- a\n\n  ```\n  x\n  y\n  ```"),
        ("<pre><div>x</div><div>y</div></pre>", "```\nx\ny\n```"),
        ("<blockquote><p>a<p>b<blockquote>c</blockquote></blockquote>d", "> a\n>\n> b\n\n> > c\n\nd"),
        ("<blockquote><ul><li>a<br>b</ul></blockquote>", "> - a  \n>   b"),
        ("<p>2 * 3 # _x_", "2 * 3 # _x_"),
        ("<p><b>a</b> b<i>c</i>d <em> e <strong>f</strong></em>. <u>g</u>", "**a** b*c*d *e **f***. g"),
        ("<b>a<p>b</b> <i>c<br><br>d</i> <em>e", "**a**\n\nb *c*\n\nd *e*"),  # none goes beyond its line
        ("<b>a <i>b</b> c</i> <b> </b>", "**a b** c"),
        ("<b>a</b><i>b</i> c<b>.d</b> <i>2*3</i>", "a*b* c.d 2*3"),  # what would be read otherwise is left alone
        ("<h2>a <b>b</b></h2><pre>c <b>d</b></pre><a href=/x>e</a>", "## a b\n\n```\nc d\n```\n\ne"),
        ("<table><tr><td><b>a</b><td>b<tr><td>c<td><i>d</i></table>", "| **a** | b |\n|---|---|\n| c | *d* |"),
    ],
)  # fmt: skip
def test_blocks_to_markdown(page: str, expected: str) -> None:
    assert html_to_text(page, extractor="native", main_content=False, format="markdown") == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<a href='/x?a=1&amp;b=(2) \u00fc'>a</a>, <a href=y>b</a>", "[a](http://h.example/x?a=1&b=%282%29%20%C3%BC), [b](http://h.example/d/y)"),
        ("<base href=/o/><base href=/p/><h2><a href=y>a</a></h2>", "## [a](http://h.example/o/y)"),
        ("<b>a <a href=//i.example>b <i>c</i></a></b>", "**a [b c](http://i.example)**"),
        ("<a href=y>a<a href=z>b</a>c", "[a](http://h.example/d/y)[b](http://h.example/d/z)c"),
        ("<a href=#x>a</a> <a href=javascript:b()>b</a> <a>c</a> <a href>d</a> <a href='http://['>e</a>", "a b c [d](http://h.example/d/e) e"),
        ("<a href=y>[1]</a> wow!<a href=y>b</a> <a href=y><img></a>", "[1] wow!b"),
        (f"<a href={'y' * 1981}>a</a> <a href={'y' * 1982}>b</a>", f"[a](http://h.example/d/{'y' * 1981}) b"),
    ],
)  # fmt: skip
def test_links_to_markdown(page: str, expected: str) -> None:
    url = "http://h.example/d/e"
    found = html_to_text(page, main_content=False, format="markdown", links=True, url=url)
    assert found == expected


def test_links_without_a_page_and_in_bounds() -> None:
    def linked(page: str) -> str:
        return html_to_text(page, main_content=False, format="markdown", links=True)

    assert linked("<a href=/x>a</a> <a href=http://h.example>b</a>") == "[a](/x) [b](http://h.example)"
    text = linked(f"<base href=http://h.example/{'x' * 1900}/>" + "<a href=y>a</a> " * 1000)
    assert text.count("](") == 10  # as many bytes of addresses as the page has, and the longest


def test_markdown_is_read_as_it_was_meant() -> None:
    markdown_it = pytest.importorskip("markdown_it").MarkdownIt("commonmark")
    rng = random.Random(5)
    words = [
        "word",
        "two words",
        " ",
        ".",
        ", ",
        "(",
        ") ",
        '"',
        "\u6771\u4eac",
        "\u300c",
        "\u300d",
        "x",
        "1",
        "-",
        "!",
    ]
    tags = ["b", "i", "em", "strong", "a href='/q?x=(1)'", "a"]

    def inline(depth: int) -> str:
        pieces = []
        for _ in range(rng.randint(1, 5)):
            if depth == 3 or rng.random() < 0.55:
                pieces.append(rng.choice(words))
            else:
                tag = rng.choice(tags)
                pieces.append(f"<{tag}>{inline(depth + 1)}" + f"</{tag.split()[0]}>" * (rng.random() < 0.95))
        return "".join(pieces)

    marks = 0
    for _ in range(300):
        page = f"<p>z {inline(0)}"
        read = markdown_it.render(html_to_text(page, main_content=False, format="markdown", links=True))
        marks += len(re.findall("<(?:em|strong|a)", read))
        assert html.unescape(re.sub("<[^>]*>", "", read)).strip() == everything(page), page
    assert marks > 500


def test_tables_and_comments_by_choice() -> None:
    table = "<table><tr><td>a<td>b</table>c"
    assert html_to_text(table, extractor="native", main_content=False, tables=False) == "c"
    remark = "I have been there too, and it was a lovely day."
    page = (
        f"<body><article class=comments-open><h1>The harbour</h1>{f'<p>{SENTENCE} {SENTENCE}</p>' * 6}</article>"
        f"<div id=comments><h3>1 Comment</h3><div class=vcard><a href=/u>somebody</a></div><p>{remark}</div>"
    )
    assert remark not in html_to_text(page, extractor="native")
    with_comments = html_to_text(page, extractor="native", comments=True)
    assert with_comments.endswith(f"\n{remark}")


def test_captions_by_choice() -> None:
    def figure(caption: str) -> str:
        return f"<figure><img><figcaption>{caption}</figcaption></figure>"

    page = f"<p>a{figure('one')}{figure('two')}<p>b<div hidden>{figure('no')}</div><table><caption>c</caption><tr><td>d"
    found = without_unseen(parsed(page), EVERYTHING, True)
    texts = [found.out[a:b].tobytes().decode() for a, b in zip(found.start, found.stop, strict=True)]
    assert texts == ["a", "one", "two", "b", "c", "d"]

    def kept(keep: str, wanted: bool) -> str:
        chosen = captions(found, np.array([text in keep.split() for text in texts]), wanted)
        return " ".join(text for text, is_kept in zip(texts, chosen, strict=True) if is_kept)

    assert kept("a one b c d", False) == "a b d"
    assert kept("a", True) == "a one two"
    assert kept("b", True) == "one two b c"
    assert kept("d", True) == "c d"
    assert kept("one", True) == "one"
    assert everything(page) == "a\none\ntwo\nb\nc\nd"
    assert html_to_text(page, main_content=False, captions=False) == "a\nb\nd"
    assert html_to_text(figure("one"), main_content=False, captions=True) == "one"


def test_deep_and_wide_pages_are_written_in_bounded_space() -> None:
    for piece in ("<blockquote>", "<ul><li>", "<ol><li>", "<table><tr><td>x<td>", "<pre>`", "<td>|"):
        text = html_to_text(f"{piece}a<br>b" * 400, extractor="native", main_content=False, format="markdown")
        assert len(text) < 400 * 300
