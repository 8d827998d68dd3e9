"""The date a page states, wherever it states it, and nothing that only looks like one."""

import pytest

from pipeline.extract.inputs.archive import Record
from pipeline.extract.options import ExtractOptions
from pipeline.extract.page import rows
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
        ('<script type="application/ld+json">{"a":{"datePublished" : "2015-01-02T00:00"}}</script>', "2015-01-02"),
        ('<script>{"datePublished":null}{"datePublished":"2015-01-02"}</script>', "2015-01-02"),
        ('<script>{"dateModified":"2015-01-02"}</script>', None),
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
    json = b'{"datePublished":"2015-01-02"}'
    mark = b'<time pubdate datetime="2016-01-02">'
    assert published(mark + json + meta) == "2014-05-03"
    assert published(mark + json) == "2015-01-02"
    assert published(b" " * (1 << 17) + meta) is None  # beyond what is searched
    assert published(b"<meta a=b>" * 200 + meta) is None
    assert published(b"<meta a=b>" * 199 + meta) == "2014-05-03"


def test_rows_carry_it() -> None:
    body = b'<meta name="date" content="2014-05-03"><p>Some words of a page.'
    record = Record("response", http_status=200, content_type="text/html; charset=latin1", body=body)
    (row,) = rows([record], ExtractOptions(extractor="resiliparse"), archive="x")
    assert (row.published, row.encoding, row.declared_encoding, row.encoding_from) == (
        "2014-05-03", "windows-1252", "latin1", "header",
    )  # fmt: skip
