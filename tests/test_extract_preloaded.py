"""The text in a framework's preloaded state: posts, and strings of prose; never labels, translations or code."""

import json
from html import escape

import pytest

from pipeline.extract.options import TextOptions
from pipeline.extract.pages.markup import extract_page
from pipeline.extract.pages.preloaded import discourse, state

LONG = " ".join(f"Boat number {n} left the harbour before the wind turned." for n in range(6))
SHORT = "A boat left the harbour, and nobody on the pier had seen who was at the helm or when it would return."
"""Twenty-two words."""


def script(content: str, attributes: str = "") -> bytes:
    return f"<html><body><div id=root></div><script {attributes}>{content}</script>".encode()


def found(page: bytes) -> list[str]:
    return [entry.removeprefix("<div>").removesuffix("</div>") for entry in state(page)]


def topic(posts: object) -> bytes:
    stores = {"site": json.dumps({"cooked": "no"}), "topic_7": json.dumps({"post_stream": {"posts": posts}})}
    return f'<div id="data-preloaded" data-preloaded="{escape(json.dumps(stores))}"></div>'.encode()


def test_posts_of_discourse() -> None:
    posts = [{"username": "al", "cooked": "<p>One &amp; two</p>"}, {"cooked": "<p>Three</p>"}, {"username": "bo"}, 4]
    assert list(discourse(topic(posts))) == [
        "<p>al</p><div><p>One &amp; two</p></div>",
        "<div><p>Three</p></div>",
    ]


@pytest.mark.parametrize(
    "page",
    [
        b"<div data-preloaded></div>",
        b'<div data-preloaded=""></div>',
        b'<div data-preloaded="{&quot;topic_1&quot;:1}">',
        b'<div data-preloaded="{&quot;topic_1&quot;:&quot;[]&quot;}">',
        b'<div data-preloaded="[1]">',
        b'<div data-preloaded="{',
        topic({"a": 1}),
        topic(None),
    ],
)
def test_a_store_without_posts_has_none(page: bytes) -> None:
    assert list(discourse(page)) == []


def test_a_topic_that_only_scripts_show_has_its_posts_as_text() -> None:
    posts = [{"username": f"user{n}", "cooked": f"<p>{LONG.replace(' ', f' {n} ')}</p>"} for n in range(2)]
    page = extract_page(topic(posts), TextOptions())
    assert page.text_from == ("preloaded",)
    assert page.text is not None
    assert page.text.split("\n")[::2] == ["user0", "user1"]
    assert extract_page(topic(posts), TextOptions(text_from=("page", "noscript", "json-ld"))).text is None


@pytest.mark.parametrize(
    "page",
    [
        script(
            json.dumps({"props": {"post": {"title": "T", "body": LONG}}}), 'id="__NEXT_DATA__" type="application/json"'
        ),
        script(json.dumps({"a": {"body": LONG}}), "type='application/json' data-x"),
        script("window.__INITIAL_STATE__ = " + json.dumps({"a": [{"body": LONG}]}) + ";"),
        script("window.__APOLLO_STATE__={'a':{body:" + json.dumps(LONG) + "}}"),
        script("window.__NUXT__=(function(a,b){return {data:[{body : " + json.dumps(LONG) + ",x:a}]}}(1,2))"),
        script("var s = JSON.parse(" + json.dumps(json.dumps({"body": LONG})) + ")"),
        script(json.dumps([{"state": 1}, {"body": 3}, 7, LONG]), 'type="application/json" id="__NUXT_DATA__"'),
        script("self.__next_f.push([1," + json.dumps('5:["$","p",null,{"body":' + json.dumps(LONG)) + "])")
        + script("self.__next_f.push([1," + json.dumps("}]\n") + "])"),
    ],
)
def test_forms_of_state(page: bytes) -> None:
    assert found(page) == [LONG]
    text = extract_page(page, TextOptions())
    assert (text.text, text.text_from) == (LONG, ("preloaded",))


def test_long_rows_of_a_flight_stream() -> None:
    html = f"<p>{LONG} Größe 😀</p>"
    stream = f'1:T{len(html.encode()):x},{html}2:["$","p"]\n3:Tffffffff,{LONG}'
    page = script("self.__next_f.push([0])") + b"".join(
        script(f"self.__next_f.push([1,{json.dumps(stream[at : at + 50])}])") for at in range(0, len(stream), 50)
    )
    assert found(page) == [html, LONG]


def test_escapes_of_javascript() -> None:
    page = script('window.__STATE__ = {x_STATE__: 1, body: "' + LONG + " It\\'s \\x3cb>so\\x3c/b> \\u003ci>\\\\'\\n\"}")
    assert found(page) == [LONG + " It's <b>so</b> <i>\\'\n"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SHORT, True),
        (SHORT.replace("A boat left", "Boats"), True),
        (SHORT.replace("A boat left the", "Past"), False),  # nineteen words
        (SHORT.removesuffix("."), False),
        (SHORT.replace(".", "。"), True),
        (f"<p>{SHORT}</p>", True),
        (f"&lt;p&gt;{SHORT}&lt;/p&gt;", True),
        ("function (a) " + SHORT, False),
        (SHORT + " ${name}", False),
        ('{"a": ' + SHORT, False),
        (SHORT + " a => b", False),
        ("東" * 19 + "。", False),
        ("東" * 20 + "。", True),
    ],
)
def test_what_reads_like_prose(text: str, expected: bool) -> None:
    assert bool(found(script(json.dumps({"text": text}), "type=application/json"))) == expected


@pytest.mark.parametrize("name", ["text", "bodyHtml", "htmlContent", "productDescription"])
def test_names_of_text(name: str) -> None:
    assert found(script(json.dumps({name: LONG}), "type=application/json")) == [LONG]
    nuxt = script(json.dumps([{name: 1}, LONG]), 'type="application/json" id="__NUXT_DATA__"')
    assert found(nuxt) == [LONG]


@pytest.mark.parametrize(
    "name", ["buttonText", "alt_text", "meta.description", "$body", "excerpt", "errorMessage", "text2", "-text"]
)
def test_other_names_are_not_read(name: str) -> None:
    assert found(script(json.dumps({name: LONG}), "type=application/json")) == []


def test_strings_of_the_name_with_the_longest_are_read_in_order() -> None:
    store = [{"text": SHORT, "description": SHORT}, {"description": SHORT}, {"text": LONG, "description": SHORT}]
    assert found(script(json.dumps(store), "type=application/json")) == [SHORT, LONG]


def test_scripts_without_data_are_not_read() -> None:
    assert found(script("var a = " + json.dumps({"text": LONG}))) == []
    assert found(script(json.dumps({"text": LONG}), 'type="application/ld+json"')) == []
    assert found(b"<p>/json " + json.dumps({"text": LONG}).encode()) == []
    assert found(script("[1" * 100_000, 'type="application/json" id="__NUXT_DATA__"')) == []
    assert (
        found(
            script(
                '[{"text": 9}, {"text": "x"}, {"text": -1}, {"text": 99999999999}]',
                'type="application/json" id="__NUXT_DATA__"',
            )
        )
        == []
    )


def test_state_counts_only_if_it_is_twice_as_long_as_json_ld() -> None:
    def text_from(sentences: int) -> tuple[str, ...]:
        body = " ".join(f"Sentence {n} is here now." for n in range(10))  # fifty words
        own = " ".join(f"Of {n} others we say this here." for n in range(sentences))  # seven words each
        ld = json.dumps({"@type": "Article", "articleBody": body})
        page = script(ld, "type=application/ld+json") + script(json.dumps({"body": own}), "type=application/json")
        return extract_page(page, TextOptions(main_content=False)).text_from

    assert text_from(14) == ("json-ld",)  # 98 words
    assert text_from(15) == ("preloaded",)
