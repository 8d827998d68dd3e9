"""Our own parser: what it makes of markup, and what a broken or hostile page cannot do."""

import html
import html.entities
import random

import numpy as np
import pytest

from pipeline.extract import html_to_text
from pipeline.extract.native.blocks import parse
from pipeline.extract.native.names import TAGS
from pipeline.extract.native.parsed import BOLD_SHARE, LINK_SHARE, LINKS, OK, STATS, TOO_DEEP, TOO_LARGE, Parsed
from pipeline.extract.native.words import COMMAS, IDEOGRAPHS, SENTENCE_END, STOP_WORDS, WORDS
from pipeline.extract.options import TextOptions
from pipeline.extract.pages.markup import extract_page

SENTENCE = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall."


def parsed(page: str | bytes, max_depth: int = 500) -> Parsed:
    data = page if isinstance(page, bytes) else page.encode()
    found: Parsed = parse(np.frombuffer(data, np.uint8), max_depth, 1_000_000, False)
    return found


def blocks(page: str | bytes) -> list[str]:
    found = parsed(page)
    out = found.out.tobytes()
    return [out[a:b].decode() for a, b in zip(found.start, found.stop, strict=True)]


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
        ("a<select><option>b</select>c<textarea><p>d</textarea>", ["a c"]),
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


def test_depth_is_bounded() -> None:
    assert parsed("<html><head><body>" + "<div>" * 10 + "x", max_depth=10).status == OK
    assert parsed("<html><head><body>" + "<div>" * 11 + "x", max_depth=10).status == TOO_DEEP
    assert parsed("<p>x" * 1000 + "<li>y" * 1000, max_depth=10).status == OK


def test_elements_and_blocks_are_bounded() -> None:
    for page in ("<p>x" * 11, "<i></i>" * 11, "x<hr>" * 12):
        data = np.frombuffer(page.encode(), np.uint8)
        assert parse(data, 500, 10, False).status == TOO_LARGE
        assert parse(data, 500, 20, False).status == OK


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
