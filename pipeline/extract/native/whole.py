"""Nothing is torn apart: the parts of one list, definition list, table, code block or post are kept or dropped together, and
code and formulas between kept text are kept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.compiled import inner, kernel
from pipeline.extract.native.names import BLOCK, HINT, KIND, TAG, TAGS
from pipeline.extract.native.parsed import Parsed
from pipeline.extract.native.words import WORDS

_LIST_WORDS, _TABLE_WORDS = 200, 100
"""Most words of a list, and of a table, whose parts belong together whatever they are."""
_DATA_WORDS, _ENTRY_WORDS = 500, 40
"""Most words of one of short entries, and of its longest entry; above, many are layout or a page's list of posts. On 1,262 gold
pages F1 x 1,000 is +0.41, and +0.35 without this, +0.11 with 1,000 words; 400 words for any table -2.8."""

_TABLE, _PRE, _TEX = TAG["table"], TAG["pre"], TAG["tex"]
_MOST = np.zeros(len(TAGS), np.float32)
"""Words by tag, 0 for tags whose parts do not belong together."""
_MOST[[TAG[name] for name in "ul ol menu dl pre".split()]] = _LIST_WORDS
_MOST[_TABLE] = _TABLE_WORDS

_POST = np.int64(sum(1 << HINT[word] for word in ("post", "comment", "message", "question")))
_ARTICLE = TAG["article"]
_IN_TEXT = KIND & BLOCK == 0
"""Whether an element of this tag is part of the text around it."""
_IN_TEXT[[TAG[name] for name in "p li ul ol pre h1 h2 h3 h4 h5 h6 dl dt dd".split()]] = True
_IN_TEXT[[0, TAG["html"], TAG["body"]]] = False

_ELEMENT = np.dtype(
    [
        *((name, np.float32) for name in ("words", "longest", "kept", "all")),
        *((name, np.int32) for name in ("tables", "whole", "text")),
        ("post", np.bool_),
    ]
)
"""Facts about an element; zeros at first. Its `words`, those of its `longest` block, the `tables` in it; the list or table that
it is part of (`whole`), the element whose `text` it is in, whether it is in a `post`; of what belongs together the words
weighted by their probabilities (`kept`), and `all`."""


def together(page: Parsed, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The blocks' probabilities, those in one list or table, or in the text of one post, replaced by their mean, weighted by
    words. To be called after `describe`.

    Of nested lists the outermost counts that is small enough. A post is an article, post, comment, message or question, by tag
    or class, of which there is another at the same place in the page. Its author, date, signature, buttons and quotes stand in
    other elements than its text: on 73 gold forum pages F1 is 0.836 with and without this, and 0.791 if they are tied to it.
    """
    found = probabilities.copy()
    elements = np.zeros(len(page.tag), _ELEMENT)
    slots = np.zeros(1 << (2 * len(page.tag)).bit_length(), np.int32)  # at most half full
    _together(page.home, page.parent, page.tag, page.hints, page.path, page.stats, slots, elements, found)
    return found


@inner
def _find_posts(tag: Any, hints: Any, path: Any, slots: Any, elements: Any) -> None:
    """Set `post` of the posts themselves. Working array: `slots`, zeros, an open hash table of the first post at each place."""
    mask = len(slots) - 1
    for e in range(len(tag)):
        if hints[e] & _POST or tag[e] == _ARTICLE:
            at = np.int64(path[e] >> np.uint64(20)) & mask
            while slots[at] > 0 and path[slots[at] - 1] != path[e]:
                at = (at + 1) & mask
            if slots[at] > 0:
                elements[slots[at] - 1].post = elements[e].post = True
            else:
                slots[at] = e + 1


@inner
def _of(elements: Any, home: Any) -> Any:
    """The element whose blocks are kept or dropped together with those of the element `home`; 0 for none."""
    whole = elements[home].whole
    text = elements[whole if whole > 0 else home].text
    return text if elements[text].post else whole


def with_code(page: Parsed, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`keep` with the code (`pre`) and the blocks of formulas between two kept blocks: when short they have no words to know
    them by. On 1,262 gold pages it adds code to 8, and F1 x 1,000 is -0.07, all of it from one page whose gold leaves its
    examples out."""
    if not ((page.tag == _PRE) | (page.tag == _TEX)).any():
        return keep
    found = keep.copy()
    _with_code(page.home, page.parent, page.tag, np.zeros(len(page.tag), np.bool_), found)
    return found


@kernel
def _with_code(home: Any, parent: Any, tag: Any, code: Any, keep: Any) -> None:
    """Keep runs of blocks of code or formulas between two kept blocks. Working array: `code`, of each element whether it is in
    code or holds a formula."""
    for e in range(1, len(tag)):
        code[e] = code[parent[e]] or tag[e] == _PRE
    for e in range(len(tag) - 1, 0, -1):
        code[e] = code[e] or tag[e] == _TEX
        if code[e] and not KIND[tag[e]] & BLOCK:
            code[parent[e]] = True
    kept = False  # the last block of other text, or a kept one
    first = np.int64(0)  # the first block of code behind it
    for i in range(len(home)):
        if keep[i] or not code[home[i]]:
            if keep[i] and kept:
                for k in range(first, i):
                    keep[k] = True
            kept = keep[i]
            first = np.int64(i + 1)


@kernel
def _together(
    home: Any, parent: Any, tag: Any, hints: Any, path: Any, stats: Any, slots: Any, elements: Any, found: Any
) -> None:
    """Replace the probabilities `found` by their means. Working arrays: `elements`, and `slots` of `_find_posts`."""
    _find_posts(tag, hints, path, slots, elements)
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
        element, above = elements[e], elements[parent[e]]
        element.whole = above.whole
        if element.whole == 0 and _MOST[tag[e]] > 0:
            data = element.longest <= _ENTRY_WORDS and element.tables == 0
            if element.words <= (_DATA_WORDS if data else _MOST[tag[e]]):
                element.whole = e
        element.text = above.text if _IN_TEXT[tag[e]] and not element.post else e
        element.post |= above.post
    for i in range(len(home)):
        one = elements[_of(elements, home[i])]
        one.kept += (stats[i, WORDS] + 1) * found[i]
        one.all += stats[i, WORDS] + 1
    for i in range(len(home)):
        at = _of(elements, home[i])
        if at > 0:
            found[i] = elements[at].kept / elements[at].all
