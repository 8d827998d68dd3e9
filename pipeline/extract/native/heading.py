"""The title that stands over a page's text."""

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.inside import blocks_inside
from pipeline.extract.native.names import TAG
from pipeline.extract.native.parsed import Parsed
from pipeline.extract.pages.entries import words

_H1 = TAG["h1"]
_BETWEEN = re.compile(r"\s[|\-–—·•»:/]+\s|[|»]")
"""What stands between a page's title and the name of its site."""


def heading(page: Parsed, title: str | None) -> tuple[str, NDArray[np.bool_]]:
    """The h1 that has most in common with the page's title, and which blocks it is (bool, one per block). If none has a word
    of it, the longest part of the title between marks such as " | " and " - ", and no blocks.

    Of 843 titles of pages, written by hand, it is 77 %; the first h1 is 67 %, the first part of the title 71 %.
    """
    nothing = np.zeros(len(page.home), np.bool_)
    best, shared, blocks = "", 0.0, nothing
    for inside in _headings(page):
        text = " ".join(b" ".join(page.out[a:b].tobytes() for a, b in _spans(page, inside)).decode().split())
        own = _alike(text, title) if title else 1.0
        if own > shared:
            best, shared, blocks = text, own, inside
    if not best and title:
        best = max((part.strip() for part in _BETWEEN.split(title)), key=len) or title
    return best, blocks


def starts_with(text: str, title: str) -> bool:
    """Whether the text's first words are those of the title."""
    own = words(title)
    return words(text[: 2 * len(title) + 100])[: len(own)] == own


def _headings(page: Parsed) -> Iterator[NDArray[np.bool_]]:
    """The blocks of each h1 that has any (bool, one per block)."""
    for h1 in np.flatnonzero(page.tag == _H1)[:_MOST]:
        inside = blocks_inside(page, np.arange(len(page.tag)) == h1)
        if inside.any():
            yield inside


_MOST = 50
"""Most h1 elements that are looked at."""


def _spans(page: Parsed, blocks: NDArray[np.bool_]) -> list[tuple[int, int]]:
    return list(zip(page.start[blocks].tolist(), page.stop[blocks].tolist(), strict=True))


def _alike(text: str, title: str) -> float:
    """The words that both have, as F1 over bags of words."""
    ours, theirs = Counter(words(text)), Counter(words(title))
    return 2 * sum((ours & theirs).values()) / max(1, sum(ours.values()) + sum(theirs.values()))
