"""Text that no reader sees, unless it may be the page itself, which a script shows; and the numbers of lines of code."""

from typing import Any, NamedTuple

import numpy as np

from pipeline.extract.native.compiled import kernel
from pipeline.extract.native.names import GUTTER, HIDDEN, HIDES, TAG
from pipeline.extract.native.parsed import Parsed
from pipeline.extract.native.words import DIGITS, IDEOGRAPHS, LETTERS, WORDS

_NOSCRIPT, _TD, _TH, _PRE = (TAG[name] for name in "noscript td th pre".split())


class Limits(NamedTuple):
    """The largest hidden element whose text is dropped."""

    share: float
    """Below this share of the page's words."""
    hidden: float
    """And below this many words if it is not displayed, or for screen readers only."""
    veiled: float
    """And below this many words if it is transparent or aria-hidden, which readers often see after all."""


MAIN = Limits(0.5, 100, 50)
"""For the main content. What is larger is judged like all other text: panels of tabs and pages behind a veil are gold. On 1,262
gold pages F1 x 1,000 with a model that saw such text: +1.8 and +0.8 for limits of 60 and 120 words, -1.8 without a limit of
words, -10 without any."""
EVERYTHING = Limits(0.75, np.inf, np.inf)
"""For all text of a page: what holds three quarters of it is the page."""


def without_unseen(page: Parsed, limits: Limits, noscript: bool) -> Parsed:
    """The page without the blocks that no reader sees, nor the numbers in cells and `pre` that are named the gutter of code,
    nor, with `noscript`, those for browsers without scripts."""
    if not noscript and not page.hides:
        return page
    seen = np.empty(len(page.home), np.bool_)
    words, (unseen, gutter) = np.zeros(len(page.tag), np.float32), np.zeros((2, len(page.tag)), np.bool_)
    if _find_seen(
        page.home, page.parent, page.hints, page.tag, page.stats, *limits, noscript, words, unseen, gutter, seen
    ):
        return page
    return page._replace(
        home=page.home[seen],
        start=page.start[seen],
        stop=page.stop[seen],
        stats=page.stats[seen],
        print=page.print[seen],
    )


@kernel
def _find_seen(
    home: Any,
    parent: Any,
    hints: Any,
    tag: Any,
    stats: Any,
    share: Any,
    hidden: Any,
    veiled: Any,
    noscript: Any,
    words: Any,
    unseen: Any,
    gutter: Any,
    seen: Any,
) -> Any:
    """Fill `seen` for each block; returns whether all are. Working arrays, zeros at first, one per element: the `words` inside
    it; whether it is `unseen`, or a `gutter`."""
    for i in range(len(home)):
        words[home[i]] += stats[i, WORDS] + np.float32(0.6) * stats[i, IDEOGRAPHS]
    for e in range(len(tag) - 1, 0, -1):
        words[parent[e]] += words[e]
    for e in range(1, len(tag)):
        unseen[e] = unseen[parent[e]] or (noscript and tag[e] == _NOSCRIPT)
        gutter[e] = gutter[parent[e]]
        if hints[e] >> GUTTER & 1:
            gutter[e] |= tag[e] == _TD or tag[e] == _TH or tag[e] == _PRE
        if hints[e] & HIDES and words[e] < share * words[0]:
            unseen[e] |= words[e] < (hidden if hints[e] >> HIDDEN & 1 else veiled)
    every = True
    for i in range(len(home)):
        number = stats[i, DIGITS] > 0 and stats[i, LETTERS] == 0 and stats[i, IDEOGRAPHS] == 0
        seen[i] = not unseen[home[i]] and not (gutter[home[i]] and number)
        every = every and seen[i]
    return every
