"""Shared by the tests of whole runs: small archives and configs made on the spot."""

import random
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

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


Pages = Sequence[tuple[str, bytes | str, str]]
MakeArchive = Callable[[Path, Pages], Path]


@pytest.fixture
def make_archive() -> MakeArchive:
    """Write an archive of (url, body, HTTP status line with content type) as responses, each with its request."""

    def make(path: Path, pages: Pages) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            out = WARCWriter(file, gzip=True)
            for index, (url, body, status) in enumerate(pages):
                code, _, kind = status.partition(" ")
                headers = StatusAndHeaders(
                    f"{code} X", [("Content-Type", kind or "text/html; charset=utf-8")], protocol="HTTP/1.1"
                )
                fixed = {
                    "WARC-Date": f"2026-01-{index % 28 + 1:02d}T00:00:00Z",
                    "WARC-Record-ID": f"<urn:test:{path.name}:{index}>",
                }
                payload = BytesIO(body.encode() if isinstance(body, str) else body)
                out.write_record(
                    out.create_warc_record(
                        url, "response", payload=payload, http_headers=headers, warc_headers_dict=fixed
                    )
                )
        return path

    return make


@pytest.fixture
def corpus(tmp_path: Path, make_archive: MakeArchive) -> Path:
    """Two archives: 24 good pages, an exact copy, a near copy, a short page, an error, a picture, an empty page."""
    good: list[tuple[str, bytes | str, str]] = [(f"http://a.example/{n}", page(n), "200") for n in range(24)]
    near = page(3).replace("river", "brook", 1)
    first = [
        *good[:12],
        ("http://a.example/short", "<p>Too short to keep.</p>", "200"),
        ("http://a.example/lost", page(90), "404"),
    ]
    second: list[tuple[str, bytes | str, str]] = [
        *good[12:],
        ("http://b.example/copy", page(2), "200"),
        ("http://b.example/near", near, "200"),
        ("http://b.example/picture", b"\x89PNG\r\n\x1a\n" + bytes(100), "200 image/png"),
        ("http://b.example/empty", "", "200"),
    ]
    make_archive(tmp_path / "input" / "one.warc.gz", first)
    make_archive(tmp_path / "input" / "two.warc.gz", second)
    return tmp_path / "input"


@pytest.fixture
def config_file(tmp_path: Path, corpus: Path) -> Path:
    """A config over `corpus` that trains a very small model."""
    path = tmp_path / "small.toml"
    path.write_text(
        f"""
        [input]
        paths = ["{corpus}"]
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
    )
    return path
