"""Input over http: ranges, and servers that fail."""

import gzip
import http.server
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError, without_secrets
from pipeline.extract.inputs import files
from pipeline.extract.inputs.files import Ranges, read_range, state
from pipeline.extract.inputs.sources import crawl_files, cut, find_inputs, raw_bytes, read
from pipeline.run.run import Run
from pipeline.run.runner import run

Trouble = Callable[[http.server.BaseHTTPRequestHandler, bytes], bool]
"""Answers a request badly and returns True, or leaves it alone."""


class Server:
    """A folder served with ranges; without them if `ranges` is false; `trouble` sees each request first."""

    def __init__(self, folder: Path) -> None:
        self.ranges = True
        self.says: tuple[str, ...] = ("Content-Length", "ETag")
        """Headers of a reply without ranges."""
        self.trouble: Trouble | None = None
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(f"{self.path} {self.headers['Range']}")
                path = folder / self.path.lstrip("/").partition("?")[0]
                data = path.read_bytes() if path.is_file() else None
                if data is None:
                    self.send_error(404)
                    return
                if not outer.ranges:
                    if outer.trouble and outer.trouble(self, data):
                        return
                    self.send_response(200)
                    for name, value in (("Content-Length", str(len(data))), ("ETag", f'"{hash_of(data)}"')):
                        if name in outer.says:
                            self.send_header(name, value)
                    self.end_headers()
                    with suppress(ConnectionError):  # the client may have seen enough
                        self.wfile.write(data)
                    return
                first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                piece = data[int(first) : int(last) + 1]
                if outer.trouble and outer.trouble(self, piece):
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
                self.send_header("Content-Length", str(len(piece)))
                self.send_header("ETag", f'"{hash_of(data)}"')
                self.end_headers()
                self.wfile.write(piece)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def hash_of(data: bytes) -> str:
    return f"{len(data)}-{sum(data)}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(files, "PAUSES", (0.0, 0.0, 0.0))
    (tmp_path / "www").mkdir()
    opened = Server(tmp_path / "www")
    yield opened
    opened.close()


def failing(times: int, how: Trouble) -> Trouble:
    """Trouble for the first so many requests."""
    left = [times]

    def trouble(handler: http.server.BaseHTTPRequestHandler, piece: bytes) -> bool:
        left[0] -= 1
        return left[0] >= 0 and how(handler, piece)

    return trouble


def unavailable(handler: http.server.BaseHTTPRequestHandler, piece: bytes) -> bool:
    handler.send_error(503)
    return True


def dropped(handler: http.server.BaseHTTPRequestHandler, piece: bytes) -> bool:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 0-0/{len(piece)}")
    handler.send_header("Content-Length", str(len(piece)))
    handler.end_headers()
    handler.wfile.write(piece[: len(piece) // 2])
    handler.close_connection = True
    return True


def hung_up(handler: http.server.BaseHTTPRequestHandler, piece: bytes) -> bool:
    handler.close_connection = True
    return True


def stalled(release: threading.Event) -> Trouble:
    def trouble(handler: http.server.BaseHTTPRequestHandler, piece: bytes) -> bool:
        release.wait(30)
        handler.close_connection = True
        return True

    return trouble


def test_a_remote_file_reads_like_a_file(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 40
    (tmp_path / "www" / "x").write_bytes(data)
    monkeypatch.setattr(files, "FIRST_READ", 100)
    monkeypatch.setattr(files, "LARGEST_READ", 400)
    assert state(f"{server.url}/x") == (len(data), f'"{hash_of(data)}"')
    file = Ranges(f"{server.url}/x", len(data))
    server.asked.clear()
    assert file.read(1000) == data[:1000]
    assert [asked.split("=")[1] for asked in server.asked] == ["0-99", "100-299", "300-699", "700-1099"]
    assert file.seek(-10, 2) == len(data) - 10
    assert file.read() == data[-10:]
    assert file.read(5) == b""
    assert file.seek(5) == file.tell() == 5
    assert file.read(3) == data[5:8]
    assert read_range(f"{server.url}/x", 7, 9) == data[7:9]


@pytest.mark.parametrize("how", [unavailable, dropped, hung_up])
def test_a_server_that_fails_is_asked_again(tmp_path: Path, server: Server, how: Trouble) -> None:
    (tmp_path / "www" / "x").write_bytes(b"0123456789")
    server.trouble = failing(3, how)
    assert read_range(f"{server.url}/x", 2, 8) == b"234567"
    assert len(server.asked) == 4
    server.trouble = failing(4, how)
    with pytest.raises(
        UserError, match=r"/x: bytes 2 to 8 could not be read in 4 tries \(.+\); run the same command again"
    ):
        read_range(f"{server.url}/x", 2, 8)


def test_a_server_that_stalls_is_asked_again(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "www" / "x").write_bytes(b"0123456789")
    monkeypatch.setattr(files, "TIMEOUT", 0.2)
    release = threading.Event()
    server.trouble = failing(2, stalled(release))
    assert read_range(f"{server.url}/x", 2, 8) == b"234567"
    server.trouble = stalled(release)
    with pytest.raises(UserError, match=r"in 4 tries \(timed out\)"):
        read_range(f"{server.url}/x", 2, 8)
    release.set()


def test_pauses_double(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slept: list[float] = []
    monkeypatch.setattr(files, "PAUSES", (0.5, 1.0, 2.0))
    monkeypatch.setattr("time.sleep", slept.append)
    (tmp_path / "www" / "x").write_bytes(b"0123456789")
    server.trouble = unavailable
    with pytest.raises(UserError, match="HTTP 503"):
        read_range(f"{server.url}/x", 0, 1)
    assert slept == [0.5, 1.0, 2.0]


def test_what_no_waiting_mends_is_said_at_once(tmp_path: Path, server: Server) -> None:
    with pytest.raises(UserError, match=r"/none: cannot be read \(HTTP 404\)"):
        state(f"{server.url}/none")
    assert len(server.asked) == 1

    with pytest.raises(UserError, match="a web server cannot list its files"):
        find_inputs([f"{server.url}/*.warc.gz"])
    with pytest.raises(UserError, match=r"nothing://x: "):
        state("nothing://x")


LINES = b"".join(b'{"text": "line %d"}\n' % n for n in range(200))


def texts(url: str) -> list[str | None]:
    return [record.text for record in read(url, 0, None, max_record_bytes=100_000)]


@pytest.mark.parametrize("says", [("Content-Length", "ETag"), ("Content-Length",), ("ETag",), ()])
def test_a_server_without_ranges_is_read_whole(tmp_path: Path, server: Server, says: tuple[str, ...]) -> None:
    files.download.cache_clear()
    server.ranges, server.says = False, says
    (tmp_path / "www" / "a.jsonl").write_bytes(LINES)
    (tmp_path / "www" / "b.jsonl.gz").write_bytes(gzip.compress(LINES))
    before = state(f"{server.url}/a.jsonl")
    assert before[0] == len(LINES)
    assert cut(f"{server.url}/a.jsonl", 100) == [0]
    for name in ("a.jsonl", "b.jsonl.gz"):
        assert texts(f"{server.url}/{name}") == [f"line {n}" for n in range(200)]
    assert raw_bytes(f"{server.url}/a.jsonl", 19, 18) == b'{"text": "line 1"}'
    files.download.cache_clear()
    assert state(f"{server.url}/a.jsonl") == before
    (tmp_path / "www" / "a.jsonl").write_bytes(LINES[:-1] + b" ")
    files.download.cache_clear()
    assert state(f"{server.url}/a.jsonl") != before
    (tmp_path / "www" / "a.jsonl").write_bytes(b"")
    files.download.cache_clear()
    assert texts(f"{server.url}/a.jsonl") == []


def test_a_download_leaves_nothing_behind(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    files.download.cache_clear()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "www" / "a.jsonl").write_bytes(LINES)
    server.ranges = False
    with files.open_file(f"{server.url}/a.jsonl") as file:
        assert os.listdir(tmp_path / "tmp") == []  # it has no name
        assert file.read(5) == LINES[:5]
        assert file.seek(-3, 2) == file.tell() == len(LINES) - 3
        assert file.read() == LINES[-3:]
    asked = len(server.asked)
    assert len(texts(f"{server.url}/a.jsonl")) == 200
    assert [line.endswith("None") for line in server.asked[asked:]] == [False, False]  # the copy is still there
    free = len(LINES) / 0.9

    def disk(of: float) -> None:
        files.download.cache_clear()
        monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=of))

    disk(free + 1)
    assert len(texts(f"{server.url}/a.jsonl")) == 200
    for says in (("Content-Length", "ETag"), ("ETag",)):
        server.says = says
        disk(free - 1)
        with pytest.raises(UserError, match=r"a\.jsonl: does not fit into .*tmp, where it is stored .* TMPDIR"):
            texts(f"{server.url}/a.jsonl")


def test_a_download_that_breaks_off_is_tried_again(tmp_path: Path, server: Server) -> None:
    files.download.cache_clear()
    (tmp_path / "www" / "a.jsonl").write_bytes(LINES)
    server.ranges = False
    tries = [0, 2]

    def half(handler: http.server.BaseHTTPRequestHandler, data: bytes) -> bool:
        if handler.headers["Range"]:
            return False
        tries[0] += 1
        if tries[0] > tries[1]:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: len(data) // 2])
        handler.close_connection = True
        return True

    server.trouble = half
    assert len(texts(f"{server.url}/a.jsonl")) == 200
    tries[:] = [0, 4]
    files.download.cache_clear()
    size = len(LINES)
    with pytest.raises(
        UserError, match=rf"its bytes could not be read in 4 tries \(received {size // 2:,} of {size:,} bytes\)"
    ):
        texts(f"{server.url}/a.jsonl")


def test_an_empty_remote_file_has_no_records(tmp_path: Path, server: Server) -> None:
    def nothing(handler: http.server.BaseHTTPRequestHandler, data: bytes) -> bool:
        handler.send_response(416)
        handler.send_header("Content-Range", "bytes */0")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    (tmp_path / "www" / "a.jsonl").write_bytes(b"")
    server.trouble = nothing
    assert state(f"{server.url}/a.jsonl") == (0, "")
    assert texts(f"{server.url}/a.jsonl") == []


def test_storage_by_fsspec(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name, data in {"a/x.warc": b"", "a/d/y.jsonl": b'{"text": "one"}\n{"text": "two"}\n', "a/z.txt": b"-"}.items():
        system.pipe(f"/{name}", data)
    assert find_inputs(["memory://a"]) == (["memory:///a/x.warc"], ["memory:///a/d/y.jsonl", "memory:///a/z.txt"])
    assert find_inputs(["memory://a/d/*.jsonl"])[0] == ["memory:///a/d/y.jsonl"]
    assert state("memory:///a/d/y.jsonl")[0] == 32
    records = read("memory:///a/d/y.jsonl", 0, None, max_record_bytes=1000)
    assert [record.text for record in records] == ["one", "two"]
    with pytest.raises(UserError, match=r"memory://none/\*\.warc: no such file"):
        find_inputs(["memory://none/*.warc"])
    system.rm("/a", recursive=True)


def go(root: Path, config_file: Path, *sets: str) -> Run:
    return run(root, load(config_file, list(sets)), workers=1, engine="local", until="extract", reporter=Quiet())


def table(done: Run) -> list[dict[str, Any]]:
    return [row for part in done.parts for row in pq.read_table(done.file("extract", part)).to_pylist()]


def test_a_crawl_is_read_from_where_it_lies(tmp_path: Path, server: Server, config_file: Path) -> None:
    www = tmp_path / "www"
    names = []
    for n, archive in enumerate(sorted((config_file.parent / "input").iterdir())):
        names.append(f"crawl-data/CC-TEST/segments/{n}/warc/{archive.name}")
        (www / names[-1]).parent.mkdir(parents=True)
        (www / names[-1]).write_bytes(archive.read_bytes())
    names.append("crawl-data/CC-TEST/segments/9/warc/not-there.warc.gz")
    (www / "crawl-data/CC-TEST/warc.paths.gz").write_bytes(gzip.compress("\n".join(names).encode() + b"\n"))
    assert crawl_files("CC-TEST", 1, "warc", server.url + "/") == [f"{server.url}/{names[0]}"]
    with pytest.raises(UserError, match=r"input\.common_crawl\.files: 4, but .*/warc\.paths\.gz lists 3"):
        crawl_files("CC-TEST", 4, "warc", server.url)
    with pytest.raises(UserError, match=r"CC-NONE/warc\.paths\.gz: cannot be read \(HTTP 404\)"):
        crawl_files("CC-NONE", 1, "warc", server.url)

    local = go(tmp_path / "local", config_file)
    crawl = [
        "input.paths=[]",
        "input.part_bytes=2kB",
        f'input.common_crawl={{crawl="CC-TEST", files=2, base="{server.url}"}}',
    ]
    remote = go(tmp_path / "remote", config_file, *crawl)
    assert table(remote) == table(local)
    assert len(remote.parts) > 3
    assert remote.parts[0].pieces[0].path == f"{server.url}/{names[0]}"
    with pytest.raises(UserError, match="holds a run over other input"):
        go(tmp_path / "remote", config_file, *crawl[:2], crawl[2].replace("files=2", "files=1"))

    # a file that cannot be read names itself; once it can, only what is missing is done
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "remote" / "ledger").rglob("*.parquet")}
    lost = remote.file("extract", remote.parts[-1])
    lost.unlink()
    server.trouble = lambda handler, piece: "two" in handler.path and len(piece) > 1 and gone(handler)
    with pytest.raises(UserError, match=r"two\.warc\.gz: cannot be read \(HTTP 404\)"):
        go(tmp_path / "remote", config_file, *crawl)
    server.trouble = None
    assert table(go(tmp_path / "remote", config_file, *crawl)) == table(local)
    assert [file for file in before if before[file] != file.stat().st_mtime_ns] == [lost]


def gone(handler: http.server.BaseHTTPRequestHandler) -> bool:
    handler.send_error(404)
    return True


def test_input_that_is_no_regular_file_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    os.mkfifo("pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.warc")
        refused = {
            "pipe.jsonl": "a pipe",
            "socket.warc": "a socket",
            "/dev/zero": "a device",
            "/dev/null": "a device",
            "/proc/self/status": "a file of the system",
        }
        for path, kind in refused.items():
            with pytest.raises(UserError) as error:
                find_inputs([path])
            assert str(error.value) == f"{path}: {kind}, where a regular file is needed"


def test_output_goes_to_a_directory_or_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    os.mkfifo("pipe")
    os.symlink("nowhere", "link")
    for scheme in ("s3", "gs", "hf", "http", "https", "memory", "file"):
        with pytest.raises(UserError) as error:
            files.local_directory(Path(f"{scheme}://bucket/run"))
        assert str(error.value) == (
            f"{scheme}://bucket/run: output goes to a directory on this machine; only input may be a URL. "
            "Copy the finished run there"
        )
    for name, line in {
        "file": "file: a file is in the way; choose another directory",
        "file/run": "file/run: a file is in the way; choose another directory",
        "pipe": "pipe: a file is in the way; choose another directory",
        "link/run": "link/run: a file is in the way; choose another directory",
        "/dev/null": "/dev/null: a system directory, where nothing can be stored",
        "/proc/x/run": "/proc/x/run: a system directory, where nothing can be stored",
    }.items():
        with pytest.raises(UserError) as error:
            files.local_directory(Path(name))
        assert str(error.value) == line
    for name in ("new", "new/below", "C:/new", "."):
        assert files.local_directory(Path(name)) == Path(name)
    assert sorted(os.listdir()) == ["file", "link", "pipe"]


SIGNED = "?X-Amz-Credential=AKIA%2Fx&X-Amz-Signature={}&X-Amz-Expires=60"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://u:p@h.example/a/b.warc.gz", "https://h.example/a/b.warc.gz"),
        ("ftp://u@h:21/b@c?d=e@f", "ftp://h:21/b@c?d=e@f"),
        ("https://h/a?id=7&X-Amz-Signature=ab&part=2", "https://h/a?id=7&part=2"),
        ("https://h/a?sv=1&se=2&sp=r&sig=ab%2B", "https://h/a"),
        ("https://h/a?sv=1&st=2", "https://h/a?sv=1&st=2"),  # no signature
        ("https://h/a?keyword=k&key=s&monkey=m", "https://h/a?keyword=k&monkey=m"),
        ("https://h/a?access_token=1#top", "https://h/a#top"),
        ("https://h/a?Signature=a: cannot be read (HTTP 403)", "https://h/a: cannot be read (HTTP 403)"),
        ('{"paths": ["s3://k:s@b/x?token=1", "/a/b?sig=1"]}', '{"paths": ["s3://b/x", "/a/b?sig=1"]}'),
        ("a@b.example and x?sig=1", "a@b.example and x?sig=1"),
    ],
)
def test_what_is_stored_and_shown_of_a_url(given: str, shown: str) -> None:
    assert without_secrets(given) == shown
    assert str(UserError(given)) == shown


def test_a_signed_url_leaves_no_signature_and_may_be_renewed(tmp_path: Path, server: Server, config_file: Path) -> None:
    archive = load(config_file).input.paths[0] + "/one.warc.gz"
    (tmp_path / "www" / "a.warc.gz").write_bytes(Path(archive).read_bytes())
    url = f"{server.url}/a.warc.gz"
    root = tmp_path / "run"
    done = go(root, config_file, f'input.paths=["{url}{SIGNED.format("hidden1")}"]')
    stored = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert not [file for file, data in stored.items() if b"hidden1" in data or "hidden1" in file.name]
    assert done.parts[0].pieces[0].path == url
    quiet = Quiet()
    again = load(config_file, [f'input.paths=["{url}{SIGNED.format("hidden2")}"]'])
    run(root, again, workers=1, engine="local", until="extract", reporter=quiet)
    assert quiet.steps == []
    (tmp_path / "www" / "a.warc.gz").unlink()  # as a signature that has expired
    quiet = Quiet()
    run(root, load(config_file, [f'input.paths=["{url}"]']), workers=1, engine="local", until="extract", reporter=quiet)
    assert quiet.steps == []
    assert quiet.notes[0] == f"{url}: cannot be read (HTTP 404); it is taken as it was when this run read it"
    with pytest.raises(UserError, match="HTTP 404"):
        go(tmp_path / "new", config_file, f'input.paths=["{url}"]')


def test_a_link_to_itself_is_no_file(tmp_path: Path) -> None:
    os.symlink("loop.warc", tmp_path / "loop.warc")
    (tmp_path / "a.warc").write_bytes(b"WARC/1.0\r\n")
    assert find_inputs([str(tmp_path)])[0] == [str(tmp_path / "a.warc")]
    for name in ("loop.warc", "*.warc"):
        with pytest.raises(UserError, match=r"loop\.warc: cannot be read \(Too many levels of symbolic links\)"):
            find_inputs([str(tmp_path / name)])
