"""Marks inside a line of Markdown: strong and emphasised text, code, and links with their addresses.

A mark is written only where CommonMark would read it as the page meant it; otherwise the words stay unmarked.
"""

import re
import unicodedata
from bisect import bisect_right
from html import unescape
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.code_language import code_languages
from pipeline.extract.native.parsed import CODE, LINK, Parsed

ENDS = 4
"""Added to the kind of a mark where it ends."""
_SAFE = "!#$%&'*+,/:;=?@[]~"
"""Characters that stay unescaped in an address; "%" because addresses in pages are already escaped."""
_LONGEST = 2000
"""Most characters of an address that is written; browsers and servers accept as many."""
_READ_OTHERWISE = (b"*`<\\", b"[]`<\\", b"\n")
"""Characters with which Markdown might read past the end of a mark: of emphasis, of a link, of code."""
_SPACE, _PUNCTUATION, _OTHER = range(3)
_BANG, _TICK, _BACKSLASH = b"!`\\"
_TICKS = re.compile(rb"`+")


class Marks(NamedTuple):
    """The marks to write, in order. Rows: position in `Parsed.out`; kind, plus ENDS for the end of a mark; start and end of its
    address in `addresses`; for code 0 and twice the number of its backticks, plus 1 if a space stands beside them."""

    rows: NDArray[np.int64]
    addresses: NDArray[np.uint8]
    languages: NDArray[np.int64]
    """Of elements of code whose language is known, in order: (element, start and end of its name in `addresses`)."""


_NO_ROWS, _NO_LANGUAGES = np.empty((0, 4), np.int64), np.empty((0, 3), np.int64)
NONE = Marks(_NO_ROWS, np.empty(0, np.uint8), _NO_LANGUAGES)


def find_marks(page: Parsed, html: bytes, links: bool, url: str | None) -> Marks:
    """The marks to write for a page parsed with marks. `url` is the page's own, which its links are relative to."""
    out = page.out.data
    marks = page.marks if links else page.marks[page.marks[:, 2] != LINK]
    blocks = np.searchsorted(page.start, marks[:, 0], "right") - 1
    spans = []  # inline code
    candidates = []  # marks without the white space at their edges
    for (start, stop, kind, *target), block in zip(marks.tolist(), blocks.tolist(), strict=True):
        while start < stop and out[start] <= 32:
            start += 1
        while start < stop and out[stop - 1] <= 32:
            stop -= 1
        text = bytes(out[start:stop])
        if text and kind == CODE and b"\n" not in text:
            spans.append((start, stop, block))
        if not text or any(byte in text for byte in _READ_OTHERWISE[(kind == LINK) + 2 * (kind == CODE)]):
            continue
        if kind == LINK or kind == CODE:
            candidates.append((start, stop, kind, target, _OTHER, _OTHER, _OTHER, _OTHER))
        else:
            before, after = out[max(start - 4, page.start[block]) : start], out[stop : min(stop + 4, page.stop[block])]
            candidates.append((start, stop, kind, target, _kinds(before)[1], *_kinds(text), _kinds(after)[0]))
    codes = _codes(spans, page)
    starts = [start for start, _ in codes]
    stops = [stop for _, stop in codes]
    candidates = [one for one in candidates if not _inside(one[0], one[1], starts, stops)]
    written: dict[int, tuple[int, int]] = {}  # index in `candidates` -> start and end of its address
    addresses, edges = bytearray(), set()
    base = _join(url or "", _text(html[slice(*page.base)])) or url or ""
    for order, (start, stop, kind, *_) in enumerate(candidates):
        if kind == CODE and (ticks := codes.pop((start, stop), 0)):
            written[order] = 0, 2 * ticks + (out[start] == _TICK or out[stop - 1] == _TICK)
            edges |= {start, stop}
    found: dict[bytes, str | None] = {}  # the addresses of links, many of which occur twice
    for order, (start, stop, kind, target, *_) in enumerate(candidates):
        address = None
        if kind == LINK:
            source = html[slice(*target)]
            if source not in found:
                found[source] = _address(_text(source), base)
            address = found[source]
        # With a long base, many links could be far longer than the page; a "!" before a link would make it an image.
        if address is not None and len(addresses) + len(address) <= len(html) + _LONGEST and out[start - 1] != _BANG:
            written[order] = len(addresses), len(addresses) + len(address)
            addresses += address.encode()
            edges |= {start, stop}
    around: list[int] = []
    begins = set()
    for order, (start, stop, kind, _, before, first, last, after) in reversed([*enumerate(candidates)]):  # outer first
        if kind == LINK or kind == CODE:
            continue
        while around and start < around[-1]:
            around.pop()
        # CommonMark 6.2: left- and right-flanking; a beginning inside other emphasis must not be able to end it
        opens = before < _OTHER or (first == _OTHER and start not in edges)
        closes = after < _OTHER or (last == _OTHER and stop not in edges)
        if around:
            opens = start not in edges and (before == _SPACE or (before == _PUNCTUATION and first == _OTHER))
            closes = stop not in edges and (after == _SPACE or (after == _PUNCTUATION and last == _OTHER))
        if opens and closes and stop not in begins:
            written[order] = 0, 0
            begins.add(start)
            around.append(start)
    # At the same position ends come before beginnings; the inner mark ends first and begins last, code always.
    rows = []
    for order, where in written.items():
        start, stop, kind = candidates[order][:3]
        inner = -1 if kind == CODE else order
        rows += [(start, 1, -inner, kind, *where), (stop, 0, inner, kind + ENDS, *where)]
    languages = []
    for element, name in code_languages(page, html):
        languages.append((element, len(addresses), len(addresses) + len(name)))
        addresses += name
    table = np.array(sorted(rows), np.int64)[:, (0, 3, 4, 5)] if rows else _NO_ROWS
    named = np.array(languages, np.int64) if languages else _NO_LANGUAGES
    return Marks(np.ascontiguousarray(table), np.frombuffer(addresses, np.uint8), named)


def _inside(start: int, stop: int, starts: list[int], stops: list[int]) -> bool:
    """Whether a mark is in code that is written, and is not all of it."""
    at = bisect_right(starts, start) - 1
    return at >= 0 and stop <= stops[at] and (start, stop) != (starts[at], stops[at])


def _codes(spans: list[tuple[int, int, int]], page: Parsed) -> dict[tuple[int, int], int]:
    """The inline code that is written, of `spans` (start, stop, block): start and stop to the number of its backticks. Not
    written are code in other code or beside it, and code in a block with other backticks."""
    out = page.out.data
    codes: dict[tuple[int, int], int] = {}
    end = -1
    around = {
        block: bytes(out[page.start[block] : page.stop[block]]).count(b"`") for block in {block for *_, block in spans}
    }
    for start, stop, block in sorted(spans, key=lambda span: (span[0], -span[1])):
        text = bytes(out[start:stop])
        first = start == page.start[block]
        if start >= end + (not first) and (first or out[start - 1] != _BACKSLASH):
            codes[start, stop] = 1 + max((len(run) for run in _TICKS.findall(text)), default=0)
            around[block] -= text.count(b"`")
            end = stop
    kept = {(start, stop) for start, stop, block in spans if around[block] == 0}
    return {span: ticks for span, ticks in codes.items() if span in kept}


def _kinds(text: bytes | memoryview) -> tuple[int, int]:
    """CommonMark's classes of the first and the last character; no character, at the edge of a line, is white space."""
    edges = [bytes(text[:4]).decode(errors="ignore")[:1], bytes(text[-4:]).decode(errors="ignore")[-1:]]
    first, last = (
        _SPACE if not c or c.isspace() else _PUNCTUATION if unicodedata.category(c)[0] in "PS" else _OTHER
        for c in edges
    )
    return first, last


def _text(source: bytes) -> str:
    """An attribute's value as browsers read an address: without white space around it or line breaks in it."""
    value = unescape(source.decode())
    return (value if value.isprintable() else "".join(c for c in value if c >= " ")).strip()


def _join(base: str, url: str) -> str | None:
    try:
        joined = urljoin(base, url)
        return joined if urlsplit(joined).scheme in ("http", "https", "") else None
    except ValueError:
        return None


def _address(url: str, base: str) -> str | None:
    """A link's address for Markdown, absolute if the base is known; None if it does not lead to another page."""
    joined = None if url.startswith("#") else _join(base, url)
    address = quote(joined or "", safe=_SAFE)
    return address if 0 < len(address) <= _LONGEST else None
