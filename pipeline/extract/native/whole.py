"""Nothing is torn apart: the parts of one list, definition list, table or code block are kept or dropped together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.names import TAG, TAGS
from pipeline.extract.native.parsed import Parsed
from pipeline.extract.native.words import WORDS
from pipeline.kernels import kernel

_LIST_WORDS, _TABLE_WORDS = 200, 100
"""Most words of a list, and of a table, whose parts belong together whatever they are."""
_DATA_WORDS, _ENTRY_WORDS = 500, 40
"""Most words of one of short entries, and of its longest entry; above, many are layout or a page's list of posts. On 1,262 gold
pages F1 x 1,000 is +0.41, and +0.35 without this, +0.11 with 1,000 words; 400 words for any table -2.8."""

_TABLE = TAG["table"]
_MOST = np.zeros(len(TAGS), np.float32)
"""Words by tag, 0 for tags whose parts do not belong together."""
_MOST[[TAG[name] for name in "ul ol menu dl pre".split()]] = _LIST_WORDS
_MOST[_TABLE] = _TABLE_WORDS

_ELEMENT = np.dtype(
    [
        *((name, np.float32) for name in ("words", "longest", "kept", "all")),
        *((name, np.int32) for name in ("tables", "whole")),
    ]
)
"""Facts about an element; zeros at first. Its `words`, those of its `longest` block, the `tables` in it, the list or table that
it is part of (`whole`); of that the words weighted by their probabilities (`kept`), and `all`."""


def together(page: Parsed, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The blocks' probabilities, those in one list or table replaced by their mean, weighted by words. Of nested ones the
    outermost counts that is small enough. To be called after `describe`."""
    found = probabilities.copy()
    _together(page.home, page.parent, page.tag, page.stats, np.zeros(len(page.tag), _ELEMENT), found)
    return found


@kernel
def _together(home: Any, parent: Any, tag: Any, stats: Any, elements: Any, found: Any) -> None:
    """Replace the probabilities `found` by their means. Working array: `elements`."""
    for i in range(len(home)):
        element = elements[home[i]]
        element.words += stats[i, WORDS]
        element.longest = max(element.longest, stats[i, WORDS])
    for e in range(len(tag) - 1, 0, -1):
        element, above = elements[e], elements[parent[e]]
        above.words += element.words
        above.longest = max(above.longest, element.longest)
        above.tables += element.tables + (tag[e] == _TABLE)
    for e in range(1, len(tag)):
        element = elements[e]
        element.whole = elements[parent[e]].whole
        if element.whole == 0 and _MOST[tag[e]] > 0:
            data = element.longest <= _ENTRY_WORDS and element.tables == 0
            if element.words <= (_DATA_WORDS if data else _MOST[tag[e]]):
                element.whole = e
    for i in range(len(home)):
        whole = elements[elements[home[i]].whole]
        whole.kept += (stats[i, WORDS] + 1) * found[i]
        whole.all += stats[i, WORDS] + 1
    for i in range(len(home)):
        if elements[home[i]].whole > 0:
            whole = elements[elements[home[i]].whole]
            found[i] = whole.kept / whole.all
