"""Kept blocks to text that reads well, plain or as Markdown.

Plain: a paragraph a line; list items after "- " or their number, nested ones indented; a table's row a line, its cells
between " | ". Markdown adds what marks headings, quotes, code, tables and, inside a line, what `marks` found. What the words
themselves look like is left alone: an asterisk in a sentence stays one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.blocks import LINK, LINK_SHARE, STRONG, Parsed
from pipeline.extract.native.marks import ENDS, Marks
from pipeline.extract.native.names import BLOCK, HIDDEN, KIND, TAG
from pipeline.extract.native.outline import PLACE, outline
from pipeline.extract.native.words import WORDS
from pipeline.kernels import inner, kernel

_ARTICLE, _MAIN, _NOSCRIPT, _OL, _P, _H1 = (TAG[t] for t in "article main noscript ol p h1".split())
_CAPTIONS = [TAG[t] for t in "caption figcaption".split()]
_SPACE, _BREAK, _BAR, _TICK, _DASH, _ABOVE, _HASH, _STAR = np.frombuffer(b" \n|`->#*", np.uint8)
_BRACKET, _BRACKET_END, _PARENTHESIS, _PARENTHESIS_END, _BACKSLASH = np.frombuffer(b"[]()\\", np.uint8)

_CELL = 200
"""Bytes of a cell whose line breaks become spaces. A table with longer ones lays out a page, and its rows are no lines."""
_WIDTH = 64
"""Columns of the widest table that is written as rows."""
_INDENT = 40
"""Spaces that a line begins with at most."""
_MARGIN = 16 * _WIDTH
"""Room for what stands before and behind a line: indents, marks of quotes, bars."""


def visible(page: Parsed) -> NDArray[np.bool_]:
    """Which blocks a reader with scripts would see, as far as the page itself says so."""
    hidden = np.zeros(len(page.tag), np.bool_)
    _hidden(page.hints, page.parent, page.tag, hidden)
    return np.asarray(~hidden[page.home])


@kernel
def _hidden(hints: Any, parent: Any, tag: Any, hidden: Any) -> None:
    for e in range(len(tag)):
        above = parent[e]
        hidden[e] = tag[e] == _NOSCRIPT or (hints[e] >> HIDDEN) & 1 or (above > 0 and hidden[above])


def comments(page: Parsed) -> NDArray[np.bool_]:
    """Which blocks are a sentence in what the page's names call comments; after `describe`."""
    inside = np.zeros(len(page.tag), np.bool_)
    _commented(page.hints, page.parent, page.tag, inside)
    sentence = (page.stats[:, WORDS] >= 5) & (page.stats[:, LINK_SHARE] < 0.3)
    return np.asarray(inside[page.home] & sentence)


@kernel
def _commented(hints: Any, parent: Any, tag: Any, inside: Any) -> None:
    for e in range(1, len(tag)):
        named = hints[e] & 1 and tag[e] != _ARTICLE and tag[e] != _MAIN
        inside[e] = named or inside[parent[e]]


def captions(page: Parsed, keep: NDArray[np.bool_], wanted: bool) -> NDArray[np.bool_]:
    """`keep` without the captions of figures and tables, or with those beside a kept block that is none."""
    inside = np.isin(page.tag, _CAPTIONS)
    count = -1
    while count != (count := int(inside.sum())):
        inside[1:] |= inside[page.parent[1:]]
    found = inside[page.home]
    if not wanted:
        return np.asarray(keep & ~found)
    others = np.flatnonzero(~found)
    if not len(others):
        return keep
    place = np.searchsorted(others, np.flatnonzero(found))
    beside = np.zeros_like(found)
    beside[found] = keep[others[np.maximum(place - 1, 0)]] | keep[others[np.minimum(place, len(others) - 1)]]
    return np.asarray(keep | (beside & visible(page)))


@inner
def _fill(text: Any, o: Any, byte: Any, times: Any) -> Any:
    for z in range(times):
        text[o + z] = byte
    return o + times


@inner
def _prefix(text: Any, o: Any, quotes: Any, spaces: Any) -> Any:
    """What a line of a quote, or of a list's item, begins with."""
    for _ in range(quotes):
        text[o], text[o + 1] = _ABOVE, _SPACE
        o += 2
    return _fill(text, o, _SPACE, spaces)


@inner
def _number(text: Any, o: Any, number: Any) -> Any:
    digits = 1
    while number >= 10**digits:
        digits += 1
    for z in range(digits):
        text[o + digits - 1 - z] = 48 + number % 10
        number //= 10
    text[o + digits], text[o + digits + 1] = 46, _SPACE
    return o + digits + 2


@inner
def _plain(parent: Any, tag: Any, e: Any, item: Any) -> Any:
    """Whether an item's text is in the item itself or a paragraph of it; other lists, of posts say, are not for counting."""
    while e != item:
        if KIND[tag[e]] & BLOCK and tag[e] != _P:
            return False
        e = parent[e]
    return True


@inner
def _ticks(out: Any, a: Any, b: Any) -> Any:
    """The longest run of backticks in a text."""
    longest = run = 0
    for k in range(a, b):
        run = run + 1 if out[k] == _TICK else 0
        longest = max(longest, run)
    return longest


@inner
def _find_rows(home: Any, start: Any, stop: Any, out: Any, keep: Any, places: Any) -> None:
    """Which rows are one line each: of several cells, each one short block."""
    for i in range(len(home)):
        places[places[home[i]].cell].in_cell += 1
    for i in range(len(home)):
        row = places[places[home[i]].row]
        row.good = row.row > 0 and row.width > 1 and places[row.table].widest <= _WIDTH
    for i in range(len(home)):
        place = places[home[i]]
        if keep[i] and place.row > 0:
            if place.cell == 0 or places[place.cell].in_cell != 1 or place.item > 0 or place.code > 0:
                places[place.row].good = False
            elif stop[i] - start[i] > _CELL:
                for k in range(start[i], stop[i]):
                    if out[k] == _BREAK:
                        places[place.row].good = False
                        break


@inner
def _mark(text: Any, o: Any, kind: Any, addresses: Any, address: Any, address_end: Any) -> Any:
    """A mark's beginning or end; a link ends with `addresses[address:address_end]`."""
    if kind == LINK:
        text[o] = _BRACKET
        return o + 1
    if kind == LINK + ENDS:
        text[o], text[o + 1] = _BRACKET_END, _PARENTHESIS
        o += 2
        for z in range(address, address_end):
            text[o] = addresses[z]
            o += 1
        text[o] = _PARENTHESIS_END
        return o + 1
    return _fill(text, o, _STAR, 2 if kind == STRONG or kind == STRONG + ENDS else 1)


def assemble(page: Parsed, keep: NDArray[np.bool_], markdown: bool, tables: bool, marks: Marks) -> NDArray[np.uint8]:
    """The kept blocks' text in UTF-8; without `tables`, rows that are lines are left out. Marks are Markdown's."""
    size = _MARGIN + 2 * int((page.stop - page.start)[keep].sum()) + 64 * int(keep.sum())
    while True:
        places = np.zeros(len(page.tag), PLACE)
        text = np.empty(size, np.uint8)
        written = _assemble(page, keep, markdown, tables, marks.rows, marks.addresses, places, text)
        if written >= 0:
            return text[:written]
        size = 2 * (size - written)


@inner
def _end_row(text: Any, o: Any, row: Any, columns: Any, header: Any, places: Any) -> Any:
    """What is open behind a table's row in Markdown: cells that it lacks, and the line below a header."""
    while columns < places[row.table].widest:
        text[o], text[o + 1] = _SPACE, _BAR
        o, columns = o + 2, columns + 1
    if header:
        text[o] = _BREAK
        o = _prefix(text, o + 1, row.quotes, 0)
        text[o] = _BAR
        o += 1
        for _ in range(columns):
            o = _fill(text, o, _DASH, 3)
            text[o] = _BAR
            o += 1
    return o


@inner
def _begin_item(text: Any, o: Any, tag: Any, parent: Any, places: Any, e: Any, mark: Any) -> Any:
    """The bullet or number of the list item `mark`, of which block `e` is the first that is kept."""
    item = places[mark]
    item.begun = True
    above = places[parent[mark]].item
    while above > 0 and not places[above].begun:  # one of which nothing else is kept
        above = places[parent[above]].item
    indent = places[above].indent
    o = _fill(text, o, _SPACE, indent)
    before = o
    if tag[item.list] == _OL and _plain(parent, tag, e, mark):
        o = _number(text, o, item.number)
    else:
        text[o], text[o + 1] = _DASH, _SPACE
        o += 2
    item.indent = min(indent + o - before, _INDENT)
    return o


@kernel
def _assemble(
    page: Any, keep: Any, markdown: Any, tables: Any, rows: Any, addresses: Any, places: Any, text: Any
) -> Any:
    """Write `text`; returns its bytes, or, as a negative number, how many it should have room for."""
    home, start, stop, out, parent, tag = page.home, page.start, page.stop, page.out, page.parent, page.tag
    outline(parent, tag, page.number, places)
    _find_rows(home, start, stop, out, keep, places)
    for i in range(len(home)):
        places[places[home[i]].heading].in_heading += 1
    o = np.int64(0)
    last, last_r, last_code = places[0], np.int64(0), np.int64(0)
    columns = fence = mark_at = np.int64(0)
    header = False
    for i in range(len(home) + 1):
        end = i == len(home)
        if not end and not keep[i]:
            continue
        e = np.int64(0) if end else np.int64(home[i])
        place = places[e]
        r = np.int64(place.row) if places[place.row].good else np.int64(0)
        if r > 0 and not tables:
            continue
        length = 0 if end else stop[i] - start[i]
        if o + 2 * length + fence + _MARGIN > len(text):  # 2: each byte of a cell may be a bar
            return -(o + 2 * length + fence + _MARGIN)
        its_code = np.int64(place.code) if markdown else np.int64(0)
        # what the block before leaves open
        if markdown and last_r > 0 and r != last_r:
            o = _end_row(text, o, places[last_r], columns, header, places)
        if last_code > 0 and its_code != last_code:
            code = places[last_code]
            text[o] = _BREAK
            o = _prefix(text, o + 1, code.quotes, places[code.item].indent)
            o = _fill(text, o, _TICK, fence)
        if end:
            break
        its_quotes = place.quotes if markdown else 0
        new_item = place.item > 0 and not places[place.item].begun
        spaces = places[place.item].indent if markdown else 0
        in_row = r > 0 and r == last_r
        if not in_row:
            if o > 0:
                text[o] = _BREAK
                o += 1
                tight = (
                    not markdown
                    or (r > 0 and last_r > 0 and places[r].table == last.table)
                    or (new_item and last.item > 0 and place.quote == last.quote)
                    or (its_code > 0 and its_code == last_code)
                )
                if not tight:
                    if place.quote == last.quote:
                        o = _prefix(text, o, its_quotes, 0)
                        o -= its_quotes > 0  # the space
                    text[o] = _BREAK
                    o += 1
            o = _prefix(text, o, its_quotes, 0)
            if new_item:
                o = _begin_item(text, o, tag, parent, places, e, place.item)
                spaces = places[place.item].indent if markdown else 0
            else:
                o = _fill(text, o, _SPACE, spaces)
        # what the block begins with
        if r > 0:
            if not markdown:
                if in_row:
                    text[o], text[o + 1], text[o + 2] = _SPACE, _BAR, _SPACE
                    o += 3
            else:
                if not in_row:
                    header = last_r == 0 or places[r].table != last.table
                    text[o] = _BAR
                    o, columns = o + 1, np.int64(0)
                while columns < places[place.cell].column:
                    text[o], text[o + 1] = _SPACE, _BAR
                    o, columns = o + 2, columns + 1
                text[o] = _SPACE
                o += 1
        elif its_code > 0 and its_code != last_code:
            fence, j = np.int64(3), i
            while j < len(home) and places[home[j]].code == its_code:
                fence = max(fence, _ticks(out, start[j], stop[j]) + 1)
                j += 1
            if o + 2 * fence + 2 * length + _MARGIN > len(text):
                return -(o + 2 * fence + 2 * length + _MARGIN)
            o = _fill(text, o, _TICK, fence)
            text[o] = _BREAK
            o = _prefix(text, o + 1, its_quotes, spaces)
        head = np.int64(0)
        if markdown and r == 0 and its_code == 0 and place.heading > 0 and places[place.heading].in_heading <= 2:
            head = np.int64(tag[place.heading] - _H1 + 1)
            o = _fill(text, o, _HASH, head)
            text[o] = _SPACE
            o += 1
        # its text, with its marks
        marked = np.int64(-1)  # the place of the next mark
        while mark_at < len(rows) and marked < 0:
            marked = rows[mark_at, 0]
            if marked < start[i] or (marked == start[i] and rows[mark_at, 1] >= ENDS):  # of a block before
                mark_at, marked = mark_at + 1, np.int64(-1)
        for k in range(start[i], stop[i] + 1):
            while marked == k and (k < stop[i] or rows[mark_at, 1] >= ENDS):
                kind = rows[mark_at, 1]
                plain_kind = kind - ENDS if kind >= ENDS else kind
                if its_code == 0 and (head == 0 or plain_kind == LINK):
                    address, address_end = rows[mark_at, 2], rows[mark_at, 3]
                    if o + 2 * (stop[i] - k) + address_end - address + _MARGIN > len(text):
                        return -(o + 2 * (stop[i] - k) + address_end - address + _MARGIN)
                    o = _mark(text, o, kind, addresses, address, address_end)
                mark_at += 1
                marked = rows[mark_at, 0] if mark_at < len(rows) else np.int64(-1)
            if k == stop[i]:
                break
            c = out[k]
            if c == _BREAK and (r > 0 or head > 0):
                c = _SPACE
            if c == _BREAK and markdown:
                if o + stop[i] - k + _MARGIN > len(text):
                    return -(o + stop[i] - k + _MARGIN)
                if its_code == 0:
                    o = _fill(text, o, _SPACE, 2)
                text[o] = _BREAK
                o = _prefix(text, o + 1, its_quotes, spaces)
            elif c == _BAR and r > 0 and markdown:
                text[o], text[o + 1] = _BACKSLASH, _BAR
                o += 2
            else:
                text[o] = c
                o += 1
        if r > 0 and markdown:
            text[o], text[o + 1] = _SPACE, _BAR
            o, columns = o + 2, columns + 1
        last, last_r, last_code = place, r, its_code
    return o
