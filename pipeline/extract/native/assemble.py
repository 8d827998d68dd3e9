"""Kept blocks to text that reads well, plain or as Markdown.

Plain: a paragraph a line; list items after "- " or their number, nested ones indented; a table's row a line, its cells
between " | ". Markdown adds what marks headings, quotes, code, tables and, inside a line, what `marks` found. What the words
themselves look like is left alone: an asterisk in a sentence stays one.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.blocks import LINK, LINK_SHARE, STRONG, Parsed
from pipeline.extract.native.marks import ENDS, Marks
from pipeline.extract.native.names import BLOCK, HIDDEN, KIND, TAG
from pipeline.extract.native.outline import outline
from pipeline.extract.native.words import WORDS
from pipeline.kernels import inner, kernel

_ARTICLE, _MAIN, _NOSCRIPT, _OL, _P, _H1 = (TAG[t] for t in "article main noscript ol p h1".split())
_CAPTIONS = [TAG[t] for t in "caption figcaption".split()]
_SPACE, _BREAK, _BAR, _TICK, _DASH, _ABOVE, _HASH, _STAR = np.frombuffer(b" \n|`->#*", np.uint8)

_CELL = 200
"""Bytes of a cell whose line breaks become spaces. A table with longer ones lays out a page, and its rows are no lines."""
_WIDTH = 64
"""Columns of the widest table that is written as rows."""
_INDENT = 40
"""Spaces that a line begins with at most."""


@kernel
def visible(page: Parsed) -> NDArray[np.bool_]:
    """Which blocks a reader with scripts would see, as far as the page itself says so."""
    hints, home, parent, tag = page.hints, page.home, page.parent, page.tag
    hidden = np.zeros(len(tag), np.bool_)
    for e in range(len(tag)):
        above = parent[e]
        hidden[e] = tag[e] == _NOSCRIPT or (hints[e] >> HIDDEN) & 1 or (above > 0 and hidden[above])
    found = np.empty(len(home), np.bool_)
    for i in range(len(home)):
        found[i] = not hidden[home[i]]
    return found


@kernel
def comments(page: Parsed) -> NDArray[np.bool_]:
    """Which blocks are a sentence in what the page's names call comments; after `describe`."""
    hints, home, parent, stats, tag = page.hints, page.home, page.parent, page.stats, page.tag
    inside = np.zeros(len(tag), np.bool_)
    for e in range(1, len(tag)):
        named = hints[e] & 1 and tag[e] != _ARTICLE and tag[e] != _MAIN
        inside[e] = named or inside[parent[e]]
    found = np.empty(len(home), np.bool_)
    for i in range(len(home)):
        row = stats[i]
        found[i] = inside[home[i]] and row[WORDS] >= 5 and row[LINK_SHARE] < 0.3
    return found


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


@inner(allocates=True)
def _room(text, o, need):  # type: ignore[no-untyped-def]
    if o + need <= len(text):
        return text
    wider = np.empty(2 * len(text) + need, np.uint8)
    for z in range(o):
        wider[z] = text[z]
    return wider


@inner
def _fill(text, o, byte, times):  # type: ignore[no-untyped-def]
    for z in range(times):
        text[o + z] = byte
    return o + times


@inner
def _prefix(text, o, quotes, spaces):  # type: ignore[no-untyped-def]
    """What a line of a quote, or of a list's item, begins with."""
    for _ in range(quotes):
        text[o], text[o + 1] = _ABOVE, _SPACE
        o += 2
    return _fill(text, o, _SPACE, spaces)


@inner
def _number(text, o, number):  # type: ignore[no-untyped-def]
    digits = 1
    while number >= 10**digits:
        digits += 1
    for z in range(digits):
        text[o + digits - 1 - z] = 48 + number % 10
        number //= 10
    text[o + digits], text[o + digits + 1] = 46, _SPACE
    return o + digits + 2


@inner
def _plain(parent, tag, e, item):  # type: ignore[no-untyped-def]
    """Whether an item's text is in the item itself or a paragraph of it; other lists, of posts say, are not for counting."""
    while e != item:
        if KIND[tag[e]] & BLOCK and tag[e] != _P:
            return False
        e = parent[e]
    return True


@inner
def _ticks(out, a, b):  # type: ignore[no-untyped-def]
    """The longest run of backticks in a text."""
    longest = run = 0
    for k in range(a, b):
        run = run + 1 if out[k] == _TICK else 0
        longest = max(longest, run)
    return longest


@inner(allocates=True)
def _rows(home, start, stop, out, tag, keep, cell, row, item, code, width, widest, table):  # type: ignore[no-untyped-def]
    """Which rows (by their element) are one line each: of several cells, each one short block."""
    in_cell = np.zeros(len(tag), np.int32)
    good = np.zeros(len(tag), np.bool_)
    for i in range(len(home)):
        in_cell[cell[home[i]]] += 1
    for i in range(len(home)):
        r = row[home[i]]
        good[r] = r > 0 and width[r] > 1 and widest[table[r]] <= _WIDTH
    for i in range(len(home)):
        e = home[i]
        if keep[i] and row[e] > 0:
            if cell[e] == 0 or in_cell[cell[e]] != 1 or item[e] > 0 or code[e] > 0:
                good[row[e]] = False
            elif stop[i] - start[i] > _CELL:
                for k in range(start[i], stop[i]):
                    if out[k] == _BREAK:
                        good[row[e]] = False
                        break
    return good


@inner
def _mark(text, o, row, addresses):  # type: ignore[no-untyped-def]
    """A mark's beginning or end."""
    kind = row[1]
    if kind == LINK:
        text[o] = 91  # "["
        return o + 1
    if kind == LINK + ENDS:
        text[o], text[o + 1] = 93, 40
        o += 2
        for z in range(row[2], row[3]):
            text[o] = addresses[z]
            o += 1
        text[o] = 41
        return o + 1
    return _fill(text, o, _STAR, 2 if kind == STRONG or kind == STRONG + ENDS else 1)


@kernel
def assemble(page: Parsed, keep: NDArray[np.bool_], markdown: bool, tables: bool, marks: Marks) -> NDArray[np.uint8]:
    """The kept blocks' text in UTF-8; without `tables`, rows that are lines are left out. Marks are Markdown's."""
    home, start, stop, out, parent, tag = page.home, page.start, page.stop, page.out, page.parent, page.tag
    item, number, list_, cell, column, row, table, quote, quotes, heading, code, width, widest = outline(
        parent, tag, page.number
    )
    good = _rows(home, start, stop, out, tag, keep, cell, row, item, code, width, widest, table)
    begun = np.zeros(len(tag), np.bool_)  # items whose mark is written, and what their text is indented by
    indent = np.zeros(len(tag), np.int32)
    in_heading = np.zeros(len(tag), np.int32)
    size = 64
    for i in range(len(home)):
        in_heading[heading[home[i]]] += 1
        if keep[i]:
            size += stop[i] - start[i] + 5
    text = np.empty(size, np.uint8)
    o = 0
    last_row = last_item = last_quote = last_code = last_table = 0
    columns = fence = mark_at = 0
    header = False
    rows, addresses = marks
    for i in range(len(home) + 1):
        end = i == len(home)
        if not end and not keep[i]:
            continue
        e = 0 if end else home[i]
        r = row[e] if good[row[e]] else 0
        if r > 0 and not tables:
            continue
        length = 0 if end else stop[i] - start[i]
        text = _room(text, o, 2 * length + fence + 16 * _WIDTH)  # 2: each byte of a cell may be a bar
        its_code = code[e] if markdown else 0
        # what the block before leaves open
        if markdown and last_row > 0 and r != last_row:
            while columns < widest[table[last_row]]:
                text[o], text[o + 1] = _SPACE, _BAR
                o, columns = o + 2, columns + 1
            if header:
                text[o] = _BREAK
                o = _prefix(text, o + 1, quotes[last_row], 0)
                text[o] = _BAR
                o += 1
                for _ in range(columns):
                    o = _fill(text, o, _DASH, 3)
                    text[o] = _BAR
                    o += 1
        if last_code > 0 and its_code != last_code:
            text[o] = _BREAK
            o = _prefix(text, o + 1, quotes[last_code], indent[item[last_code]])
            o = _fill(text, o, _TICK, fence)
        if end:
            break
        its_quotes = quotes[e] if markdown else 0
        new_item = item[e] > 0 and not begun[item[e]]
        spaces = indent[item[e]] if markdown else 0
        in_row = r > 0 and r == last_row
        if not in_row:
            if o > 0:
                text[o] = _BREAK
                o += 1
                tight = (
                    not markdown
                    or (r > 0 and last_row > 0 and table[r] == last_table)
                    or (new_item and last_item > 0 and quote[e] == last_quote)
                    or (its_code > 0 and its_code == last_code)
                )
                if not tight:
                    if quote[e] == last_quote:
                        o = _prefix(text, o, its_quotes, 0)
                        o -= its_quotes > 0  # the space
                    text[o] = _BREAK
                    o += 1
            o = _prefix(text, o, its_quotes, 0)
            if new_item:
                mark = item[e]
                begun[mark] = True
                above = item[parent[mark]]
                while above > 0 and not begun[above]:  # one of which nothing else is kept
                    above = item[parent[above]]
                o = _fill(text, o, _SPACE, indent[above])
                before = o
                if tag[list_[mark]] == _OL and _plain(parent, tag, e, mark):
                    o = _number(text, o, number[mark])
                else:
                    text[o], text[o + 1] = _DASH, _SPACE
                    o += 2
                indent[mark] = min(indent[above] + o - before, _INDENT)
                spaces = indent[mark] if markdown else 0
            else:
                o = _fill(text, o, _SPACE, spaces)
        # the block
        if r > 0:
            if not markdown:
                if in_row:
                    text[o], text[o + 1], text[o + 2] = _SPACE, _BAR, _SPACE
                    o += 3
            else:
                if not in_row:
                    header = last_row == 0 or table[r] != last_table
                    text[o] = _BAR
                    o, columns = o + 1, 0
                while columns < column[cell[e]]:
                    text[o], text[o + 1] = _SPACE, _BAR
                    o, columns = o + 2, columns + 1
                text[o] = _SPACE
                o += 1
        elif its_code > 0 and its_code != last_code:
            fence, j = 3, i
            while j < len(home) and code[home[j]] == its_code:
                fence = max(fence, _ticks(out, start[j], stop[j]) + 1)
                j += 1
            text = _room(text, o, 2 * fence + 2 * length + 16 * _WIDTH)
            o = _fill(text, o, _TICK, fence)
            text[o] = _BREAK
            o = _prefix(text, o + 1, its_quotes, spaces)
        head = 0
        if markdown and r == 0 and its_code == 0 and heading[e] > 0 and in_heading[heading[e]] <= 2:
            head = tag[heading[e]] - _H1 + 1
            o = _fill(text, o, _HASH, head)
            text[o] = _SPACE
            o += 1
        marked = -1  # the place of the next mark
        while mark_at < len(rows) and marked < 0:
            marked = rows[mark_at, 0]
            if marked < start[i] or (marked == start[i] and rows[mark_at, 1] >= ENDS):  # of a block before
                mark_at, marked = mark_at + 1, -1
        for k in range(start[i], stop[i] + 1):
            while marked == k and (k < stop[i] or rows[mark_at, 1] >= ENDS):
                row_ = rows[mark_at]
                kind = row_[1] - ENDS if row_[1] >= ENDS else row_[1]
                if its_code == 0 and (head == 0 or kind == LINK):
                    text = _room(text, o, 2 * (stop[i] - k) + row_[3] - row_[2] + 16 * _WIDTH)
                    o = _mark(text, o, row_, addresses)
                mark_at += 1
                marked = rows[mark_at, 0] if mark_at < len(rows) else -1
            if k == stop[i]:
                break
            c = out[k]
            if c == _BREAK and (r > 0 or head > 0):
                c = _SPACE
            if c == _BREAK and markdown:
                text = _room(text, o, stop[i] - k + 16 * _WIDTH)
                if its_code == 0:
                    o = _fill(text, o, _SPACE, 2)
                text[o] = _BREAK
                o = _prefix(text, o + 1, its_quotes, spaces)
            elif c == _BAR and r > 0 and markdown:
                text[o], text[o + 1] = 92, _BAR
                o += 2
            else:
                text[o] = c
                o += 1
        if r > 0 and markdown:
            text[o], text[o + 1] = _SPACE, _BAR
            o, columns = o + 2, columns + 1
        last_row, last_item, last_quote, last_code, last_table = r, item[e], quote[e], its_code, table[r]
    return text[:o]
