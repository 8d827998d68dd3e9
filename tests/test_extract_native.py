"""Our own extractor: what its parser makes of markup, what a broken page cannot do, and how text is put together."""

import html
import html.entities
import random
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config
from pipeline.extract import html_to_text
from pipeline.extract.native import MODEL_FILE, trees
from pipeline.extract.native.assemble import captions
from pipeline.extract.native.blocks import parse
from pipeline.extract.native.extract import shipped_model
from pipeline.extract.native.features import FEATURES, describe
from pipeline.extract.native.names import TAGS
from pipeline.extract.native.parsed import BOLD_SHARE, LINK_SHARE, LINKS, OK, STATS, TOO_DEEP, TOO_LARGE, Parsed
from pipeline.extract.native.words import COMMAS, IDEOGRAPHS, SENTENCE_END, STOP_WORDS, WORDS
from pipeline.extract.options import TextOptions
from pipeline.extract.pages.markup import extract_page
from pipeline.stages import extract as stage
from pipeline.stages.extract import EXTRACT

SENTENCE = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall."


def parsed(page: str | bytes, max_depth: int = 500) -> Parsed:
    data = page if isinstance(page, bytes) else page.encode()
    found: Parsed = parse(np.frombuffer(data, np.uint8), max_depth, 1_000_000, False)
    return found


def blocks(page: str | bytes) -> list[str]:
    found = parsed(page)
    out = found.out.tobytes()
    return [out[a:b].decode() for a, b in zip(found.start, found.stop, strict=True)]


def everything(page: str) -> str:
    return html_to_text(page, extractor="native", main_content=False)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>a<p>b<div>c</div>d", ["a", "b", "c", "d"]),
        ("a <b>b</b><i>c</i> d", ["a bc d"]),
        ("  a \n\t b\u00a0 c&nbsp;d\r\n", ["a b c d"]),
        ("x<br>y<br/>z", ["x\ny\nz"]),
        ("x<br><br>y<br> <br><br>z<br>", ["x", "y", "z"]),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>d", ["a", "b", "c", "d"]),
        ("<table><tr><td>a<td>b<tr><td>c</table>", ["a", "b", "c"]),
        ("<pre>\n  a\n    b <b>c</b>\n\n\td</pre>e  f", ["  a\n    b c\n\n\td", "e f"]),
        ("<script>x='<p>no</p>'</script>yes<style>p{}</style>", ["yes"]),
        ("a<select><option>b</select>c<textarea><p>d</textarea>", ["ac"]),
        ("a<svg><title>b</title><text>c</text></svg>d", ["ad"]),
        ("<title>t</title><p>a", ["a"]),
        ("<p>a<noscript>&lt;img src=x&gt;</noscript>&lt;b&gt;<noscript>c<p>d</noscript>", ["a", "<b>", "c", "d"]),
        ("a<!-- <p>b --> c<!-->d<!--->e<![CDATA[f]]>g<?h?>i", ["a cdegi"]),
        ("a<!-- b --!>c", ["ac"]),
        ("1 < 2 <3 </ > &lt;b&gt;", ["1 < 2 <3 <b>"]),
        ("<a title='>'>x</a><a title=\">'\">y</a>", ["xy"]),
        ("<p>\u6771\u4eac \u00fc \U0001f600", ["\u6771\u4eac \u00fc \U0001f600"]),
        ("", []),
        ("<", ["<"]),
        ("</", []),
        ("<p", []),
        ("a<p b='", ["a"]),
        ("<p>&", ["&"]),
    ],
)
def test_markup_to_blocks(page: str, expected: list[str]) -> None:
    assert blocks(page) == expected


@pytest.mark.parametrize(
    "opening", ["<svg>", "<template>", "<object>", "<select>", "<math>", "<!--", "<script>", "<style>"]
)
def test_what_never_ends_does_not_swallow_the_page(opening: str) -> None:
    assert blocks(f"<p>before</p>{opening} x='y'; <p>after</p><p>end</p>")[-2:] == ["after", "end"]
    assert blocks(f"<p>before</p>{opening}{opening}<p>after {opening}</p><p>end</p>")[-1] == "end"


def test_a_noscript_that_never_ends_hides_nothing() -> None:
    assert everything("<p>a</p><noscript><p>b</p></noscript><noscript><p>c") == "a\nc"


def test_an_open_quote_does_not_swallow_the_page() -> None:
    assert blocks("<p>a</p><a href=\"x><p>b</p><a title='>c</a><p>d</p>") == ["a", "b", "c", "d"]
    assert html_to_text(f"<title>A title<p>{SENTENCE * 3}", extractor="native") == SENTENCE * 3


def test_entities_are_read_as_python_reads_them() -> None:
    for name, text in html.entities.html5.items():
        if name.endswith(";") and not (set(text) & set("\t\n\u00a0\u00ad\u200b\u200c\u200d") or text.isspace()):
            assert blocks(f"<p>x&{name}y") == [f"x{text}y"], name
    for page in (
        "&copy2020",
        "&notit;",
        "&amp",
        "&ampamp;",
        "&bogus;",
        "&#65;&#x42;&#X43",
        "&#150;&#x93;",
        "&;&#;&#x;",
        "&#x110000;",
    ):
        assert blocks(f"<p>{page}") == [html.unescape(page)], page
    assert blocks("<p>&#0;&#xD800;&#99999999999999999999;") == ["\ufffd" * 3]
    assert blocks("<p>a&shy;b\u00adc&#8203;d&nbsp;&nbsp;e&zwj; &zwnj;&nbsp;") == ["abc d e\u200d"]
    assert blocks("<p>\u0645\u06cc&zwnj;\u0634\u0648\u062f") == ["\u0645\u06cc\u200c\u0634\u0648\u062f"]


def test_the_tree_and_the_counts() -> None:
    page = parsed("<body class=home><div><p>A, b. <a href=x>link</a></p><a name=y>The end.</a><b>no</b></div>")
    assert [TAGS[tag] for tag in page.tag] == ["", "div", "p", "a", "a", "b"]
    assert list(page.parent) == [-1, 0, 1, 2, 1, 1]
    assert page.stats.shape == (2, STATS)
    first, second = page.stats
    assert (first[LINKS], second[LINKS]) == (1, 0)
    assert first[LINK_SHARE] == np.float32(4 / 10)
    assert second[BOLD_SHARE] == np.float32(2 / 10)
    assert (first[WORDS], first[COMMAS], second[STOP_WORDS], first[SENTENCE_END]) == (3, 1, 2, 0)
    ends = {
        "End.": 1,
        "End?\u201d": 1,
        "End": 0,
        "End:": 0.5,
        "\u7d42\u308f\u308a\u3002": 1,
        "Ende\u2026": 1,
        "\u0643\u061f": 1,
    }
    for text, end in ends.items():
        assert parsed(text).stats[0, SENTENCE_END] == end, text
    assert parsed("\u6771\u4eac\u3068 ab").stats[0, IDEOGRAPHS] == 3
    assert parsed("\u0418 \u041d\u0415 \u00dcber f\u00fcr").stats[0, STOP_WORDS] == 4


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
        ("<table><tr><td>menu<td><p>One<p>Two</table>", "menu\nOne\nTwo"),
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
        ("<table><tr><td>a<td>b<tr><td><p>One<p>Two<td>c</table>", "| a | b |\n|---|---|\n\nOne\n\nTwo\n\nc"),
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
    found = parsed(page)
    texts = blocks(page)
    assert texts == ["a", "one", "two", "b", "no", "c", "d"]

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


def test_main_content_of_a_page() -> None:
    paragraphs = [f"{SENTENCE} {SENTENCE} Number {n}." for n in range(6)]
    page = (
        "<html><head><title>A &amp; B</title></head><body><ul class=menu><li><a href=/>Home</a><li><a href=/x>More</a></ul>"
        f"<div class=content><h1>The harbour</h1>{''.join(f'<p>{p}</p>' for p in paragraphs)}</div>"
        "<div class=footer><a href=/legal>Legal</a> Copyright by nobody</div></body></html>"
    )
    found = extract_page(page, TextOptions(extractor="native"))
    assert found.title == "A & B"
    assert found.text is not None
    assert found.text.split("\n")[-6:] == paragraphs
    assert "Home" not in found.text
    assert "Legal" not in found.text


def test_depth_is_bounded() -> None:
    assert parsed("<html><head><body>" + "<div>" * 10 + "x", max_depth=10).status == OK
    assert parsed("<html><head><body>" + "<div>" * 11 + "x", max_depth=10).status == TOO_DEEP
    assert parsed("<p>x" * 1000 + "<li>y" * 1000, max_depth=10).status == OK


def test_elements_and_blocks_are_bounded() -> None:
    for page in ("<p>x" * 11, "<i></i>" * 11, "x<hr>" * 12):
        data = np.frombuffer(page.encode(), np.uint8)
        assert parse(data, 500, 10, False).status == TOO_LARGE
        assert parse(data, 500, 20, False).status == OK


def test_trees_are_walked_as_written() -> None:
    rng = np.random.default_rng(0)
    forest = trees.Forest(
        rng.integers(0, 7, (40, 31)).astype(np.uint8),
        rng.random((40, 31), np.float32),
        rng.normal(0, 1, (40, 32)).astype(np.float32),
    )
    table = rng.random((50, 7), np.float32)
    table[0] = forest.threshold[0, 0]  # equal goes left

    def slow(row: np.ndarray, exits: bool) -> float:
        total = np.float32(0)
        for t in range(40):
            at = 0
            while at < 31:
                at = 2 * at + (2 if row[forest.feature[t, at]] > forest.threshold[t, at] else 1)
            total += forest.leaf[t, at - 31]
            if exits and t % 16 == 15 and abs(total) > 3.0:
                break
        return float(1 / (1 + np.exp(-np.float64(total))))

    for exits in (False, True):
        np.testing.assert_allclose(trees.score(table, forest, exits), [slow(row, exits) for row in table], rtol=1e-5)
    assert not np.array_equal(trees.score(table, forest, False), trees.score(table, forest, True))


def test_the_second_round_sees_the_verdicts_around() -> None:
    alone = np.array([0.9, 0.1, 0.8, 0.2], np.float32)
    around = np.zeros((4, 4), np.int32)
    around[2:, 0] = 3
    found = np.full((4, trees.CONTEXT + 2), 7, np.float32)
    trees.context(alone, np.full(4, 5, np.float32), around, found)
    assert trees.CONTEXT == 17 + 8
    assert list(found[1, :7]) == pytest.approx([0.1, 0, 0, 0.9, 0.8, 0.2, 0])
    assert found[0, 7:11] == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert found[1, 11:17] == pytest.approx([0.9, 9 / 20, 20, 10 / 20, 0, 0])
    assert found[3, 17:19] == pytest.approx([0.5, 0.5])
    assert (found[:, 25:] == 7).all()


def test_the_model_fits_the_features() -> None:
    model = shipped_model()
    assert model.alone.feature.max() < FEATURES
    assert model.together.feature.max() < FEATURES <= 256
    assert model.alone.feature[np.isfinite(model.alone.threshold)].min() >= trees.CONTEXT
    assert MODEL_FILE.stat().st_size < 300_000
    for forest in (model.alone, model.together):
        assert np.isfinite(forest.leaf).all()
        assert not np.isnan(forest.threshold).any()
    table, around = describe(parsed(f"<p>{SENTENCE}" * 5))
    assert table.shape == (5, FEATURES)
    assert around.shape == (5, 4)
    assert np.isfinite(table).all()


def test_a_model_is_saved_and_loaded_alike(tmp_path: Path) -> None:
    model = shipped_model()
    trees.save(tmp_path / "a.npz", model)
    again = trees.load(tmp_path / "a.npz")
    assert again.threshold == model.threshold
    for one, other in zip((*model.alone, *model.together), (*again.alone, *again.together), strict=True):
        np.testing.assert_array_equal(one, other)


def mutants(seed: int, count: int) -> list[bytes]:
    """Pages made of the parser's own words and odd bytes, cut anywhere."""
    rng = random.Random(seed)
    pieces = [f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS] + [
        "<!--", "-->", "<!", "<?", "&", "&#", "&#x", "&nGt;", "&amp", "\"", "'", "=", "<a href=", "<p class='x-y nav", ">", "/>", " ",
        "\n", "\u00a0", "\u6771", "\U0001f600", "\x85", "word", "Two words. ", "<div style=display:none>", "<title>t", "<br><br>",
    ]  # fmt: skip
    pages = ["".join(rng.choices(pieces, k=rng.randint(1, 60))).encode() for _ in range(count)]
    return [page[: rng.randint(0, len(page))] if rng.random() < 0.3 else page for page in pages]


def test_odd_pages_make_no_fault() -> None:
    for page in mutants(1, 1500):
        text = page.decode(errors="ignore")
        for main_content in (True, False):
            found = extract_page(text, TextOptions(extractor="native", main_content=main_content))
            assert found.problem in (None, "empty_text")


def test_hostile_pages_take_linear_time() -> None:
    # Each was quadratic in some parser; at this size that would be minutes.
    for piece in (
        "<title>",
        "<svg>",
        "<!--",
        "<script>",
        '<a b="',
        "<a b='",
        "<b>",
        "</b>",
        "<x<",
        "&#",
        "&amp",
        "<p>",
        "<!",
        "</",
        "<noscript>",
        "x</noscript><noscript>",
        "<noscript></noscript><x ",
    ):
        parsed(piece * (2_000_000 // len(piece)), max_depth=500)


def test_a_changed_model_extracts_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    native = Config.model_validate({"input": {"paths": ["x"]}, "extract": {"extractor": "native"}})
    before = EXTRACT.options(native, ())
    (tmp_path / "m.npz").write_bytes(b"other")
    monkeypatch.setattr(stage, "MODEL_FILE", tmp_path / "m.npz")
    assert EXTRACT.options(native, ()) != before
    other = Config.model_validate({"input": {"paths": ["x"]}, "extract": {"extractor": "resiliparse"}})
    assert EXTRACT.options(other, ()).model is None
