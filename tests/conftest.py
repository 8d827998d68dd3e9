"""Shared by the tests of whole runs: small archives and configs made on the spot."""

import gzip
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.config_file import load
from pipeline.core.engines import InlineEngine, LocalEngine
from pipeline.core.progress import Quiet
from pipeline.run import runner
from pipeline.run.run import Run
from pipeline.run.runner import run


def pytest_sessionstart() -> None:
    """Two workers of a whole run share the compiling: else each compiles what the other one does at that moment."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker == "gw0":
        from pipeline.extract.native import extract

        extract.warm_up()
    elif worker == "gw1":
        from pipeline.filters import edits, minhash, signals
        from pipeline.filters.discovery import family_names

        signals.warm_up(family_names())
        edits.warm_up()
        minhash.warm_up()


WORDS = [
    "river",
    "garden",
    "winter",
    "letter",
    "market",
    "window",
    "summer",
    "village",
    "teacher",
    "engine",
    "bridge",
    "harbour",
    "kitchen",
    "mountain",
    "paper",
    "music",
    "season",
    "valley",
    "meadow",
    "lantern",
    "station",
    "orchard",
    "copper",
    "island",
    "history",
    "weather",
    "journey",
    "stone",
    "forest",
]


def sentences(seed: int, count: int) -> list[str]:
    """Plain English sentences of our own, the same for a seed."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        one, two, three, four, five = draw.sample(WORDS, 5)
        lines.append(f"The {one} of the {two} has a {three} and people go to the {four} with that {five} in mind.")
    return lines


def page(seed: int, paragraphs: int = 6) -> str:
    """An article in HTML."""
    body = "".join(f"<p>{' '.join(sentences(seed * 1000 + n, 4))}</p>\n" for n in range(paragraphs))
    return f"<html lang=en><head><title>Page {seed}</title></head><body><article><h1>Page {seed}</h1>{body}</article></body></html>"


def record(archive: str, index: int, url: str, body: bytes | str, status: str) -> bytes:
    """A response record as a gzip member of its own."""
    code, _, kind = status.partition(" ")
    body = body.encode() if isinstance(body, str) else body
    block = f"HTTP/1.1 {code} X\r\nContent-Type: {kind or 'text/html; charset=utf-8'}\r\n\r\n".encode() + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2026-01-{index % 28 + 1:02d}T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:test:{archive}:{index}>\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0)


Pages = Sequence[tuple[str, bytes | str, str]]
MakeArchive = Callable[[Path, Pages], Path]


@pytest.fixture(scope="session")
def make_archive() -> MakeArchive:
    """Write an archive of (url, body, "status content-type") as response records."""

    def make(path: Path, pages: Pages) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(record(path.name, index, *entry) for index, entry in enumerate(pages)))
        return path

    return make


@pytest.fixture(autouse=True, scope="session")
def inline() -> Iterator[None]:
    """One worker is this process: to start another one takes longer than these runs. Two workers are two processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "LocalEngine", lambda workers: LocalEngine(workers) if workers > 1 else InlineEngine())
        yield


Go = Callable[..., tuple[Run, list[str]]]


@pytest.fixture
def go(config_file: Path) -> Go:
    """Run the small config with settings: the run, and the steps that it took."""

    def go(root: Path, sets: Sequence[str] = (), until: str = "clean") -> tuple[Run, list[str]]:
        quiet = Quiet()
        done = run(root, load(config_file, sets), workers=1, engine="local", until=until, reporter=quiet)
        return done, quiet.steps

    return go


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Exit code, stdout and stderr of a command of the program."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory, make_archive: MakeArchive) -> Path:
    """A config over two archives, 24 good pages, an exact copy, a near copy, a short page, an error, a picture and an
    empty page, which trains a very small model."""
    folder = tmp_path_factory.mktemp("corpus")
    good: list[tuple[str, bytes | str, str]] = [(f"http://a.example/{n}", page(n), "200") for n in range(24)]
    first = [
        *good[:12],
        (
            "http://a.example/short",
            "<p>This is too short to keep, and that is the end of the matter for it.</p>",
            "200",
        ),
        ("http://a.example/lost", page(90), "404"),
    ]
    second = [
        *good[12:],
        ("http://b.example/copy", page(2), "200"),
        ("http://b.example/near", page(3).replace("river", "rill", 1), "200"),
        ("http://b.example/picture", b"\x89PNG\r\n\x1a\n" + bytes(100), "200 image/png"),
        ("http://b.example/empty", "", "200"),
    ]
    make_archive(folder / "input" / "one.warc.gz", first)
    make_archive(folder / "input" / "two.warc.gz", second)
    (folder / "small.toml").write_text(CONFIG.format(folder / "input"))
    return folder / "small.toml"


CONFIG = """
[input]
paths = ["{}"]
part_bytes = "300kB"  # so that its two archives, of a few kB, do not share a part
[extract]
extractor = "resiliparse"
[language]
keep = ["en"]
[quality]
words = {{ min = 50 }}
stop_words = {{ min = 2, languages = ["en"] }}
[tokenizer]
vocab_size = 300
[shards]
tokens = 5000
validation = 0.2
[train]
layers = 1
width = 16
heads = 2
kv_heads = 1
context = 32
batch_size = 4
steps = 4
"""
