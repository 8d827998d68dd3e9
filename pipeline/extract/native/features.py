"""Features of each block: of the block itself, its neighbours, the elements around it, and the page as a whole.

No feature is a word of the page: the same template filled with another text gives nearly the same numbers.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.compiled import inner, kernel
from pipeline.extract.native.names import BLOCK, HIDDEN, HIDES, HINTS, KIND, TAG, TAGS
from pipeline.extract.native.parsed import BOLD_SHARE, IMAGES, LINK_SHARE, LINKS, Parsed
from pipeline.extract.native.trees import CONTEXT, LEVELS
from pipeline.extract.native.words import (
    CAPITALISED,
    CAPITALS,
    CHARS,
    COMMAS,
    DIGITS,
    IDEOGRAPHS,
    LETTERS,
    PUNCTUATION,
    SENTENCE_END,
    STOP_WORDS,
    WORDS,
)

# Tags of which each is a feature: whether it is among a block's ancestors.
_AROUND = """
    nav footer header aside article main section form table ul ol li dl td pre blockquote figure figcaption details label
    button a p noscript caption h1 h2 h3 h4 address
""".split()
_BIT = np.full(len(TAGS), -1, np.int64)
_BIT[[TAG[name] for name in _AROUND]] = range(len(_AROUND))
# A number per tag, which roughly grows with how likely the tag's text is main content.
_RANK = np.zeros(len(TAGS), np.float32)
for _rank, _names in enumerate(
    "div section center|td th tr table|li ul ol|dd dt dl|nav footer aside header form|span a label button|article main"
    "|pre code blockquote|p|h4 h5 h6|h3|h2|h1".split("|"),
    start=1,
):
    _RANK[[TAG[name] for name in _names.split()]] = _rank
_H1, _H6 = TAG["h1"], TAG["h6"]

# The main heading is found by the runs of letters that it shares with the title, in a set by hash.
_RUN, _SEEN = 6, 4093
_RUN_MASK = np.int64((1 << 8 * _RUN) - 1)
_ALIKE = np.float32(0.35)
"""A block less like the title is not taken for the main heading, unless it is the first <h1>."""
_TITLE_WORDS = 40
"""Most words of a heading."""

_SELF, _POSITION, _NEIGHBOUR, _LEVEL, _TOP, _REPEAT, _NEAR = 17, 7, 6, 10, 14, 12, 7
_NEIGHBOURS = 6
_O_POSITION = CONTEXT + _SELF
_O_NEIGHBOURS = _O_POSITION + _POSITION
_O_LEVELS = _O_NEIGHBOURS + _NEIGHBOUR * _NEIGHBOURS
_O_TOP = _O_LEVELS + _LEVEL * LEVELS
_O_REPEAT = _O_TOP + _TOP
_O_NEAR = _O_REPEAT + _REPEAT
_O_HINTS = _O_NEAR + _NEAR
_O_TAGS = _O_HINTS + 2 * HINTS
_O_GROUPS = _O_TAGS + len(_AROUND) + 3
_GROUP_LEVELS, _GROUP = 3, 4
_O_PAGE = _O_GROUPS + _GROUP_LEVELS * _GROUP
_O_HEADING = _O_PAGE + 2
_HEADING, _SECTION = 9, 6
_O_SECTION = _O_HEADING + _HEADING
FEATURES = _O_SECTION + _SECTION
"""Columns of `describe`'s table, including those that are empty until the second round."""

_AROUND_COUNT = len(_AROUND)
# Columns of the sums over an element's subtree.
_T_CHARS, _T_LINKED, _T_STOPS, _T_WORDS, _T_BLOCKS, _T_LONG, _T_IMAGES, _T_DIGITS, _T_HEADINGS, _T_ENDS = range(10)
_T_COUNT = 10


@inner
def _long(row: Any) -> Any:
    """Whether a block is running text: a sentence or more, and not a list of links."""
    return row[WORDS] >= 15 and row[LINK_SHARE] < 0.3


_ELEMENT = np.dtype(
    [
        *((name, np.int64) for name in ("hints", "tags", "near")),
        *((name, np.float32) for name in ("score", "depth")),
        ("block_above", np.int32),
        ("on_way", np.int32),
    ]
)
"""Facts about an element; zeros at first. `hints` and `tags`: of it and all elements above it; `near`: hints of it and the two
above it; `score`: as the container of the content; `depth`; `block_above`: the block element above it, -1 for none; `on_way`:
whether it lies between the page and the best container."""


@inner
def _add_up(home: Any, parent: Any, stats: Any, tag: Any, elements: Any, sums: Any) -> Any:
    """Fill `sums` over each element's subtree, and the elements' scores, computed as Readability does. Returns the element
    with the best score, and the score."""
    elements[0].block_above = -1
    for e in range(1, len(tag)):
        p = parent[e]
        elements[e].block_above = p if p == 0 or KIND[tag[p]] & BLOCK else elements[p].block_above
    for i in range(len(home)):
        row, e = stats[i], home[i]
        chars, links = row[CHARS], row[LINK_SHARE]
        sums[e, _T_CHARS] += chars
        sums[e, _T_LINKED] += chars * links
        sums[e, _T_STOPS] += row[STOP_WORDS]
        sums[e, _T_WORDS] += row[WORDS]
        sums[e, _T_BLOCKS] += 1
        sums[e, _T_IMAGES] += row[IMAGES]
        sums[e, _T_DIGITS] += row[DIGITS]
        sums[e, _T_HEADINGS] += _H1 <= tag[e] <= _H6
        sums[e, _T_ENDS] += row[SENTENCE_END]
        if row[WORDS] >= 10 and links < 0.3:
            sums[e, _T_LONG] += 1
        if row[WORDS] >= 8:
            worth = (1 + min(np.float32(10), row[COMMAS]) + min(np.float32(3), chars / 100)) * (1 - links)
            elements[e].score += worth * np.float32(0.3)
            above = elements[e].block_above
            if above >= 0:
                elements[above].score += worth
                if elements[above].block_above >= 0:
                    elements[elements[above].block_above].score += worth / 2
    for e in range(len(tag) - 1, 0, -1):
        for z in range(_T_COUNT):
            sums[parent[e], z] += sums[e, z]
    top = 0
    best = np.float32(0)
    for e in range(len(tag)):
        worth = elements[e].score * (1 - sums[e, _T_LINKED] / max(np.float32(1), sums[e, _T_CHARS]))
        if worth > best:
            best, top = worth, e
    return top, best


_REPEATED = np.dtype(
    [
        ("key", np.uint64),
        *((name, np.float32) for name in "count chars linked stops words digits ends first last".split()),
    ]
)
"""A slot of an open hash table, free where `count` is 0: blocks with one path, or one text, and sums over them; numbers of
the `first` and `last` of them."""


@inner
def _slot(table: Any, key: Any) -> Any:
    """Slot of a key in an open hash table: its own, or a free one."""
    mask = len(table) - 1
    at = np.int64(key >> np.uint64(20)) & mask
    while table[at].count > 0 and table[at].key != key:
        at = (at + 1) & mask
    return at


@inner
def _find_repeats(home: Any, path: Any, prints: Any, stats: Any, paths: Any, texts: Any, slots: Any) -> None:
    """Count the blocks by path and by text; `slots` receives each block's two slots."""
    for i in range(len(home)):
        row = stats[i]
        for kind in range(2):
            table, key = (paths, path[home[i]]) if kind == 0 else (texts, prints[i])
            slots[i, kind] = _slot(table, key)
            slot = table[slots[i, kind]]
            slot.key = key
            slot.count += 1
            slot.chars += row[CHARS]
            slot.linked += row[CHARS] * row[LINK_SHARE]
            slot.stops += row[STOP_WORDS]
            slot.words += row[WORDS]
            slot.digits += row[DIGITS]
            slot.ends += row[SENTENCE_END]
            slot.last = i
            if slot.count == 1:
                slot.first = i


@inner
def _find_groups(path: Any, sums: Any, groups: Any, group: Any) -> Any:
    """Fill `groups` and `group` (see `_Room`). Returns the characters of the group of at least four elements that has
    the most, and the number of its elements."""
    largest, members = np.float32(0), np.float32(0)
    for e in range(len(path)):
        if sums[e, _T_BLOCKS] > 0:
            group[e] = _slot(groups, path[e])
            same = groups[group[e]]
            same.key = path[e]
            same.count += 1
            same.chars += sums[e, _T_CHARS]
            same.linked += sums[e, _T_LINKED]
            if same.count >= 4 and same.chars > largest:
                largest, members = same.chars, same.count
    return largest, members


@inner
def _ancestors(home: Any, tag: Any, sums: Any, elements: Any, i: Any, around: Any) -> None:
    """LEVELS block elements around a block into `around[i]`, each holding more blocks than the one before."""
    z = home[i]
    if not KIND[tag[z]] & BLOCK and elements[z].block_above >= 0:
        z = elements[z].block_above
    for level in range(LEVELS):
        around[i, level] = z
        blocks = sums[z, _T_BLOCKS]
        while elements[z].block_above >= 0 and sums[z, _T_BLOCKS] == blocks:
            z = elements[z].block_above


@inner
def _of_itself(home: Any, parent: Any, stats: Any, tag: Any, i: Any, x: Any) -> None:
    """Fill `x` with the features of block `i` itself and the ranks of its three nearest elements."""
    row = stats[i]
    chars, words = max(np.float32(1), row[CHARS]), max(np.float32(1), row[WORDS])
    x[0] = row[CHARS]
    x[1] = words
    x[2] = row[LINK_SHARE]
    x[3] = row[LINKS]
    x[4] = row[DIGITS] / chars
    x[5] = row[CAPITALS] / max(np.float32(1), row[LETTERS])
    x[6] = row[PUNCTUATION] / words
    x[7] = row[IDEOGRAPHS] / chars
    x[8] = row[STOP_WORDS] / words
    x[9] = row[BOLD_SHARE]
    x[10] = row[SENTENCE_END]
    x[11] = row[COMMAS]
    x[12] = row[CAPITALISED] / words
    x[13] = row[IMAGES]
    e = home[i]
    for z in range(14, 17):
        x[z] = _RANK[tag[e]]
        e = max(parent[e], 0)


@inner
def _of_neighbours(home: Any, parent: Any, stats: Any, tag: Any, i: Any, x: Any) -> None:
    """Fill `x` with features of the three blocks before and the three after block `i`; -1 where there is none."""
    e = home[i]
    for side in range(_NEIGHBOURS):
        j = i + (side - 3 if side < 3 else side - 2)
        o = side * _NEIGHBOUR
        if j < 0 or j >= len(home):
            x[o : o + _NEIGHBOUR] = -1
            continue
        row, other = stats[j], home[j]
        x[o] = row[CHARS]
        x[o + 1] = row[LINK_SHARE]
        x[o + 2] = row[STOP_WORDS] / max(np.float32(1), row[WORDS])
        x[o + 3] = row[SENTENCE_END]
        x[o + 4] = _RANK[tag[other]]
        x[o + 5] = 1 if other == e or parent[other] == parent[e] else 0


@inner
def _shingles(text: Any, a: Any, b: Any, seen: Any, mark: Any) -> Any:
    """Of the runs of _RUN letters or digits (bytes) in `text[a:b]`, how many are in the set `seen`, and how many there are;
    with `mark` they are put into it. A shorter text is one run."""
    run = hits = count = length = np.int64(0)
    for i in range(a, b):
        c = np.int64(text[i])
        if 65 <= c <= 90:
            c += 32
        letter = c >= 0x80 or 97 <= c <= 122 or 48 <= c <= 57
        if letter:
            run = (run << 8 | c) & _RUN_MASK
            length += 1
        if (letter and length >= _RUN) or (i == b - 1 and 0 < length < _RUN):
            slot = run % _SEEN
            hits += seen[slot]
            count += 1
            if mark:
                seen[slot] = 1
    return hits, count


@inner
def _find_main_heading(page: Any, title: Any, seen: Any) -> Any:
    """The block most like the page's title, if possible a heading, or else the first <h1>, -1 for none; how alike it is, and
    the share of the title in it."""
    _, wanted = _shingles(title, 0, len(title), seen, True)
    best: Any = np.int64(-1)
    first: Any = np.int64(-1)
    most = found = np.float32(0)
    for i in range(len(page.home)):
        if page.stats[i, WORDS] > _TITLE_WORDS:
            continue
        tag = page.tag[page.home[i]]
        hits, count = _shingles(page.out, page.start[i], page.stop[i], seen, False)
        shared = min(hits, wanted)
        alike = np.float32(2 * shared) / max(1, count + wanted)
        if not _H1 <= tag <= _H6:
            alike *= np.float32(0.6)
        elif tag == _H1:
            alike += np.float32(0.15) if shared else np.float32(0)
            first = i if first < 0 else first
        if alike > most:
            best, most, found = i, alike, np.float32(shared) / wanted
    if most < _ALIKE:
        best, found = first, np.float32(0)
    return best, most, found


@inner
def _of_main_heading(page: Any, main: Any, alike: Any, found: Any, sums: Any, elements: Any, table: Any) -> None:
    """Fill the features of where a block is from block `main`."""
    home, parent, stats = page.home, page.parent, page.stats
    chars = max(np.float32(1), sums[0, _T_CHARS])
    for e in range(len(elements)):
        elements[e].on_way = False
    on_way: Any = np.int64(home[main]) if main >= 0 else np.int64(-1)
    while on_way >= 0:
        elements[on_way].on_way = True
        on_way = np.int64(parent[on_way])
    away = np.float32(0)  # characters from the heading's start to the block's
    for i in range(main):
        away -= stats[i, CHARS]
    for i in range(len(home)):
        x = table[i, _O_HEADING:_O_SECTION]
        x[:] = -1
        x[7], x[8] = alike, found
        if main < 0:
            continue
        meet = home[i]
        steps = np.float32(0)
        while not elements[meet].on_way:
            meet = parent[meet]
            steps += 1
        x[0] = np.float32(i - main)
        x[1] = away / chars
        x[2] = away
        x[3] = steps
        x[4] = elements[home[main]].depth - elements[meet].depth
        x[5] = sums[meet, _T_CHARS] / chars
        x[6] = sums[meet, _T_BLOCKS]
        away += stats[i, CHARS]


@inner
def _of_sections(home: Any, tag: Any, stats: Any, levels: Any, table: Any) -> None:
    """Fill the features of the section that a block is in: from a heading to the next, of whatever level. Counts headings
    into `levels`."""
    one = np.float32(1)
    for i in range(len(home)):
        if _H1 <= tag[home[i]] <= _H6:
            levels[tag[home[i]] - _H1 + 1] += 1
    first = 0
    while first < len(home):
        chars = linked = long = np.float32(0)
        last = first
        while last < len(home) and (last == first or not _H1 <= tag[home[last]] <= _H6):
            row = stats[last]
            chars += row[CHARS]
            linked += row[CHARS] * row[LINK_SHARE]
            long += one if _long(row) else np.float32(0)
            last += 1
        level = tag[home[first]] - _H1 + 1 if _H1 <= tag[home[first]] <= _H6 else 0
        for i in range(first, last):
            x = table[i, _O_SECTION:]
            x[0] = level
            x[1] = chars
            x[2] = linked / max(one, chars)
            x[3] = last - first
            x[4] = long
            x[5] = levels[level]
        first = last


def describe(page: Parsed, title: bytes) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Features of each block (float32, (blocks, FEATURES)), and elements around it (int32, (blocks, LEVELS)). `title` is the
    page's, in UTF-8."""
    count = len(page.home)
    table, around = np.empty((count, FEATURES), np.float32), np.empty((count, LEVELS), np.int32)
    size = 1 << max(4, (2 * count - 1).bit_length())  # a power of two, at most half full
    groups = 1 << max(4, (2 * len(page.tag) - 1).bit_length())
    room = _Room(
        elements=np.zeros(len(page.tag), _ELEMENT),
        sums=np.zeros((len(page.tag), _T_COUNT), np.float32),
        paths=np.zeros(size, _REPEATED),
        texts=np.zeros(size, _REPEATED),
        slots=np.empty((count, 2), np.int64),
        next_long=np.empty(count, np.float32),
        groups=np.zeros(groups, _REPEATED),
        group=np.zeros(len(page.tag), np.int64),
        seen=np.zeros(_SEEN, np.uint8),
        levels=np.zeros(7, np.float32),
    )
    _describe(page, np.frombuffer(title, np.uint8), room, table, around)
    return table, around


class _Room(NamedTuple):
    """Working arrays of `_describe`."""

    elements: NDArray[Any]
    """_ELEMENT, one per element, zeros at first."""
    sums: NDArray[np.float32]
    """(elements, _T_COUNT): sums over an element's subtree, zeros at first."""
    paths: NDArray[Any]
    """_REPEATED, zeros at first: blocks by path."""
    texts: NDArray[Any]
    """_REPEATED, zeros at first: blocks by text."""
    slots: NDArray[np.int64]
    """(blocks, 2): a block's slots in `paths` and `texts`."""
    next_long: NDArray[np.float32]
    """(blocks,): distance in blocks to the next running text."""
    groups: NDArray[Any]
    """_REPEATED, zeros at first: elements by path, such as the cards of a list; its `count`, `chars` and
    `linked`."""
    group: NDArray[np.int64]
    """(elements,): an element's slot in `groups`."""
    seen: NDArray[np.uint8]
    """(_SEEN,): zeros at first, 1 for a hash of a run of letters in the title."""
    levels: NDArray[np.float32]
    """(7,): zeros at first, the headings of each level from 1 to 6."""


@inner
def _look_above(parent: Any, tag: Any, own_hints: Any, elements: Any, top: Any) -> None:
    """Fill each element's `hints`, `near`, `tags`, `depth`, and whether it is on the way to element `top`."""
    for e in range(len(tag)):
        element, p = elements[e], parent[e]
        element.hints = element.near = own_hints[e]
        bit = _BIT[tag[e]]
        element.tags = np.int64(1) << bit if bit >= 0 else np.int64(0)
        if p >= 0:
            element.hints |= elements[p].hints
            element.tags |= elements[p].tags
            element.depth = elements[p].depth + 1
            element.near |= own_hints[p]
            if parent[p] >= 0:
                element.near |= own_hints[parent[p]]
    on_way: Any = np.int64(top)
    while on_way >= 0:
        elements[on_way].on_way = True
        on_way = np.int64(parent[on_way])


@kernel
def _describe(page: Any, title: Any, room: Any, table: Any, around: Any) -> None:
    """Fill `table` and `around`, as `describe` returns them."""
    home, parent, stats, tag = page.home, page.parent, page.stats, page.tag
    elements, sums, paths, texts, slots, next_long, groups, group, seen, levels = room
    count = len(home)
    for i in range(count):
        row = stats[i]
        row[WORDS] += row[IDEOGRAPHS] * np.float32(0.6)  # a word of Chinese is 1.5 characters, or a little more
    top, best = _add_up(home, parent, stats, tag, elements, sums)
    _find_repeats(home, page.path, page.print, stats, paths, texts, slots)
    _look_above(parent, tag, page.hints, elements, top)
    largest, members = _find_groups(page.path, sums, groups, group)
    main, alike, found = _find_main_heading(page, title, seen)

    distance = np.float32(99)
    for i in range(count - 1, -1, -1):
        next_long[i] = distance
        distance = np.float32(1) if _long(stats[i]) else distance + 1

    one = np.float32(1)
    total = sums[0]
    chars = max(one, total[_T_CHARS])
    before, since_long, headings, since_heading = np.float32(0), np.float32(99), np.float32(0), np.float32(99)
    for i in range(count):
        x, row, e = table[i], stats[i], home[i]
        element = elements[e]
        x[:CONTEXT] = 0
        _of_itself(home, parent, stats, tag, i, x[CONTEXT:_O_POSITION])
        o = _O_POSITION
        x[o] = before / chars
        x[o + 1] = np.float32(i) / count
        x[o + 2] = np.float32(count)
        x[o + 3] = total[_T_CHARS]
        x[o + 4] = total[_T_LINKED] / chars
        x[o + 5] = total[_T_STOPS] / max(one, total[_T_WORDS])
        x[o + 6] = before
        before += row[CHARS]

        _of_neighbours(home, parent, stats, tag, i, x[_O_NEIGHBOURS:_O_LEVELS])

        _ancestors(home, tag, sums, elements, i, around)
        for level in range(LEVELS):
            s = sums[around[i, level]]
            o = _O_LEVELS + level * _LEVEL
            x[o] = s[_T_CHARS]
            x[o + 1] = s[_T_LINKED] / max(one, s[_T_CHARS])
            x[o + 2] = s[_T_STOPS] / max(one, s[_T_WORDS])
            x[o + 3] = s[_T_BLOCKS]
            x[o + 4] = s[_T_CHARS] / chars
            x[o + 5] = s[_T_LONG]
            x[o + 6] = s[_T_IMAGES] / s[_T_BLOCKS]
            x[o + 7] = s[_T_DIGITS] / max(one, s[_T_CHARS])
            x[o + 8] = s[_T_HEADINGS] / s[_T_BLOCKS]
            x[o + 9] = s[_T_ENDS] / s[_T_BLOCKS]

        # Go up until the way to the best container is met, and describe the branch that leads from there to the block.
        meet = branch = e
        steps = np.float32(0)
        while not elements[meet].on_way:
            branch, meet = meet, parent[meet]
            steps += 1
        s, t = sums[branch], sums[top]
        o = _O_TOP
        x[o] = 1 if meet == top else 0
        x[o + 1] = elements[top].depth - elements[meet].depth
        x[o + 2] = steps
        x[o + 3] = t[_T_CHARS] / chars
        x[o + 4] = t[_T_CHARS] / max(one, sums[meet, _T_CHARS])
        x[o + 5] = t[_T_LINKED] / max(one, t[_T_CHARS])
        x[o + 6] = sums[meet, _T_STOPS] / max(one, sums[meet, _T_WORDS])
        x[o + 7] = best
        x[o + 8] = elements[top].depth
        x[o + 9] = s[_T_CHARS]
        x[o + 10] = s[_T_LINKED] / max(one, s[_T_CHARS])
        x[o + 11] = s[_T_STOPS] / max(one, s[_T_WORDS])
        x[o + 12] = s[_T_LONG]
        x[o + 13] = _RANK[tag[branch]]

        p = paths[slots[i, 0]]
        o = _O_REPEAT
        x[o] = p.count
        x[o + 1] = p.chars
        x[o + 2] = p.linked / max(one, p.chars)
        x[o + 3] = p.stops / p.count
        x[o + 4] = p.chars / p.count
        x[o + 5] = texts[slots[i, 1]].count
        x[o + 6] = p.words / p.count
        x[o + 7] = row[WORDS] - p.words / p.count
        x[o + 8] = p.digits / max(one, p.chars)
        x[o + 9] = p.ends / p.count
        x[o + 10] = p.first / count
        x[o + 11] = (p.last - p.first + 1) / p.count

        o = _O_NEAR
        heading = _H1 <= tag[e] <= _H6
        headings += tag[e] == _H1
        since_heading = np.float32(0) if heading else since_heading
        x[o] = since_long
        x[o + 1] = next_long[i]
        x[o + 2] = headings
        x[o + 3] = since_heading
        x[o + 4] = element.depth
        x[o + 5] = 2 if element.hints >> HIDDEN & 1 else 1 if element.hints & HIDES else 0
        x[o + 6] = elements[around[i, 1]].depth
        since_long = np.float32(1) if _long(row) else since_long + 1
        since_heading += 1

        for bit in range(HINTS):
            x[_O_HINTS + bit] = (element.hints >> bit) & 1
            x[_O_HINTS + HINTS + bit] = (element.near >> bit) & 1
        tag_count = np.float32(0)
        for bit in range(_AROUND_COUNT):
            has_tag = (element.tags >> bit) & 1
            x[_O_TAGS + bit] = has_tag
            tag_count += has_tag
        x[_O_TAGS + _AROUND_COUNT] = tag_count
        x[_O_TAGS + _AROUND_COUNT + 1] = _RANK[tag[around[i, 1]]]
        x[_O_TAGS + _AROUND_COUNT + 2] = _RANK[tag[around[i, 2]]]

        for level in range(_GROUP_LEVELS):
            same = groups[group[around[i, level]]]
            o = _O_GROUPS + level * _GROUP
            x[o] = same.count
            x[o + 1] = same.chars / chars
            x[o + 2] = same.chars / max(one, same.count)
            x[o + 3] = same.linked / max(one, same.chars)
        x[_O_PAGE] = largest / chars
        x[_O_PAGE + 1] = members

    _of_main_heading(page, main, alike, found, sums, elements, table)
    _of_sections(home, tag, stats, levels, table)
