"""A parsed page: the columns of its elements and blocks, and the statuses of parsing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.words import COLUMNS

OK, TOO_DEEP, TOO_LARGE = 0, 1, 2

# Columns of `Parsed.stats` beyond those of words.measure.
LINK_SHARE, LINKS, BOLD_SHARE, IMAGES = COLUMNS, COLUMNS + 1, COLUMNS + 2, COLUMNS + 3
STATS = COLUMNS + 4

ROWS = 12
"""Bits of the number of columns that a cell spans, at most 1,000 as in HTML; the number of rows is in the bits above."""

STRONG, EMPHASIS, LINK, CODE = range(4)
"""Kinds of marks."""


class Parsed(NamedTuple):
    """A parsed page. Per element: parent, tag, hints, path (a hash of the tags and classes down to it); element 0 is the
    page. Per block: its text is `out[start:stop]`, inside element `home`; `stats` has STATS columns; `print` is a hash of the
    text's letters and digits."""

    status: int
    """OK, TOO_DEEP or TOO_LARGE."""
    title: tuple[int, int]
    """Start and end of the page's title, in bytes of the page."""
    base: tuple[int, int]
    """Start and end of the address that its links are relative to; empty if the page states none."""
    parent: NDArray[np.int32]
    tag: NDArray[np.int32]
    hints: NDArray[np.int64]
    path: NDArray[np.uint64]
    number: NDArray[np.int32]
    """For a list the number it starts with, minus one, or for one that counts down -1 minus that number; for an item its
    number; 0 if the page gives none; for a cell that spans several, its rows shifted left by ROWS, plus its columns."""
    out: NDArray[np.uint8]
    home: NDArray[np.int32]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    stats: NDArray[np.float32]
    print: NDArray[np.uint64]
    hides: bool
    """Whether an element has a hint bit of HIDES or GUTTER."""
    special: bool
    """Whether the page has what `shown.as_shown` rewrites."""
    begins: NDArray[np.int64]
    """Where the tag of each element begins in the page, if marks are asked for."""
    marks: NDArray[np.int64]
    """Strong, emphasised and linked text and inline code, if asked for, inner before outer: start and stop in `out`, kind, and
    for a link start and end of its target in the page. Marks do not cross one another and stay within a block."""
