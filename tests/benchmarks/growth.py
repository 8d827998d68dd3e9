"""Time of everything that sees outside bytes, on one unit repeated to more and more bytes: python tests/benchmarks/growth.py [NAME...]

For each regular expression of the package and each reader, extractor, filter and tokenizer, on each unit: CPU seconds from
16 kB to 1 MB. Prints those where doubling the input multiplies the time by more than 2.5, as NAME, unit, seconds per size.
An input that takes over a second ends its row. NAME: only functions whose name contains one of these.
"""

import importlib
import pkgutil
import re
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from tempfile import TemporaryDirectory

import pyarrow as pa
import regex

import pipeline
from pipeline.errors import UserError
from pipeline.extract.inputs.archive import header_block, read_records
from pipeline.extract.options import TextOptions
from pipeline.extract.page import media_type
from pipeline.extract.pages.charset import decode
from pipeline.extract.pages.coding import undo
from pipeline.extract.pages.markup import EXTRACTORS, extract_page, nesting, page_title
from pipeline.extract.pages.published import published
from pipeline.filters.discovery import family_names
from pipeline.filters.pii import mask
from pipeline.filters.signals import measure, stored_signals
from pipeline.tokenize.bpe import train_bpe
from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN

UNITS = (
    "\r", "\n", "\r\n", " ", "\t", "\0", "<", ">", "&", "&#", "<a ", "<a>", "</a>", "<!--", "<!---->", "<svg>", "<title>", "<meta ",
    "<table>", "<p>x", "<b><i>", '"', "'", "=", "1", "1.", "1 ", "a", "A", "a ", "a@", "a.", "a: b\n", "a:\n ", ".", "...", ". ", "-", "_",
    "- ", "(", "[", "{", "~{", "x1", "a\n", "http://", "www.", "1.1.1.1", "+1 ", "charset=", "charset= ", "0\r\n", "\u00e9", "\u6771",
    "\u0301", "\ufffd", "\U0001f600", "WARC/1.0\r\nA:", "xy ", "the ",
)  # fmt: skip
SIZES = [16_384 << step for step in range(7)]
RATIO = 2.5
LEAST = 0.05
"""Seconds below which a ratio says nothing."""
LONGEST = 1.0
AT_START = ("_ARC_START", "_WARC_START", "_SCHEME", "_SYSTEM", "_STATUS", "_HTML_START", "_ZIPPED_START")
"""Patterns that are only matched at the start of their input."""


def patterns() -> Iterator[tuple[str, Callable[[bytes], object]]]:
    """Every regular expression in a module of the package, searched for to the end of the input."""
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if module.name.startswith(("pipeline.train", "pipeline.tools")) or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, (re.Pattern, regex.Pattern)):
                yield f"{module.name}.{name}", match_start(value) if name in AT_START else search_all(value)


def search_all(pattern: "re.Pattern[str] | re.Pattern[bytes]") -> Callable[[bytes], object]:
    """Every match of a pattern, whether it is for text or for bytes."""
    if isinstance(pattern.pattern, bytes):
        return lambda data: sum(1 for _ in pattern.finditer(data))
    return lambda data: sum(1 for _ in pattern.finditer(data.decode()))


def match_start(pattern: "re.Pattern[str] | re.Pattern[bytes]") -> Callable[[bytes], object]:
    """A match at the start."""
    if isinstance(pattern.pattern, bytes):
        return lambda data: pattern.match(data)
    return lambda data: pattern.match(data.decode())


def functions(folder: str) -> Iterator[tuple[str, Callable[[bytes], object]]]:
    """What a record goes through; each takes bytes that are valid UTF-8."""

    def archive(data: bytes) -> None:
        response = b"HTTP/1.1 200 OK\r\n" + data
        head = f"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: {len(response)}\r\n\r\n".encode()
        for name, content in (("whole", head + response + b"\r\n\r\n"), ("bare", data)):
            with open(f"{folder}/{name}.warc", "wb") as file:
                file.write(content)
            list(read_records(f"{folder}/{name}.warc", max_record_bytes=10_000_000))

    yield "archive", archive
    yield "headers", header_block
    yield "media type", lambda data: media_type(None, data)
    yield "decode", lambda data: decode(data, data.decode())
    yield "chunked", lambda data: undo(data, [("transfer-encoding", "chunked")], max_bytes=10_000_000)
    yield "title", lambda data: page_title(data.decode())
    yield "nesting", lambda data: nesting(data.decode())
    yield "published", published
    for name in EXTRACTORS:
        options = TextOptions(extractor=name)
        yield f"extractor {name}", lambda data, options=options: extract_page(data, options)  # type: ignore[misc]
    yield "mask", lambda data: mask(data.decode())
    for family in (None, *family_names()):
        families = (family,) if family else ()
        try:
            names = stored_signals(families)
        except UserError as error:  # its extra is not installed
            print(error)
            continue
        yield f"signals {family or ''}", lambda data, names=names: measure(pa.array([data.decode()]), names)  # type: ignore[misc]
    for pattern in (GPT2_PATTERN, CL100K_PATTERN, r"\p{L}+|\P{L}"):

        def tokens(data: bytes, pattern: str = pattern) -> None:
            train_bpe([data.decode()], 400, pattern=pattern).encode_batch([data.decode()])

        yield f"tokenizer {pattern[:12]}", tokens


def seconds(function: Callable[[bytes], object], data: bytes) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    function(data)
    return time.process_time() - began


def grows(name: str, function: Callable[[bytes], object], unit: str) -> str | None:
    """A line about a function whose time grows faster than its input; None for others."""
    raw = unit.encode()
    took: list[float] = []
    for size in SIZES:
        took.append(seconds(function, raw * (size // len(raw))))
        if took[-1] > LONGEST:
            break
    steep = [b / a for a, b in pairwise(took) if a > LEAST]
    if not steep or max(steep) < RATIO:
        return None
    return f"{name:<40} {unit!r:<16} " + " ".join(f"{time_:.3f}" for time_ in took)


def main() -> None:
    """Print what grows."""
    chosen = sys.argv[1:]
    with TemporaryDirectory() as folder:
        runs = lines = 0
        for name, function in (*patterns(), *functions(folder)):
            if chosen and not any(part in name for part in chosen):
                continue
            function(b"warm up")
            for unit in UNITS:
                runs += 1
                if line := grows(name, function, unit):
                    lines += 1
                    print(line, flush=True)
        print(f"{lines} of {runs} grow faster than their input")


if __name__ == "__main__":
    main()
