"""What a page says in JSON-LD: which of its texts are read, in which order, and that no JSON can harm."""

import json
import re

import pytest

from pipeline.extract.options import TextOptions
from pipeline.extract.pages.json_ld import json_ld
from pipeline.extract.pages.json_markup import as_markup
from pipeline.extract.pages.json_values import MAX_JSON, read_json
from pipeline.extract.pages.markup import extract_page
from pipeline.extract.pages.scripts import every_script, scripts_of


def said(value: object) -> list[str]:
    return list(json_ld([json.dumps(value).encode()], True))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"@type": "Article", "headline": "A", "description": "sum", "articleBody": "b\nc"}, ["<h2>A</h2><div>b<p>c</div>"]),
        ({"@type": ["NewsArticle", "Thing"], "articleBody": ["b", None, "c"]}, ["<div>b<p>c</div>"]),
        ({"@type": "https://schema.org/Product", "name": "N", "description": "d"}, ["<h2>N</h2><div>d</div>"]),
        ({"@type": "Product", "name": "N", "offers": {"@type": "Offer", "description": "o"}}, []),
        (
            {"@type": "Product", "additionalProperty": [{"@type": "PropertyValue", "name": "mass", "value": "9 kg"}]},
            ["<ul><li>mass: 9 kg</ul>"],
        ),
        ({"@type": "Product", "additionalProperty": [{"@type": "PropertyValue", "name": "mass", "value": 9}]}, ["<ul><li>mass: 9</ul>"]),
        (
            {"@type": "Product", "review": {"@type": "Review", "name": "R", "author": {"name": "Al"}, "reviewBody": "r"}},
            ["<h2>R</h2><p>Al</p><div>r</div>"],
        ),
        (
            {
                "@type": "QAPage",
                "mainEntity": {
                    "@type": "Question", "name": "Q", "text": "q", "author": [{"name": "Al"}],
                    "suggestedAnswer": [{"@type": "Answer", "text": "b"}],
                    "acceptedAnswer": {"@type": "Answer", "text": "a", "comment": [{"@type": "Comment", "text": "c"}]},
                },
            },
            ["<h2>Q</h2><p>Al</p><div>q</div>", "<div>a</div>", "<div>c</div>", "<div>b</div>"],
        ),
        (
            {"@type": "FAQPage", "mainEntity": [{"@type": "Question", "name": "Q", "acceptedAnswer": {"text": "<p>a</p>"}}]},
            ["<h2>Q</h2>", "<div><p>a</p></div>"],
        ),
        (
            {"@type": "DiscussionForumPosting", "headline": "H", "text": "p", "comment": [{"@type": "Comment", "text": "c"}]},
            ["<h2>H</h2><div>p</div>", "<div>c</div>"],
        ),
        (
            {"@type": "Recipe", "description": "d", "recipeIngredient": ["1 egg"], "recipeInstructions": [{"@type": "HowToStep", "name": "n", "text": "Stir"}]},
            ["<div>d</div>", "<ul><li>1 egg</ul>", "<ul><li><div>Stir</div></ul>"],
        ),
        ({"@type": "Recipe", "recipeInstructions": "Stir.\nBake."}, ["<div>Stir.<p>Bake.</div>"]),
        ({"@graph": [{"@type": "WebSite", "description": "w"}, {"@type": "Organization", "description": "o"}, {"@type": "Event", "description": "e"}]}, ["<div>e</div>"]),
        ({"@type": "WebPage", "description": "w", "mainEntity": {"@type": "Event", "description": "e"}}, ["<div>e</div>"]),
        ({"@type": "ItemList", "itemListElement": [{"@type": "ListItem", "name": "a"}, {"@type": "ListItem", "item": {"name": "b", "description": "c"}}]}, ["<ul><li><div>a</div></ul>", "<h2>b</h2><div>c</div>"]),
        ({"@type": {"a": 1}, "text": {"b": 2}, "name": 3, "author": [], "comment": None}, []),
        ([[["text"]], 1, None, True], []),
    ],
)  # fmt: skip
def test_what_is_said(value: object, expected: list[str]) -> None:
    assert said(value) == expected


@pytest.mark.parametrize(
    ("value", "without_the_rest"),
    [
        (
            {
                "text": "a",
                "review": [{"reviewBody": "b"}],
                "itemListElement": [{"text": "c"}],
                "hasPart": {"text": "d"},
            },
            ["a"],
        ),
        ({"@type": "DiscussionForumPosting", "text": "a", "comment": [{"text": "b"}]}, ["a", "b"]),
        ({"@type": "Article", "articleBody": "a", "comment": [{"text": "b"}]}, ["a"]),
        (
            {"@type": "Recipe", "recipeInstructions": [{"itemListElement": [{"@type": "HowToStep", "text": "b"}]}]},
            ["b"],
        ),
    ],
)
def test_reviews_and_lists_stand_beside_the_main_text(value: object, without_the_rest: list[str]) -> None:
    found = [re.sub("<[^<>]*>", "", entry) for entry in json_ld([json.dumps(value).encode()], False)]
    assert found == without_the_rest
    assert len(said(value)) >= len(found)


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("a < b & c &amp; d", "a &lt; b & c &amp; d"),
        (" a \n\n b\r\nc ", "a<p>b<p>c"),
        ("a<br>b < c", "a<br>b < c"),
        ("&lt;p&gt;a &amp;amp; b&lt;/p&gt;", "<p>a &amp; b</p>"),
        ("the tag &lt;p&gt; <b>here</b>", "the tag &lt;p&gt; <b>here</b>"),
        ("x<1 and y>2", "x&lt;1 and y>2"),
    ],
)
def test_strings_as_markup(text: str, markup: str) -> None:
    assert as_markup(text) == markup


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ('{"a": [1, 2.5, true, null]}', {"a": ["1", "2.5", True, None]}),
        ('//<![CDATA[\n{"a": "b"}\n//]]>', {"a": "b"}),
        ('/*<![CDATA[*/{"a": "b"}/*]]>*/', {"a": "b"}),
        ('<!-- {"a": "b"} -->', {"a": "b"}),
        ('{"a": "b"};', {"a": "b"}),
        ('{"a": "b", "a": "c"}', {"a": "c"}),
        ('{"a": "b\n\tc"}', {"a": "b\n\tc"}),
        ('{"a": NaN, "b": -Infinity}', {"a": "NaN", "b": "-Infinity"}),
        ("9" * 5000, "9" * 5000),
        ("1e999999999", "1e999999999"),
        ("[" * 100_000, None),
        ("[" * 100_000 + "]" * 100_000, None),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, None),
        ('{"a": "b",}', None),
        ("{'a': 'b'}", None),
        ('{"a": "b', None),
        ("", None),
    ],
)
def test_json_of_a_page(script: str, value: object) -> None:
    assert read_json(script) == value


def test_a_value_that_is_too_long_is_not_read() -> None:
    assert read_json('"' + "a" * (MAX_JSON - 2) + '"') is not None
    assert read_json('"' + "a" * (MAX_JSON - 1) + '"') is None


def test_values_are_looked_into_to_a_depth() -> None:
    def nested(depth: int) -> object:
        value: object = {"text": "x"}
        for _ in range(depth):
            value = [value]
        return value

    assert said(nested(50)) == ["<div>x</div>"]
    assert said(nested(51)) == []


def test_broken_characters_of_json_do_not_reach_the_text() -> None:
    body = " ".join(f"word{n}" for n in range(30))
    page = f'<script type="application/ld+json">{{"@type": "Article", "articleBody": "\\ud800{body}\\u0000 \\udfff"}}</script>'
    assert extract_page(page, TextOptions(main_content=False)).text == body


def test_scripts_are_found_by_their_type() -> None:
    page = (
        b"<script>var s = 'application/ld+json';</script>"
        b'<SCRIPT id=a type="application/ld+json" class=x>{"a":1}</SCRIPT>'
        b"<p type=application/ld+json>x</p><script type=application/ld+json>2</script ><script type='application/ld+json'>3"
    )
    assert list(scripts_of(page, b"application/ld+json")) == [b'{"a":1}', b"2"]
    assert [content for _, content in every_script(page)][1:] == [b'{"a":1}', b"2"]
    assert list(scripts_of(b"<script" + b" " * 500 + b"ld>1</script>", b"ld>")) == []  # too far from the tag's start
    assert list(json_ld([b"\xff{"], True)) == []
    assert list(json_ld([b'{"text": "a"}', b"broken", b'{"text": "b"}'], True)) == [
        "<div>a</div>",
        "<div>b</div>",
    ]
