"""Where a page's text comes from: what it shows, <noscript>, JSON-LD, preloaded state; and that nothing is said twice."""

import json
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.extract import html_to_text
from pipeline.extract.inputs.archive import Record
from pipeline.extract.options import TEXT_SOURCES, ExtractOptions, Format, TextOptions, TextSource
from pipeline.extract.page import rows
from pipeline.extract.pages.entries import lacking, without_repeated
from pipeline.extract.pages.from_scripts import BARE, FEWEST, LONG, SHOWN, from_scripts
from pipeline.extract.pages.markup import extract_page

ALL = TextOptions(main_content=False)


def prose(sentences: int, start: int = 0) -> str:
    """Sentences of ten words, each different from the others."""
    return " ".join(f"Boat number {start + n} left harbour {n} before wind {n} turned." for n in range(sentences))


def ld(value: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(value)}</script>'


def article(body: str) -> str:
    return ld({"@type": "NewsArticle", "headline": "Boats leave", "articleBody": body})


def test_a_page_without_text_of_its_own_has_the_text_of_its_json_ld() -> None:
    page = f"<title>Boats</title>{article(prose(8))}<div id=app>Loading</div>"
    found = extract_page(page, ALL)
    assert found.text == f"Loading\nBoats leave\n{prose(8)}"
    assert found.text_from == ("page", "json-ld")
    assert extract_page(page, TextOptions(main_content=False, format="markdown")).text == (
        f"Loading\n\n## Boats leave\n\n{prose(8)}"
    )


def test_a_teaser_is_not_said_twice() -> None:
    teaser, rest = prose(3), prose(12, 100)
    page = f"<h1>At sea</h1><p>{teaser}</p><p>Subscribe to read on.</p>{article(teaser + ' ' + rest)}"
    assert html_to_text(page, main_content=False) == f"At sea\nSubscribe to read on.\nBoats leave\n{teaser} {rest}"


def test_what_the_page_shows_is_not_added_again() -> None:
    page = f"<p>{prose(8)}</p>{article(prose(8))}"
    assert extract_page(page, ALL).text == prose(8)
    # nor what it shows in another place than the main content, or marked up otherwise
    marked = prose(8).replace("harbour", "<b>harbour</b>").replace(". ", ".<br>")
    assert extract_page(f"<div>{marked}</div>{article(prose(8))}", ALL).text_from == ("page",)


def test_noscript_is_read_where_most_of_the_page_is_in_it() -> None:
    inside = f"<noscript><h1>Topic</h1><p>{prose(3)}</p></noscript>"
    found = extract_page(f"<div>Home</div>{inside}", ALL)
    assert (found.text, found.text_from) == (f"Home\nTopic\n{prose(3)}", ("page", "noscript"))
    shown = extract_page(f"<p>{prose(4, 50)}</p>{inside}", ALL)
    assert (shown.text, shown.text_from) == (prose(4, 50), ("page",))
    notice = extract_page("<div>Home</div><noscript>Please switch on JavaScript to see this site</noscript>", ALL)
    assert notice.text == "Home"
    only_page = TextOptions(main_content=False, text_from=("page",))
    assert extract_page(f"<div>Home</div>{inside}", only_page).text == "Home"


def test_noscript_is_judged_like_other_main_content_unless_it_is_no_source() -> None:
    body = "".join(f"<p>{prose(5, 10 * n)}</p>" for n in range(5))
    page = f"<title>Boats</title><body><noscript><h1>Boats</h1>{body}</noscript>"
    found = extract_page(page, TextOptions())
    assert found.text is not None
    assert found.text.endswith(prose(5, 40))
    assert found.text_from == ("noscript",)
    assert extract_page(page, TextOptions(text_from=("page", "json-ld"))).text is None


def test_without_the_page_only_the_other_sources_count() -> None:
    page = f"<p>Home and contact</p>{article(prose(8))}"
    assert html_to_text(page, main_content=False, text_from=["json-ld"]) == f"Boats leave\n{prose(8)}"
    assert html_to_text(page, main_content=False, text_from=["noscript"]) == ""


def test_a_notice_in_noscript_gives_way_to_the_text_it_stands_for() -> None:
    page = f"<noscript>{'You need to enable JavaScript to run this app. ' * 4}</noscript>{article(prose(20))}"
    found = extract_page(page, ALL)
    assert (found.text, found.text_from) == (f"Boats leave\n{prose(20)}", ("json-ld",))


def entries(size: int, main: bool) -> str:
    """JSON-LD of so many words, of the page's main text or of what stands beside it."""
    text = " ".join(f"word{n}" for n in range(size))
    return ld({"@type": "Thing", "text": text} if main else {"@type": "Thing", "review": {"reviewBody": text}})


@pytest.mark.parametrize(
    ("size", "shown", "added", "main", "expected"),
    [
        (0, 0, FEWEST, True, True),
        (0, 0, FEWEST - 1, True, False),
        (100, 5000, 101, True, True),
        (100, 5000, 100, True, False),
        (LONG - 1, LONG, LONG, True, True),
        (LONG, LONG, 10 * LONG, True, False),
        (BARE - 1, SHOWN - 1, BARE, False, True),
        (BARE, SHOWN - 1, 10 * BARE, False, False),
        (BARE - 1, SHOWN, 10 * BARE, False, False),
    ],
)
def test_when_a_text_is_added(size: int, shown: int, added: int, main: bool, expected: bool) -> None:
    found = from_scripts(entries(added, main).encode(), TEXT_SOURCES, size, lambda: shown, lambda: "")
    assert (found is not None) == expected


def test_an_entry_is_lacking_if_less_than_half_of_its_runs_of_words_are_there() -> None:
    own = [f"w{n}" for n in range(14)]  # ten runs of five
    text = " ".join(own)
    assert lacking([text], lambda: " ".join(own[:8]), 1) == ([text], 14)  # four of them
    assert lacking([text], lambda: " ".join(own[:9]), 1) == ([], 0)
    assert lacking([text], lambda: "", 15) == ([], 0)
    assert lacking(["<p>W1, <b>w2</b>"], lambda: "w0 w1 w2", 1) == (
        [],
        0,
    )  # fewer words than five: in this order
    assert lacking(["w2 w1"], lambda: "w0 w1 w2", 1) == (["w2 w1"], 2)
    assert lacking(["a b", "<i>a b</i>", ""], lambda: "", 1) == (["a b"], 2)
    quoting = ["a b c d e f", "a b c d e f g", "b c d e f g"]
    assert lacking(quoting, lambda: "", 1) == (quoting[:2], 13)
    assert lacking(["東京都"], lambda: "東 京 都", 1) == ([], 0)


def test_paragraphs_that_are_repeated_go() -> None:
    assert without_repeated("A b c\n\nd\n—", "x a B c. y", "\n") == "\nd\n—"


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_options_hold_for_what_is_added(format: Format) -> None:
    body = f"<h3>Sea</h3><p>{prose(8)}</p><table><tr><td>a<td>b<tr><td>c<td>d</table><p>See <a href='/x'>this</a></p>"
    page = ld({"@type": "Article", "articleBody": body})
    text = html_to_text(page, format=format, links=format == "markdown", url="http://a.example/b/")
    if format == "text":
        assert text == f"Sea\n{prose(8)}\na | b\nc | d\nSee this"
    else:
        assert text == (f"### Sea\n\n{prose(8)}\n\n| a | b |\n|---|---|\n| c | d |\n\nSee [this](http://a.example/x)")


def test_markup_in_a_script_that_cannot_be_extracted_adds_nothing() -> None:
    deep = ld({"@type": "Article", "articleBody": "<div>" * 600 + prose(8)})
    assert extract_page(f"<p>Home</p>{deep}", ALL).text == "Home"


@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse"])
def test_other_extractors_say_that_they_do_not_have_these_options(extractor: str) -> None:
    with pytest.raises(UserError, match=f'text_from: "{extractor}" does not have this option; "native" has'):
        html_to_text("<p>x", extractor=extractor, text_from=["page"])
    with pytest.raises(UserError, match=f'title: "{extractor}" does not have this option; "native" has'):
        html_to_text("<p>x", extractor=extractor, title=True)
    found = extract_page(
        f"<article><h1>Boats</h1><p>{prose(20)}</p><p>{prose(20, 50)}</p></article>", TextOptions(extractor=extractor)
    )
    assert found.text_from == ("page",)


@pytest.mark.parametrize(
    ("text_from", "message"),
    [
        (["json_ld"], "text_from: 'json_ld' is not one of page, noscript, json-ld, preloaded (did you mean json-ld?)"),
        ([], "text_from: names no source; there are page, noscript, json-ld, preloaded"),
    ],
)
def test_unknown_sources_are_refused(text_from: list[TextSource], message: str) -> None:
    with pytest.raises(UserError) as error:
        html_to_text("<p>x", text_from=text_from)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text_from", "message"),
    [
        ("page", 'text_from must be a list of names, not one string; give a list: ["page"]'),
        (None, "text_from must be a list of names, not None"),
        ([b"page"], "text_from[0] must be a string, not bytes; decode it: text.decode()"),
        (["page", 3], "text_from[1] must be a string, not an int"),
    ],
)
def test_other_types_are_refused(text_from: Any, message: str) -> None:
    with pytest.raises(TypeError) as error:
        html_to_text("<p>x", text_from=text_from)
    assert str(error.value) == message


def test_the_order_of_text_from_does_not_matter() -> None:
    assert html_to_text("<p>x", main_content=False, text_from=TEXT_SOURCES[::-1]) == "x"
    assert html_to_text("<p>x", extractor="resiliparse", main_content=False, text_from=TEXT_SOURCES[::-1]) == "x"


def test_the_ledger_says_where_a_text_is_from() -> None:
    def row_of(body: str, kind: str = "text/html") -> list[str] | None:
        record = Record("response", http_status=200, content_type=kind, body=body.encode())
        [row] = rows([record], ExtractOptions(main_content=False), archive="x")
        return row.text_from

    assert row_of(f"<p>Home</p>{article(prose(8))}") == ["page", "json-ld"]
    assert row_of("<p>Home</p>") == ["page"]
    assert row_of("<p></p>") is None
    assert row_of("Home", "text/plain") is None


@pytest.mark.parametrize("main_content", [True, False])
@pytest.mark.parametrize("format", ["text", "markdown"])
def test_a_page_whose_every_word_is_unseen_or_no_source(main_content: bool, format: Format) -> None:
    for page in ("<noscript>x <b>y</b></noscript>", "<div>x</div><p hidden>y <a href=/x>z</a></p>", "<b><img></b>", ""):
        found = html_to_text(
            page,
            main_content=main_content,
            format=format,
            captions=True,
            comments=True,
            title=True,
            text_from=["json-ld"],
        )
        assert found == ""
