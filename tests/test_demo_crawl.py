"""The demo's archive: what the server sends is what the archive holds, and nothing of the user's machine is in it."""

import gzip
import io
import os
import re
import socket
import zlib
from datetime import UTC, datetime
from pathlib import Path

import brotli
import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from fastwarc.warc import WarcRecordType
from warcio import ArchiveIterator

from pipeline.demo import crawl as crawl_module
from pipeline.demo import python_docs
from pipeline.demo.crawl import SAMPLE_WEB, crawl, fetch_all, read_response
from pipeline.demo.sample_server import Answer, chunks, html_answer, load_site, serve, url_of
from pipeline.errors import UserError

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HTTP_DATE = "Fri, 02 Jan 2026 03:04:05 GMT"
MODULES = ["calendar", "json", "no_such_module"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("crawl") / "sample.warc.gz"
    told: list[tuple[int, int]] = []
    summary = crawl(out, modules=MODULES, date=DATE, progress=lambda done, total: told.append((done, total)))
    assert summary.path == out
    assert summary.bytes == out.stat().st_size
    assert summary.sample_pages == len(load_site(SAMPLE_WEB))
    assert summary.python_pages == 2 * 2  # two modules, as pydoc shows them and as a manual
    assert told == [(done, summary.pages) for done in range(1, summary.pages + 1)]
    assert summary.records == 1 + 2 * summary.pages
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    return out


def responses(archive: Path) -> dict[str, bytes]:
    with archive.open("rb") as stream:
        records = ArchiveIterator(stream, no_record_parse=True)
        return {r.rec_headers["WARC-Target-URI"]: r.raw_stream.read() for r in records if r.rec_type == "response"}


def head_and_body(archive: Path, path: str) -> tuple[str, bytes]:
    head, _, body = responses(archive)[url_of(path)].partition(b"\r\n\r\n")
    return head.decode("latin-1"), body


def test_the_archive_holds_what_the_server_sent_byte_for_byte(archive: Path) -> None:
    sent = {url: answer.wire(HTTP_DATE) for url, answer in load_site(SAMPLE_WEB).items()}
    recorded = responses(archive)
    python = {url: block for url, block in recorded.items() if url not in sent}
    assert sent == {url: block for url, block in recorded.items() if url in sent}
    assert sorted(python) == [
        "http://python-docs.example/calendar.html",
        "http://python-docs.example/json.html",
        "http://python-manual.example/library/calendar.html",
        "http://python-manual.example/library/json.html",
    ]
    assert all(block.startswith(b"HTTP/1.1 200 OK\r\nDate: Fri, 02 Jan 2026") for block in python.values())


def test_fastwarc_reads_the_same_blocks_and_finds_the_members(archive: Path) -> None:
    data, read, types = archive.read_bytes(), {}, []
    for record in FastIterator(io.BytesIO(data), parse_http=False):
        types.append(record.record_type)
        # Every record opens a gzip member, so that its byte range can be read alone.
        assert data[record.stream_pos : record.stream_pos + 2] == b"\x1f\x8b"
        if record.record_type == WarcRecordType.response:
            assert record.verify_block_digest()
            read[record.headers["WARC-Target-URI"]] = record.reader.read()
    assert read == responses(archive)
    assert types == [WarcRecordType.warcinfo] + [WarcRecordType.response, WarcRecordType.request] * len(read)


def test_digests_are_right_and_ids_unique(archive: Path) -> None:
    ids = set()
    with archive.open("rb") as stream:
        for record in ArchiveIterator(stream, check_digests="raise"):
            record.raw_stream.read()
            assert record.rec_headers["WARC-Date"] == "2026-01-02T03:04:05Z"
            assert record.rec_headers["WARC-Block-Digest"].startswith("sha1:")
            ids.add(record.rec_headers["WARC-Record-ID"])
            if record.rec_type == "request":
                assert record.rec_headers["WARC-Concurrent-To"] in ids
    assert len(ids) == 1 + 2 * len(responses(archive))


def test_requests_are_those_that_were_sent(archive: Path) -> None:
    with archive.open("rb") as stream:
        requests = {
            r.rec_headers["WARC-Target-URI"]: r.raw_stream.read()
            for r in ArchiveIterator(stream, no_record_parse=True)
            if r.rec_type == "request"
        }
    assert requests.keys() == responses(archive).keys()
    request = requests["http://garden-notes.example/compost.html?utm_source=mail"]
    assert request.startswith(b"GET /compost.html?utm_source=mail HTTP/1.1\r\nHost: garden-notes.example\r\n")
    assert request.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("garden-notes.example/compost.html", "200 OK"),
        ("garden-notes.example/moved.html", "404 Not Found"),
        ("town-record.example/search.html", "500 Internal Server Error"),
        ("town-record.example/old-bridge.html", "301 Moved Permanently"),
    ],
)
def test_statuses(archive: Path, path: str, status: str) -> None:
    assert head_and_body(archive, path)[0].startswith(f"HTTP/1.1 {status}\r\n")


@pytest.mark.parametrize(
    ("path", "declared", "encoding", "word"),
    [
        ("bustan.example/falaj.html", "text/html", "windows-1256", "الماء"),
        ("carnet-de-village.example/haies.html", "text/html; charset=ISO-8859-1", "utf-8", "forêt|sèche"),
        ("chaye-biji.example/shuqiao.html", "text/html; charset=gb2312", "gbk", "朱镕山"),
        ("elaionas.example/ladi.html", "text/html; charset=ISO-8859-7", "iso-8859-7", "ελαιοτριβείο"),
        ("slow-repairs.example/darning.html", "text/html", "utf-16", "grandmother"),
        ("yama-no-hon.example/yamamichi.html", "text/html", "shift_jis", "石積み"),
        ("zimniy-les.example/pech.html", "text/html; charset=utf-8", "windows-1251", "русская печь"),
        ("zimniy-les.example/sledy.html", "text/html; charset=utf-8", "utf-8", "снегу"),
    ],
)
def test_encodings_are_those_of_the_table_whatever_is_declared(
    archive: Path, path: str, declared: str, encoding: str, word: str
) -> None:
    head, body = head_and_body(archive, path)
    assert f"\r\nContent-Type: {declared}\r\n" in head + "\r\n"
    assert re.search(word, body.decode(encoding))


def test_wrong_declarations_are_wrong(archive: Path) -> None:
    with pytest.raises(UnicodeDecodeError):
        head_and_body(archive, "zimniy-les.example/pech.html")[1].decode("utf-8")
    with pytest.raises(UnicodeDecodeError):
        head_and_body(archive, "chaye-biji.example/shuqiao.html")[1].decode("gb2312")
    with pytest.raises(UnicodeDecodeError):
        head_and_body(archive, "yama-no-hon.example/yamamichi.html")[1].decode("utf-8")
    assert b"charset" not in head_and_body(archive, "yama-no-hon.example/yamamichi.html")[1]
    assert "Ã©" in head_and_body(archive, "carnet-de-village.example/haies.html")[1].decode("iso-8859-1")


def dechunk(body: bytes) -> bytes:
    whole = b""
    while body != b"0\r\n\r\n":
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole


@pytest.mark.parametrize(
    ("path", "coding"),
    [
        ("harbour-museum.example/knots.html", "gzip"),
        ("harbour-museum.example/tide-machines.html", "gzip, chunked"),
        ("kitchen-bench.example/onions.html", "br"),
        ("night-sky-club.example/meteors.html", "deflate"),
        ("small-computing.example/hash-tables.html", "chunked"),
    ],
)
def test_codings_give_the_file_back(archive: Path, path: str, coding: str) -> None:
    head, body = head_and_body(archive, path)
    assert ("Transfer-Encoding: chunked" in head) == ("chunked" in coding)
    assert ("Content-Length: " in head) == ("chunked" not in coding)
    content_coding = coding.removesuffix("chunked").strip(", ")
    assert (f"Content-Encoding: {content_coding}" in head) == bool(content_coding)
    body = dechunk(body) if "chunked" in coding else body
    decode = {"gzip": gzip.decompress, "br": brotli.decompress, "deflate": zlib.decompress, "": bytes}[content_coding]
    assert decode(body) == (SAMPLE_WEB / path).read_bytes()


def test_the_same_date_gives_the_same_bytes(tmp_path: Path) -> None:
    site = tmp_path / "site" / "a.example"
    site.mkdir(parents=True)
    (site / "index.html").write_text("<p>home</p>", "utf-8")
    archives = []
    for number, date in enumerate((DATE, DATE, DATE.replace(year=2027))):
        out = tmp_path / str(number) / "a.warc.gz"
        out.parent.mkdir()
        # os and sys show the state of the process, difflib a function's address
        crawl(out, site=site.parent, modules=["difflib", "os", "sys"], date=date)
        archives.append(out.read_bytes())
    assert archives[0] == archives[1] != archives[2]


def test_nothing_of_this_machine_is_in_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hush-hush")
    pages = python_docs.python_pages(["multiprocessing.process", "os", "posix", "site", "sys", "sysconfig"])
    assert {f"python-docs.example/{name}.html" for name in ("os", "sys", "site")} <= pages.keys()
    text = "".join(pages.values())
    private = ["hush-hush", str(Path(python_docs.__file__).parent), os.path.dirname(os.__file__), os.getcwd()]
    assert [word for word in private if word in text] == []
    assert not re.search(r"\b0x[0-9a-f]{9,}", text)


def test_modules_that_act_are_left_alone() -> None:
    modules = python_docs.stdlib_modules()
    assert modules == sorted(set(modules))
    assert {"asyncio.tasks", "builtins", "email.mime.text", "encodings", "json.decoder", "xml.dom.minidom"} <= {
        *modules
    }
    acting = {"__main__", "antigravity", "idlelib", "json.__main__", "test", "this", "tkinter", "turtle", "turtledemo"}
    assert acting.isdisjoint(modules)
    assert not [name for name in modules if name.startswith(("_", "encodings.", "idlelib.", "unittest.test"))]


def test_a_module_that_ends_the_child_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fragile_child(folder: str, names: list[str]) -> None:
        asked.append(list(names))
        for number, name in enumerate(names):
            if name.startswith("fatal"):
                return
            (Path(folder) / f"{name}.html").write_text(name, "utf-8")
            (Path(folder) / f"{number}.done").touch()

    monkeypatch.setattr(python_docs, "_run_child", fragile_child)
    assert python_docs.python_pages(["a", "fatal", "b", "c", "fatal too"]) == {f"{x}.html": x for x in "abc"}
    assert asked == [["a", "fatal", "b", "c", "fatal too"], ["b", "c", "fatal too"]]


def test_docstrings_become_titles_and_prose() -> None:
    text = (
        "join(sep, *words) -> str\n\nJoin all the *other* ``words & more`` in\nthe order given.\n\nTitle here\n==========\n\n"
        "    * The first item of a list\n      has two lines.\n    * The second item has only one.\n\n"
        ">>> this is a doctest, with a stop.\n\n    x = f(1)[2](3) # is no prose at all.\n\nToo short by one.\n"
    )
    assert list(python_docs._blocks(text)) == [
        "<p>Join all the other words &amp; more in the order given.</p>",
        "<h2>Title here</h2>",
        "<p>The first item of a list has two lines.</p>",
        "<p>The second item has only one.</p>",
    ]
    assert list(python_docs._blocks("")) == []


@pytest.mark.parametrize(
    ("paragraph", "prose"),
    [
        ("Now these are five words.", True),
        ("These are four words.", False),
        ("Now these are five words", False),
        ("Seven, marks, in twenty, words: " + "a " * 14 + "(b).", True),  # 7 marks in 20 words
        ("Eight, marks, in, twenty, words: " + "a " * 14 + "(b).", False),  # 8 in 20
    ],
)
def test_prose_has_few_marks_and_an_end(paragraph: str, prose: bool) -> None:
    assert python_docs._is_prose(paragraph) == prose


def test_the_server_is_down_afterwards_and_knows_only_its_table() -> None:
    answers = {"http://a.example/": html_answer("<p>ä</p>")}
    with serve(answers, HTTP_DATE) as port:
        urls = ["http://a.example/", "http://a.example/other", "http://b.example/"]
        got = {url: response for url, _, response in fetch_all(urls, port)}
    assert got["http://a.example/"] == answers["http://a.example/"].wire(HTTP_DATE)
    assert got["http://a.example/other"].startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert got["http://b.example/"].startswith(b"HTTP/1.1 404 Not Found\r\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("size", [0, 1, 4096, 4097])
def test_chunks_are_cut_and_read_back_exactly(size: int) -> None:
    body = b"x" * size
    assert dechunk(chunks(body)) == body
    wire = Answer(body=body, headers=(), chunked=True).wire(HTTP_DATE)
    stream = io.BytesIO(wire + b"HTTP/1.1 200 OK\r\n")
    assert read_response(stream) == wire
    assert stream.read() == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_response_cut_short_is_noticed(chunked: bool) -> None:
    wire = Answer(body=b"twelve bytes", headers=(), chunked=chunked).wire(HTTP_DATE)
    assert read_response(io.BytesIO(wire)) == wire
    for end in range(len(wire)):
        with pytest.raises(ConnectionError):
            read_response(io.BytesIO(wire[:end]))


def test_a_wheel_without_the_sample_web_still_crawls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawl_module, "SAMPLE_WEB", tmp_path / "not there")
    summary = crawl(tmp_path / "a.warc.gz", modules=["calendar"])
    assert (summary.sample_pages, summary.python_pages, summary.records) == (0, 2, 5)
    with pytest.raises(UserError, match="nothing to crawl"):
        crawl(tmp_path / "b.warc.gz", pydoc=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.warc.gz"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/a.warc.gz", "No such file or directory"),
        ("folder.warc.gz", "Is a directory"),
        ("a.warc", "must end in .warc.gz"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.warc.gz").mkdir()
    with pytest.raises(UserError, match=message) as caught:
        crawl(tmp_path / name, pydoc=False)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.warc.gz"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('["a.example/x.html"]\nstatsu = 404\nhex = ""', "statsu = 404; known keys: status"),
        ('["a.example/x.html"]\nstatus = "404"\nhex = ""', "status = '404'"),
        ('["a.example/x.html"]\nfile = "a.example/none.html"', "none.html"),
        ('["a.example/index.html"]\nencoding = "utf-9"', "unknown encoding: utf-9"),
        ('["a.example/index.html"]\ncoding = "zip"', "zip"),
        ('["a.example/x.gif"]\nhex = "4z"', "hexadecimal"),
        ("[", "site.toml"),
    ],
)
def test_a_wrong_site_table_is_one_line(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "a.example").mkdir()
    (tmp_path / "a.example" / "index.html").write_text("<p>home</p>", "utf-8")
    (tmp_path / "site.toml").write_text(table, "utf-8")
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load_site(tmp_path)
    assert str(tmp_path / "site.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_site_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_site(tmp_path / "none")


def test_site_keys(tmp_path: Path) -> None:
    (tmp_path / "a.example").mkdir()
    (tmp_path / "a.example" / "index.html").write_text("<body>日本</body>", "utf-8")
    (tmp_path / "site.toml").write_text(
        '["a.example/index.html"]\nencoding = "latin-1"\ncontent_type = ""\nnested = 2\n'
        '["a.example/old"]\nstatus = 301\nlocation = "http://a.example/"\nhex = "00ff"\n',
        "utf-8",
    )
    assert load_site(tmp_path) == {
        "http://a.example/": Answer(body=b"<body><div><div>&#26085;&#26412;</div></div></body>", headers=()),
        "http://a.example/old": Answer(
            body=b"\x00\xff",
            status=301,
            headers=(("Content-Type", "text/html; charset=utf-8"), ("Location", "http://a.example/")),
        ),
    }


def test_every_page_is_explained() -> None:
    readme = (SAMPLE_WEB / "README.md").read_text("utf-8")
    explained = set(re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE))
    assert {url_of(path) for path in explained} == set(load_site(SAMPLE_WEB))
    assert len(list(SAMPLE_WEB.glob("*.example"))) > 20


def words(path: str) -> list[str]:
    text = re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<head>.*?</head>", "", (SAMPLE_WEB / path).read_text("utf-8")))
    return re.findall(r"\w+", text.lower())


@pytest.mark.parametrize(
    ("original", "copy"),
    [
        ("garden-notes.example/compost.html", "garden-notes.example/compost-print.html"),
        ("kitchen-bench.example/sourdough.html", "best-recipes-daily.example/sourdough-starter.html"),
        ("town-record.example/bridge-reopens.html", "county-wire.example/2023/mill-bridge.html"),
        ("plumber-in-your-town.example/harl.html", "plumber-in-your-town.example/sedley.html"),
    ],
)
def test_near_copies_are_near_but_no_copies(original: str, copy: str) -> None:
    grams = [{tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (words(original), words(copy))]
    # Furniture included, which extraction then removes.
    assert 0.75 < len(grams[0] & grams[1]) / len(grams[0] | grams[1]) < 1
