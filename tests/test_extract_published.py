"""The date a page states, wherever it states it, and nothing that only looks like one."""

import json

import pytest

from pipeline.extract.inputs.archive import Record
from pipeline.extract.options import ExtractOptions
from pipeline.extract.page import rows
from pipeline.extract.pages.dated import Address, address_of
from pipeline.extract.pages.published import published


@pytest.mark.parametrize(
    ("html", "date"),
    [
        ('<meta property="article:published_time" content="2014-05-03T23:59:00+09:00">', "2014-05-03"),
        ("<META content='20140503' NAME=DC.date.issued />", "2014-05-03"),
        ('<meta itemprop="datePublished" content="2014/05/03 10:00">', "2014-05-03"),
        ("<meta name=date content=2014-05-03>", "2014-05-03"),
        ('<meta property="article:modified_time" content="2014-05-03">', None),
        ('<meta name="dates" content="2014-05-03">', None),
        ('<meta name="date" content="2014-02-30">', None),
        ('<meta name="date" content="1989-12-31">', None),
        ('<meta name="date" content="1990-01-01">', "1990-01-01"),
        ('<meta name="date" content="2014-05/03">', None),
        ('<meta name="date" content="201405031">', None),
        ('<meta name="date" content="03.05.2014">', None),  # whose order nobody knows
        ('<meta name="date" content=""><meta name="pubdate" content="2014-05-03">', "2014-05-03"),
        ('<meta content=2014-05-03 name="og:title article:published_time">', "2014-05-03"),
        ('<meta name=date content="a > b"><meta name=date content="2014-05-03">', "2014-05-03"),
        ('<meta name="description" content="name=date 2014" data-x="content=2014-05-03">', None),
        ('<!-- <meta name="date" content="2014-05-03"> -->', None),
        ('<!--> <meta name="date" content="2014-05-03">', "2014-05-03"),
        ('<script>\'<meta name="date" content="2014-05-03">\'</script>', None),
        ("<script>x</scripts><meta name=date content=2014-05-03></script>", None),
        ("<script>x</SCRIPT ><meta name=date content=2014-05-03>", "2014-05-03"),
        ('<metadata name="date" content="2014-05-03">', None),
        ('<time datetime="2016-01-02" pubdate>yesterday</time>', "2016-01-02"),
        ('<time class="entry-date" datetime="2016-01-02T03:04">x</time>', "2016-01-02"),
        ('<time datetime="2016-01-02">an event</time>', None),
        ("<time pubdate>2016-01-02</time>", None),
        ("2016-01-02", None),
        ("", None),
    ],
)
def test_stated_dates(html: str, date: str | None) -> None:
    assert published(html.encode()) == date


def test_which_statement_counts() -> None:
    meta = b'<meta name="date" content="2014-05-03">'
    script = b'<script type="application/ld+json">{"datePublished":"2015-01-02"}</script>'
    of_item = b'<i itemprop="datePublished">2015-06-07</i>'
    mark = b'<time pubdate datetime="2016-01-02">'
    assert published(mark + of_item + script + meta) == "2014-05-03"
    assert published(mark + of_item + script) == "2015-01-02"
    assert published(mark + of_item) == "2015-06-07"
    assert published(b" " * (1 << 17) + meta) == "2014-05-03"
    assert published(b"<meta a=b>" * 200 + meta) is None
    assert published(b"<meta a=b>" * 199 + meta) == "2014-05-03"
    assert published(b"<meta name=date content=2014-05-03" + b" " * 4060 + b">") == "2014-05-03"
    assert published(b"<meta name=date content=2014-05-03" + b" " * 4070 + b">") is None


ARTICLE, REVIEW = (
    {"@type": kind, "datePublished": day} for kind, day in (("NewsArticle", "2015-01-02"), ("Review", "2001-01-01"))
)
OTHER = {"@type": "NewsArticle", "datePublished": "2001-01-01", "headline": "Another"}
HERE = "https://a.example/news/one?id=1"


@pytest.mark.parametrize(
    ("value", "date"),
    [
        (ARTICLE, "2015-01-02"),
        ([ARTICLE], "2015-01-02"),
        ({"@graph": [{"@type": "WebSite", "datePublished": "2001-01-01"}, ARTICLE]}, "2015-01-02"),
        ({"@type": "WebPage", "datePublished": "2001-01-01", "mainEntity": ARTICLE}, "2015-01-02"),
        ({"@type": "CollectionPage", "datePublished": "2015-01-02"}, "2015-01-02"),
        ({**ARTICLE, "mainEntityOfPage": {"@type": "WebPage", "datePublished": "2001-01-01"}}, "2015-01-02"),
        ({**ARTICLE, "@type": ["Thing", "https://schema.org/BlogPosting"]}, "2015-01-02"),
        ({**ARTICLE, "datePublished": [None, {"@value": "2015-01-02"}]}, "2015-01-02"),
        ({"datePublished": "2015-01-02T23:00:00-09:00"}, "2015-01-02"),
        ({"dateModified": "2015-01-02"}, None),
        ({"@type": "QAPage", "mainEntity": {"@type": "Question", "datePublished": "2015-01-02"}}, "2015-01-02"),
        # what belongs to the page's thing
        ({**ARTICLE, "comment": [{"@type": "Comment", "datePublished": "2001-01-01"}]}, "2015-01-02"),
        ({"@type": "NewsArticle", "comment": [{"@type": "Comment", "datePublished": "2001-01-01"}]}, None),
        ({"@type": "NewsArticle", "comment": [{"datePublished": "2001-01-01"}]}, None),
        ({"@type": "NewsArticle", "citation": OTHER, "isBasedOn": OTHER, "hasPart": [OTHER]}, None),
        ({"@type": "Product", "name": "x", "review": [REVIEW]}, None),
        ({"@type": "Product", "name": "x", "review": REVIEW, "datePublished": "2001-01-01"}, None),
        ({"@type": "Question", "acceptedAnswer": {"@type": "Answer", "datePublished": "2001-01-01"}}, None),
        ({"@type": "ItemList", "itemListElement": [{"@type": "ListItem", "item": OTHER}]}, None),
        ({"@type": "CollectionPage", "mainEntity": {"@type": "ItemList", "itemListElement": [OTHER]}}, None),
        ({"@type": "Blog", "blogPost": [OTHER]}, None),
        ({"@type": "Movie", "datePublished": "2001-01-01"}, None),  # of the film
        ({"@type": "Comment", "datePublished": "2001-01-01"}, None),
        # a review is a page's own if it is all there is
        (REVIEW, "2001-01-01"),
        ([REVIEW, ARTICLE], "2015-01-02"),
        ([REVIEW, {"@type": "Product", "offers": {"price": 1}}], None),
        ([{**REVIEW, "name": "a"}, {**REVIEW, "name": "b", "datePublished": "2002-01-01"}], None),
        # several articles: that of the page's address, else none
        ([OTHER, ARTICLE], None),
        ([OTHER, {**ARTICLE, "headline": "One"}], None),
        ([OTHER, {**ARTICLE, "headline": "One", "url": HERE}], "2015-01-02"),
        ([OTHER, {**ARTICLE, "@id": "http://www.a.example/news/one/#article"}], "2015-01-02"),
        ([OTHER, {**ARTICLE, "mainEntityOfPage": {"@id": "/News/One?id=1"}}], "2015-01-02"),
        ([OTHER, {**ARTICLE, "url": "https://a.example/news/one?id=2"}], None),
        ([OTHER, {**ARTICLE, "url": "https://a.example/news/two"}], None),
        ([OTHER, {**ARTICLE, "url": "#one"}], None),
        ([{**OTHER, "headline": "One"}, {**OTHER, "headline": "Two"}], "2001-01-01"),  # the same date
        ([ARTICLE, {**ARTICLE, "datePublished": "2015-01-03"}], "2015-01-02"),  # stated twice
        ([{**OTHER, "url": "/a"}, {**OTHER, "url": "/b", "datePublished": "2002-01-01"}], None),
        ([{"@type": "WebPage", "datePublished": "2015-01-02"}, OTHER, {**ARTICLE, "headline": "One"}], "2015-01-02"),
        ({"@type": "Blog", "blogPost": [OTHER, {**ARTICLE, "url": HERE}]}, "2015-01-02"),
        ({"@type": "Product", "review": {**REVIEW, "url": HERE}}, None),
        ({**ARTICLE, "url": "https://a.example/news/two"}, "2015-01-02"),  # an article has many addresses
    ],
)
def test_the_date_in_json_ld_is_of_the_page(value: object, date: str | None) -> None:
    html = f'<script type="application/ld+json">{json.dumps(value)}</script>'
    assert published(html.encode(), HERE) == date


def test_the_canonical_address_counts_too() -> None:
    value = json.dumps([OTHER, {**ARTICLE, "url": "https://a.example/one"}])
    html = f'<link rel="canonical" href="https://a.example/one"><script type=application/ld+json>{value}</script>'
    assert published(html.encode(), "https://a.example/?p=3") == "2015-01-02"
    assert published(html.encode()) == "2015-01-02"
    assert published(html.replace("canonical", "alternate").encode(), "https://a.example/?p=3") is None


@pytest.mark.parametrize(
    ("script", "date"),
    [
        ('{"datePublished":"2015-01-02"}', "2015-01-02"),
        ('//<![CDATA[\n{"datePublished":"2015-01-02"}\n//]]>', "2015-01-02"),
        ('<!-- {"datePublished":"2015-01-02"} -->', "2015-01-02"),
        ('{"datePublished":"2015-01-02", "text":"two\nlines"};', "2015-01-02"),
        ('{"datePublished":"2015-01-02",}', "2015-01-02"),
        ('{"datePublished":"2015-01-02",,{"datePublished":"2015-01-02"}', "2015-01-02"),
        ('{"datePublished":"2015-01-02",,{"datePublished":"2015-01-03"}', None),
        ('{"@type":"Review","datePublished":"2015-01-02",}', None),
        ('{"@type":"Product","review":[{"datePublished":"2015-01-02"}],}', None),
        ("[" * 100_000 + '{"datePublished":"2015-01-02"}', "2015-01-02"),
        ('{"datePublished":' + "1" * 5000 + "}", None),
        ('{"datePublished":"2015-01-02"}' + " " * ((1 << 20) - 30), "2015-01-02"),
        ('{"datePublished":"2015-01-02"}' + " " * ((1 << 20) - 29), None),
    ],
)
def test_json_ld_as_pages_write_it(script: str, date: str | None) -> None:
    assert published(f'<script type="application/ld+json">{script}</script>'.encode()) == date
    assert published(f"<script type='APPLICATION/LD+JSON' >{script}</script>".encode()) == date
    assert published(f"<script>{script}</script>".encode()) is None  # a program's state: anything's date


def item(kind: str, inner: str, prop: str = "") -> str:
    of = f' itemprop="{prop}"' if prop else ""
    return f'<div itemscope itemtype="https://schema.org/{kind}"{of}>{inner}</div>'


DAY, EARLIER = '<meta itemprop="datePublished" content="2015-01-02">', '<i itemprop="datePublished">2001-01-01</i>'


@pytest.mark.parametrize(
    ("html", "date"),
    [
        (DAY, "2015-01-02"),
        (EARLIER, "2001-01-01"),
        ('<span itemprop="headline datePublished" content="2015-01-02">x</span>', "2015-01-02"),
        ('<time itemprop=datePublished datetime="2015-01-02T01:00">x</time>', "2015-01-02"),
        ('<p class="datePublished" content="2015-01-02">x</p>', None),
        ('<time itemprop="dateCreated" datetime="2015-01-02">x</time>', "2015-01-02"),
        (f'<time itemprop="dateCreated" datetime="2001-01-01">x</time>{DAY}', "2015-01-02"),
        (item("Article", DAY), "2015-01-02"),
        (item("WebPage", item("Article", DAY, "mainEntity")), "2015-01-02"),
        (item("Blog", item("BlogPosting", DAY, "blogPost")), "2015-01-02"),
        (item("Article", item("Comment", EARLIER, "comment") + DAY), "2015-01-02"),
        (item("Article", item("Comment", EARLIER, "comment")), None),
        (item("Article", item("Comment", "") + EARLIER), "2001-01-01"),
        (item("Article", item("UserComments", EARLIER)), None),
        (item("Product", item("Review", EARLIER, "review")), None),
        (item("Product", "") + item("Review", EARLIER), None),
        (item("Review", EARLIER), "2001-01-01"),
        (item("Article", item("Article", EARLIER, "relatedLink")), None),
        (item("ItemList", item("Article", EARLIER, "itemListElement")), None),
        (item("Movie", EARLIER), None),
        (item("Article", DAY) + item("Article", EARLIER), None),
        (item("Article", DAY) + item("Article", DAY), "2015-01-02"),
        (item("Article", EARLIER) + item("Article", f"<h1>x</h1>{DAY}"), "2015-01-02"),
        (item("Article", f"<h1>y</h1>{EARLIER}") + item("Article", f"<h1>x</h1>{DAY}"), None),
        (
            f"<html itemscope itemtype='https://schema.org/Article'><body>{item('Review', EARLIER, 'review')}{DAY}",
            "2015-01-02",
        ),
        (f"{EARLIER}<p>{DAY}", "2001-01-01"),
    ],
)
def test_the_date_in_microdata_is_of_the_page(html: str, date: str | None) -> None:
    assert published(html.encode()) == date
    assert published(html.replace("div", "DIV").replace("datePublished", "DatePublished").encode()) == date


TIME, FORMER = '<time pubdate datetime="2015-01-02">x</time>', '<time class="published" datetime="2001-01-01">x</time>'


@pytest.mark.parametrize(
    ("html", "date"),
    [
        (TIME, "2015-01-02"),
        (f"<article>{TIME}</article>", "2015-01-02"),
        (f'<div class="comments">{FORMER}</div>{TIME}', "2015-01-02"),
        (f'<ol id="comment-list"><li>{FORMER}</ol>', None),
        (f'<div class="no-comment">{FORMER}</div>', "2001-01-01"),
        (f'<div class="comments"></div>{FORMER}', "2001-01-01"),
        (f'<div class="widget recent-posts">{FORMER}</div>', None),
        (f'<section class="related">{FORMER}</section><article>{TIME}</article>', "2015-01-02"),
        (f'<div class="sidebar-right"><h1>x</h1>{TIME}</div>', "2015-01-02"),  # the whole page
        (f"<article>{TIME}</article><article>{FORMER}</article>", None),
        (f"<article><h1>x</h1>{TIME}<article>{FORMER}</article></article>", "2015-01-02"),
        (f"<article>{FORMER}</article><article><h1>x</h1>{TIME}</article>", "2015-01-02"),
        (f"<article><h1>x</h1>{FORMER}</article><article><h1>x</h1>{TIME}</article>", None),
        (f"<article>{FORMER}{TIME}</article>", "2001-01-01"),
    ],
)
def test_the_date_in_a_time_element_is_of_the_page(html: str, date: str | None) -> None:
    assert published(html.encode()) == date


def test_an_address_is_a_path_and_a_query() -> None:
    assert address_of(" HTTPS://a.example/B%20c/?q#f ") == Address("b c", "q")
    assert address_of("https://a.example") == address_of("/") == Address("", "")
    assert address_of("#f") is None
    assert not Address("", "").is_like(Address("", "p=1"))
    assert Address("a", "").is_like(Address("a", "p=1"))


def test_rows_carry_it() -> None:
    body = b'<meta name="date" content="2014-05-03"><p>Some words of a page.'
    record = Record("response", http_status=200, content_type="text/html; charset=latin1", body=body)
    (row,) = rows([record], ExtractOptions(extractor="resiliparse"), archive="x")
    assert (row.published, row.encoding, row.declared_encoding, row.encoding_from) == (
        "2014-05-03", "windows-1252", "latin1", "header",
    )  # fmt: skip
