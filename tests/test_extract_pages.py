"""Pages to text, and records to rows: every record one row, every reason counted."""

import bz2
import gzip
import logging
import lzma
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import brotli
import pyarrow as pa
import pytest
import zstandard

from pipeline.config_file import check
from pipeline.errors import UserError
from pipeline.extract import html_to_text
from pipeline.extract.inputs.archive import Record, read_records
from pipeline.extract.inputs.sources import find_inputs
from pipeline.extract.options import ExtractOptions, TextOptions
from pipeline.extract.page import REASONS, SCHEMA, Row, row_id, rows, to_batches
from pipeline.extract.pages.markup import EXTRACTORS, Extractor, bounded, extract_page, nesting, page_title
from pipeline.stages.extract import EXTRACT

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
WORDS = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall. "
ARTICLE = (
    "<html><head><title> The  harbour &amp; more </title></head><body><nav><a href='/'>Home</a> <a href='/x'>Menu</a></nav>"
    f"<article><h1>Harbour</h1><p>{WORDS * 3}</p><p>Gr\u00fc\u00dfe aus \u6771\u4eac. {WORDS * 3}</p></article>"
    "<footer>Copyright by nobody</footer></body></html>"
)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_text_of_a_page(extractor: str) -> None:
    text = html_to_text(ARTICLE, extractor=extractor)
    assert "Grüße aus 東京. The harbour was quiet" in text
    assert "Copyright" not in text
    assert html_to_text(ARTICLE.encode(), extractor=extractor) == text
    assert html_to_text(ARTICLE.encode("gb18030"), extractor=extractor, encoding="gb2312") == text
    everything = html_to_text(ARTICLE, extractor=extractor, main_content=False)
    assert "Copyright by nobody" in everything
    assert "Menu" in everything
    assert html_to_text(ARTICLE.replace("quiet", "qu\0i\ud800et\r"), extractor=extractor).count("\0\r\ud800") == 0
    assert html_to_text('<?xml version="1.0" encoding="latin-1"?>' + ARTICLE, extractor=extractor) == text
    assert html_to_text("", extractor=extractor) == html_to_text(b"", extractor=extractor) == ""


def test_extractors_that_are_not_used_are_not_loaded() -> None:
    native = "pipeline.extract.native.extract"
    for extractor, module in {"native": native, "trafilatura": "trafilatura", "resiliparse": "resiliparse"}.items():
        code = (
            "import sys; from pipeline.extract import html_to_text; "
            f"html_to_text('<p>x', extractor={extractor!r}); "
            f"print(*(m for m in ('trafilatura', 'resiliparse', '{native}') if m in sys.modules))"
        )
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert ran.stdout.split() == [module]


@pytest.mark.parametrize("extractor", ["native", "trafilatura"])
def test_markdown_comments_and_tables(extractor: str) -> None:
    table = "<table><tr><th>Boat</th><th>Metres</th></tr><tr><td>Old Anna</td><td>twelve</td></tr></table>"
    page = ARTICLE.replace(
        "</article>", f"<h2>Boats</h2>{f'<p>{WORDS * 3}</p>' * 3}{table}<p>{WORDS * 3}</p></article>"
    )
    assert "\n## Boats\n" in html_to_text(page, extractor=extractor, format="markdown")
    assert "\nBoats\n" in html_to_text(page, extractor=extractor)
    assert "Anna" not in html_to_text(page, extractor=extractor, tables=False)
    linked = page.replace(WORDS * 3, f"<a href='/x'>{WORDS}</a>{WORDS * 2}")
    assert "](" not in html_to_text(linked, extractor=extractor, format="markdown")
    found = html_to_text(linked, extractor=extractor, format="markdown", links=True, url="http://h.example/y")
    assert "](http://h.example/x)" in found


def test_what_an_extractor_does_not_offer_is_a_user_error() -> None:
    with pytest.raises(UserError, match='^extractor: "resiliparse" has no format = "markdown"; "native" has$'):
        html_to_text("<p>x", extractor="resiliparse", format="markdown")
    with pytest.raises(
        UserError, match='"trafilatura" with main_content = false, .* has no tables = false; "native" has'
    ):
        html_to_text("<p>x", extractor="trafilatura", main_content=False, tables=False)
    with pytest.raises(UserError, match='^captions: "trafilatura" does not have this option; "native" has$'):
        html_to_text("<p>x", extractor="trafilatura", captions=False)
    with pytest.raises(UserError, match='^links: needs format = "markdown"$'):
        html_to_text("<p>x", links=True)
    with pytest.raises(UserError, match="^format: 'html' is not one of text, markdown$"):
        html_to_text("<p>x", format="html")  # type: ignore[arg-type]


def test_an_unknown_extractor_is_a_user_error() -> None:
    with pytest.raises(UserError, match=f"'lynx' is not one of {', '.join(EXTRACTORS)}"):
        html_to_text("<p>x", extractor="lynx")
    with pytest.raises(UserError, match=r"did you mean trafilatura\?"):
        extract_page("<p>x", TextOptions(extractor="trafilatur"))
    with pytest.raises(UserError, match="'lynx' is not one of"):
        list(rows([response()], ExtractOptions(extractor="lynx"), archive="x"))


def test_an_extractor_is_added_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def shout(html: str, options: TextOptions, url: str | None) -> str:
        return f"{html.upper()} {url}"

    toy = Extractor(name="toy", help="shouts", page=bounded(shout), everything="resiliparse")
    monkeypatch.setitem(EXTRACTORS, "toy", toy)
    assert html_to_text("<p>x", extractor="toy", url="u") == "<P>X u"
    assert html_to_text("<p>x", extractor="toy", main_content=False) == "x"
    (row,) = rows([response()], ExtractOptions(extractor="toy"), archive="x")
    assert row.text is not None
    assert row.text.startswith("<HTML>")
    raw = {"input": {"paths": ["x"]}, "extract": {"extractor": "toy"}}
    config = check(raw, "here")
    assert config.extract.extractor == "toy"
    assert [library.split()[0] for library in EXTRACT.options(config, ()).libraries] == ["resiliparse"]
    with pytest.raises(UserError, match='^extractor: "toy" has no tables = false; "native" has$'):
        html_to_text("<p>x", extractor="toy", tables=False)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_depth_and_tags_are_bounded(extractor: str) -> None:
    def nested(depth: int) -> str:
        return f"<html><body>{'<div>' * depth}{WORDS * 5}{'</div>' * depth}</body></html>"

    assert extract_page(nested(50), TextOptions(extractor=extractor, max_depth=50)).problem != "too_deep"
    assert extract_page(nested(51), TextOptions(extractor=extractor, max_depth=50)).problem == "too_deep"
    assert extract_page(nested(99_990), TextOptions(extractor=extractor)).problem == "too_deep"
    # Over both limits: the tags are counted before the others parse, and native's parser meets the depth first.
    both = "too_deep" if extractor == "native" else "too_large"
    assert extract_page(nested(100_000), TextOptions(extractor=extractor)).problem == both
    assert extract_page("<p>x" * 200_001, TextOptions(extractor=extractor)).problem == "too_large"
    for tag in ("<b>", "<table><tr><td>", "<ul><li>", "<font><i>"):
        assert extract_page(tag * 30_000 + WORDS, TextOptions(extractor=extractor)).problem == "too_deep"
    assert nesting("<div><p><p><br></div></div></div><div><span>" * 3) == 2 + 1


@pytest.mark.parametrize("extractor", ["trafilatura", "resiliparse"])
@pytest.mark.parametrize("error", [RecursionError("too deep"), ValueError("odd")])
def test_what_an_extractor_raises_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, extractor: str, error: Exception
) -> None:
    def fail(*arguments: object) -> str:
        raise error

    monkeypatch.setitem(EXTRACTORS, extractor, replace(EXTRACTORS[extractor], page=bounded(fail)))
    page = extract_page(ARTICLE, TextOptions(extractor=extractor))
    assert (page.problem, page.text, page.title) == ("extractor_failed", None, "The harbour & more")
    assert page.detail == f"{type(error).__name__}: {error}"


def test_a_page_that_takes_all_memory_ends_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> str:
        raise MemoryError

    monkeypatch.setitem(EXTRACTORS, "resiliparse", replace(EXTRACTORS["resiliparse"], page=bounded(fail)))
    with pytest.raises(MemoryError):  # the engine drops the record as crashed
        extract_page(ARTICLE, TextOptions(extractor="resiliparse"))


def test_extractors_do_not_log_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    before = list(logging.getLogger().handlers)
    assert html_to_text("<", extractor="trafilatura") == html_to_text("<html></html>", extractor="trafilatura") == ""
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title>a\n b</title>", "a b"),
        ("<TITLE lang=en>a&lt;b</TITLE>", "a<b"),
        ("<svg><title>icon</title></svg><title>page</title>", "page"),
        ("<title></title>", None),
        ("<p>title", None),
    ],
)
def test_titles(html: str, title: str | None) -> None:
    assert page_title(html) == title


PAGE = ARTICLE.encode()
OPTIONS = ExtractOptions(extractor="resiliparse", max_record_bytes=100_000)


def response(body: bytes = PAGE, status: int | None = 200, kind: str | None = "text/html", **more: object) -> Record:
    return Record("response", http_status=status, content_type=kind, body=body, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "dropped"),
    [
        (response(), []),
        (response(status=203), []),
        (response(status=204), ["http_status"]),
        (response(status=206), ["http_status"]),
        (response(status=404), ["http_status"]),
        (response(status=None), ["http_status"]),
        (Record("resource", content_type="text/html", body=PAGE), []),
        (Record("request", body=b"GET /"), ["record_type"]),
        (
            Record(
                "resource", content_type="text/html", body=PAGE, url="metadata://gnu.org/software/wget/warc/wget.log"
            ),
            ["recorder_data"],
        ),
        (
            Record("resource", content_type="text/html", body=PAGE, url="urn:pageinfo:http://a.example/"),
            ["recorder_data"],
        ),
        (
            Record("conversion", content_type="text/plain", body=PAGE, url="URN:text:http://a.example/"),
            ["recorder_data"],
        ),
        (Record("document", content_type="text/html", body=PAGE, url="urn:isbn:1"), []),
        (Record("warcinfo"), ["record_type"]),
        (Record("revisit", http_status=200, url="http://a.example/"), ["revisit"]),
        (Record("revisit", problem="truncated"), ["revisit", "truncated"]),
        (response(is_segment=True), ["segmented"]),
        (Record("continuation", body=PAGE, is_segment=True), ["record_type"]),
        (Record("warcinfo", problem="truncated"), ["record_type", "truncated"]),
        (Record("unreadable", problem="bad_gzip"), ["bad_gzip"]),
        (Record("unreadable", problem="bad_record"), ["bad_record"]),
        (response(b"", problem="truncated"), ["truncated"]),
        (response(b"", status=301, problem="truncated"), ["truncated", "http_status"]),
        (response(b"", status=None, problem="too_large"), ["too_large"]),
        (response(b""), ["empty_body"]),
        (response(b" \r\n\0"), ["empty_body"]),
        (response(kind="image/png"), ["not_html"]),
        (response(kind="application/xhtml+xml"), []),
        (response(kind=None), []),
        (response(b"just words", kind="text/plain"), []),
        (response(b"\xef\xbb\xbf \n", kind="text/plain"), ["empty_text"]),
        (response(b"<html><body></body></html>"), ["empty_text"]),
        (response(b"<div>" * 501 + b"x"), ["too_deep"]),
        (response(b"x" * 100_000), []),
        (response(b"x" * 100_001), ["too_large"]),
        (response(b"\x1f\x8b\x08\0\xff\xff\xff", http_headers=[("content-encoding", "gzip")]), ["bad_coding"]),
        (response(gzip.compress(PAGE)), []),
        (response(b"\r\n" + gzip.compress(PAGE)), []),
        (response(gzip.compress(gzip.compress(PAGE)), http_headers=[("content-encoding", "gzip")]), []),
        (response(zstandard.compress(PAGE)), []),
        (response(brotli.compress(PAGE * 9)), []),
        (response(zlib.compress(PAGE)), []),
        (response(zlib.compress(PAGE)[4:]), ["not_html"]),
        (response(bz2.compress(PAGE)), ["not_html"]),
        (response(lzma.compress(PAGE)), ["not_html"]),
        (response(brotli.compress(PAGE * 9)[:-9]), ["not_html"]),
        (response(gzip.compress(bytes(200_000))), ["too_large"]),
        (response(gzip.compress(b"%PDF-1.4")), ["not_html"]),
        (response(gzip.compress(PAGE), kind="application/gzip"), ["not_html"]),
    ],
)
def test_each_reason(record: Record, dropped: list[str]) -> None:
    (row,) = rows([record], OPTIONS, archive="x.warc")
    assert row.dropped == dropped
    assert (row.text is None) == bool(dropped)
    assert set(dropped) <= set(REASONS)


def test_rows_say_what_was_read() -> None:
    record = response(
        ARTICLE.encode("cp1252", "xmlcharrefreplace"),
        kind="text/html; charset=ISO-8859-1",
        url="http://a.example/\ud800",
        date="2026-02-01T00:00:00Z",
        record_id="<urn:x>",
        offset=7,
        length=9,
    )
    (row,) = rows([record], OPTIONS, archive="/some/where/x.warc")
    assert (row.url, row.date, row.offset, row.length) == ("http://a.example/", "2026-02-01T00:00:00Z", 7, 9)
    assert (row.encoding, row.declared_encoding, row.title) == ("windows-1252", "iso-8859-1", "The harbour & more")
    assert row.html_bytes == len(record.body)
    assert "Grüße aus 東京" in (row.text or "")
    assert row.id == row_id(record, "x.warc")
    assert len(row.id) == 32


def test_ids_tell_records_apart() -> None:
    base = {"record_id": "a", "url": "b", "date": "c", "offset": 1, "inner_offset": 2}
    changed = [base | {name: 9 if isinstance(value, int) else "z"} for name, value in base.items()]
    ids = {row_id(Record("response", **fields), "x") for fields in [base, *changed]}  # type: ignore[arg-type]
    ids.add(row_id(Record("response", **base), "y"))  # type: ignore[arg-type]
    assert len(ids) == 7
    assert row_id(Record("response", **base), "x") == "f6a61c2579b29f9abf4ed14a1ce006c2"  # type: ignore[arg-type]


def test_the_runner_knows_which_record_is_worked_on_and_may_skip_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    worked: list[int] = []

    def note(html: str, options: TextOptions, url: str | None) -> str:
        worked.append(seen[-1])
        return "text"

    monkeypatch.setitem(EXTRACTORS, "resiliparse", replace(EXTRACTORS["resiliparse"], page=bounded(note)))
    records = [response(), response(), Record("request"), response()]
    found = list(rows(records, OPTIONS, archive="x", at=seen.append, skip=frozenset({1, 2})))
    assert [row.dropped for row in found] == [[], ["crashed"], ["record_type", "crashed"], []]
    assert (seen, worked) == ([0, 1, 2, 3, 4], [0, 3])


def test_batches() -> None:
    def make(count: int, text: str) -> list[Row]:
        return list(rows([response(text.encode(), kind="text/plain")] * count, OPTIONS, archive="x"))

    assert [len(batch) for batch in to_batches(make(7, "x"), max_rows=3)] == [3, 3, 1]
    assert [len(batch) for batch in to_batches(make(5, "x" * 10), max_bytes=20)] == [2, 2, 1]
    assert list(to_batches([])) == []
    (batch,) = to_batches([*make(1, "x"), *rows([Record("unreadable", problem="bad_gzip")], OPTIONS, archive="x")])
    assert batch.schema == SCHEMA
    assert batch["text"].to_pylist() == ["x", None]
    assert batch["dropped"].to_pylist() == [[], ["bad_gzip"]]
    assert isinstance(batch, pa.RecordBatch)


def test_real_archives_become_rows() -> None:
    if not (SHARED / "data" / "web-hostile").is_dir():
        pytest.skip("the project's shared archives are not on this machine")
    options = ExtractOptions(extractor="resiliparse")
    paths, _ = find_inputs([str(SHARED / "data" / "web-hostile"), str(SHARED / "data" / "web-sample" / "real")])
    for path in paths:
        records = list(read_records(path, max_record_bytes=options.max_record_bytes))
        found = list(rows(records, options, archive=path))
        assert len(found) == len(records)
        assert len({row.id for row in found}) == len(found)
        assert all((row.text is None) == bool(row.dropped) for row in found)
        assert sum(len(batch) for batch in to_batches(found)) == len(found)


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<svg><title>icon</title></svg><title>Page</title>", "Page"),
        ("<svg><title>icon</title><title>Page</title>", "icon"),  # an SVG that never ends hides nothing
        ("<svg></svg ><SVG><g></SVG><TITLE\nlang=en>Page", "Page"),
        ("<title", None),
        ("<title></title>", None),
        ("<titles>no</titles>", None),
        ("<svg>" * 100_000 + "<title>Page</title>", "Page"),  # these four took the square of their length
        ("<svg " * 100_000 + "<title>Page</title></svg>", None),
        ("<title" * 100_000, None),
        ("<svg><title>" * 100_000 + "<p>", None),
        ("<title>" + "x" * 2000, "x" * 1000),
    ],
)
def test_titles_are_found_in_one_pass(html: str, title: str | None) -> None:
    assert page_title(html) == title
