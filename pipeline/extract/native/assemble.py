"""Kept blocks to text that reads well, plain or as Markdown.

Plain: a paragraph a line; list items after "- " or their number, nested ones indented; a table's row a line, its cells
between " | ". Markdown adds what marks headings, quotes, code, tables and, inside a line, what `marks` found. What the words
themselves look like is left alone: an asterisk in a sentence stays one.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.extract.native.blocks import LINK, LINK_SHARE, STRONG, Parsed
from pipeline.extract.native.marks import ENDS, Marks
from pipeline.extract.native.names import BLOCK, HIDDEN, KIND, TAG
from pipeline.extract.native.outline import outline
from pipeline.extract.native.words import WORDS

_ARTICLE, _MAIN, _NOSCRIPT, _OL, _P, _H1 = (TAG[t] for t in "article main noscript ol p h1".split())
_CAPTIONS = [TAG[t] for t in "caption figcaption".split()]
_SPACE, _BREAK, _BAR, _TICK, _DASH, _ABOVE, _HASH, _STAR = 32, 10, 124, 96, 45, 62, 35, 42

_CELL = 200
"""Bytes of a cell whose line breaks become spaces. A table with longer ones lays out a page, and its rows are no lines."""
_WIDTH = 64
"""Columns of the widest table that is written as rows."""
_INDENT = 40
"""Spaces that a line begins with at most."""


@njit(nogil=True, cache=True)
def visible(page: Parsed) -> NDArray[np.bool_]:
    """Which blocks a reader with scripts would see, as far as the page itself says so."""
    hidden = np.zeros(len(page.tag), np.bool_)
    for e in range(len(page.tag)):
        above = page.parent[e]
        hidden[e] = page.tag[e] == _NOSCRIPT or (page.hints[e] >> HIDDEN) & 1 or (above > 0 and hidden[above])
    found = np.empty(len(page.home), np.bool_)
    for i in range(len(page.home)):
        found[i] = not hidden[page.home[i]]
    return found


@njit(nogil=True, cache=True)
def comments(page: Parsed) -> NDArray[np.bool_]:
    """Which blocks are a sentence in what the page's names call comments; after `describe`."""
    inside = np.zeros(len(page.tag), np.bool_)
    for e in range(1, len(page.tag)):
        named = page.hints[e] & 1 and page.tag[e] != _ARTICLE and page.tag[e] != _MAIN
        inside[e] = named or inside[page.parent[e]]
    found = np.empty(len(page.home), np.bool_)
    for i in range(len(page.home)):
        row = page.stats[i]
        found[i] = inside[page.home[i]] and row[WORDS] >= 5 and row[LINK_SHARE] < 0.3
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


@njit(nogil=True)
def _room(text, o, need):  # type: ignore[no-untyped-def]
    if o + need <= len(text):
        return text
    wider = np.empty(2 * len(text) + need, np.uint8)
    wider[:o] = text[:o]
    return wider


@njit(nogil=True)
def _fill(text, o, byte, times):  # type: ignore[no-untyped-def]
    for z in range(times):
        text[o + z] = byte
    return o + times


@njit(nogil=True)
def _prefix(text, o, quotes, spaces):  # type: ignore[no-untyped-def]
    """What a line of a quote, or of a list's item, begins with."""
    for _ in range(quotes):
        text[o], text[o + 1] = _ABOVE, _SPACE
        o += 2
    return _fill(text, o, _SPACE, spaces)


@njit(nogil=True)
def _number(text, o, number):  # type: ignore[no-untyped-def]
    digits = 1
    while number >= 10**digits:
        digits += 1
    for z in range(digits):
        text[o + digits - 1 - z] = 48 + number % 10
        number //= 10
    text[o + digits], text[o + digits + 1] = 46, _SPACE
    return o + digits + 2


@njit(nogil=True)
def _plain(page, e, item):  # type: ignore[no-untyped-def]
    """Whether an item's text is in the item itself or a paragraph of it; other lists, of posts say, are not for counting."""
    while e != item:
        if KIND[page.tag[e]] & BLOCK and page.tag[e] != _P:
            return False
        e = page.parent[e]
    return True


@njit(nogil=True)
def _ticks(page, a, b):  # type: ignore[no-untyped-def]
    """The longest run of backticks in a text."""
    longest = run = 0
    for k in range(a, b):
        run = run + 1 if page.out[k] == _TICK else 0
        longest = max(longest, run)
    return longest


@njit(nogil=True)
def _rows(page, keep, cell, row, item, code, width, widest, table):  # type: ignore[no-untyped-def]
    """Which rows (by their element) are one line each: of several cells, each one short block."""
    in_cell = np.zeros(len(page.tag), np.int32)
    good = np.zeros(len(page.tag), np.bool_)
    for i in range(len(page.home)):
        in_cell[cell[page.home[i]]] += 1
    for i in range(len(page.home)):
        r = row[page.home[i]]
        good[r] = r > 0 and width[r] > 1 and widest[table[r]] <= _WIDTH
    for i in range(len(page.home)):
        e = page.home[i]
        if keep[i] and row[e] > 0:
            if cell[e] == 0 or in_cell[cell[e]] != 1 or item[e] > 0 or code[e] > 0:
                good[row[e]] = False
            elif page.stop[i] - page.start[i] > _CELL:
                for k in range(page.start[i], page.stop[i]):
                    if page.out[k] == _BREAK:
                        good[row[e]] = False
                        break
    return good


@njit(nogil=True)
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


@njit(nogil=True, cache=True)
def assemble(page: Parsed, keep: NDArray[np.bool_], markdown: bool, tables: bool, marks: Marks) -> NDArray[np.uint8]:
    """The kept blocks' text in UTF-8; without `tables`, rows that are lines are left out. Marks are Markdown's."""
    item, number, list_, cell, column, row, table, quote, quotes, heading, code, width, widest = outline(page)
    good = _rows(page, keep, cell, row, item, code, width, widest, table)
    begun = np.zeros(len(page.tag), np.bool_)  # items whose mark is written, and what their text is indented by
    indent = np.zeros(len(page.tag), np.int32)
    in_heading = np.zeros(len(page.tag), np.int32)
    size = 64
    for i in range(len(page.home)):
        in_heading[heading[page.home[i]]] += 1
        if keep[i]:
            size += page.stop[i] - page.start[i] + 5
    text = np.empty(size, np.uint8)
    o = 0
    last_row = last_item = last_quote = last_code = last_table = 0
    columns = fence = mark_at = 0
    header = False
    rows, addresses = marks
    for i in range(len(page.home) + 1):
        end = i == len(page.home)
        if not end and not keep[i]:
            continue
        e = 0 if end else page.home[i]
        r = row[e] if good[row[e]] else 0
        if r > 0 and not tables:
            continue
        length = 0 if end else page.stop[i] - page.start[i]
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
                above = item[page.parent[mark]]
                while above > 0 and not begun[above]:  # one of which nothing else is kept
                    above = item[page.parent[above]]
                o = _fill(text, o, _SPACE, indent[above])
                before = o
                if page.tag[list_[mark]] == _OL and _plain(page, e, mark):
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
            while j < len(page.home) and code[page.home[j]] == its_code:
                fence = max(fence, _ticks(page, page.start[j], page.stop[j]) + 1)
                j += 1
            text = _room(text, o, 2 * fence + 2 * length + 16 * _WIDTH)
            o = _fill(text, o, _TICK, fence)
            text[o] = _BREAK
            o = _prefix(text, o + 1, its_quotes, spaces)
        head = 0
        if markdown and r == 0 and its_code == 0 and heading[e] > 0 and in_heading[heading[e]] <= 2:
            head = page.tag[heading[e]] - _H1 + 1
            o = _fill(text, o, _HASH, head)
            text[o] = _SPACE
            o += 1
        marked = -1  # the place of the next mark
        while mark_at < len(rows) and marked < 0:
            marked = rows[mark_at, 0]
            if marked < page.start[i] or (marked == page.start[i] and rows[mark_at, 1] >= ENDS):  # of a block before
                mark_at, marked = mark_at + 1, -1
        for k in range(page.start[i], page.stop[i] + 1):
            while marked == k and (k < page.stop[i] or rows[mark_at, 1] >= ENDS):
                row_ = rows[mark_at]
                kind = row_[1] - ENDS if row_[1] >= ENDS else row_[1]
                if its_code == 0 and (head == 0 or kind == LINK):
                    text = _room(text, o, 2 * (page.stop[i] - k) + row_[3] - row_[2] + 16 * _WIDTH)
                    o = _mark(text, o, row_, addresses)
                mark_at += 1
                marked = rows[mark_at, 0] if mark_at < len(rows) else -1
            if k == page.stop[i]:
                break
            c = page.out[k]
            if c == _BREAK and (r > 0 or head > 0):
                c = np.uint8(_SPACE)
            if c == _BREAK and markdown:
                text = _room(text, o, page.stop[i] - k + 16 * _WIDTH)
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
