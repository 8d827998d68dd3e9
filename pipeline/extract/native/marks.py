"""Marks inside a line of Markdown: strong and emphasised text, and links with their addresses.

A mark is written only where CommonMark would read it as the page meant it; otherwise the words stay unmarked.
"""

import unicodedata
from html import unescape
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.parsed import LINK, Parsed

ENDS = 3
"""Added to the kind of a mark where it ends."""
_SAFE = "!#$%&'*+,/:;=?@[]~"
"""Characters that stay unescaped in an address; "%" because addresses in pages are already escaped."""
_LONGEST = 2000
"""Most characters of an address that is written; browsers and servers accept as many."""
_READ_OTHERWISE = (b"*`<\\", b"[]`<\\")
"""Characters with which Markdown might read past the end of a mark: of emphasis, of a link."""
_SPACE, _PUNCTUATION, _OTHER = range(3)
_BANG = ord("!")


class Marks(NamedTuple):
    """The marks to write, in order. Rows: position in `Parsed.out`; kind, plus ENDS for the end of a mark; start and end of its
    address in `addresses`."""

    rows: NDArray[np.int64]
    addresses: NDArray[np.uint8]


NONE = Marks(np.empty((0, 4), np.int64), np.empty(0, np.uint8))


def find_marks(page: Parsed, html: bytes, links: bool, url: str | None) -> Marks:
    """The marks to write for a page parsed with marks. `url` is the page's own, which its links are relative to."""
    out = page.out.data
    marks = page.marks if links else page.marks[page.marks[:, 2] != LINK]
    blocks = np.searchsorted(page.start, marks[:, 0], "right") - 1
    candidates = []  # marks without the white space at their edges
    for (start, stop, kind, *target), block in zip(marks.tolist(), blocks.tolist(), strict=True):
        while start < stop and out[start] <= 32:
            start += 1
        while start < stop and out[stop - 1] <= 32:
            stop -= 1
        text = bytes(out[start:stop])
        if not text or any(byte in text for byte in _READ_OTHERWISE[kind == LINK]):
            continue
        if kind == LINK:
            candidates.append((start, stop, kind, target, _OTHER, _OTHER, _OTHER, _OTHER))
        else:
            before, after = out[max(start - 4, page.start[block]) : start], out[stop : min(stop + 4, page.stop[block])]
            candidates.append((start, stop, kind, target, _kinds(before)[1], *_kinds(text), _kinds(after)[0]))
    written: dict[int, tuple[int, int]] = {}  # index in `candidates` -> start and end of its address
    addresses, edges = bytearray(), set()
    base = _join(url or "", _text(html[slice(*page.base)])) or url or ""
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
        if kind == LINK:
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
    # At the same position ends come before beginnings; the inner mark ends first and begins last.
    rows = [(candidates[order][0], 1, -order, candidates[order][2], *address) for order, address in written.items()]
    rows += [
        (candidates[order][1], 0, order, candidates[order][2] + ENDS, *address) for order, address in written.items()
    ]
    if not rows:
        return NONE
    table = np.array(sorted(rows), np.int64)[:, (0, 3, 4, 5)]
    return Marks(np.ascontiguousarray(table), np.frombuffer(addresses, np.uint8))


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
