"""Kept blocks to text that reads well, plain or as Markdown.

Plain: one line per paragraph; list items after "- " or their number, nested items indented; one line per table row, its cells
separated by " | ", several short paragraphs or items of a cell by " / ". Markdown adds the marks of headings, quotes, code with
its language, and tables (with <br> in a cell), and inside a line those of `find_marks`. The words themselves are not escaped:
an asterisk in a sentence stays an asterisk.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.compiled import inner, kernel
from pipeline.extract.native.inside import blocks_inside
from pipeline.extract.native.marks import ENDS, Marks
from pipeline.extract.native.names import BLOCK, KIND, TAG
from pipeline.extract.native.outline import ELEMENT, TABLES, WIDTH, outline
from pipeline.extract.native.parsed import CODE, LINK, LINK_SHARE, STRONG, Parsed
from pipeline.extract.native.words import WORDS

_ARTICLE, _MAIN, _OL, _P, _H1 = (TAG[t] for t in "article main ol p h1".split())
_CAPTIONS = [TAG[t] for t in "caption figcaption".split()]
_SPACE, _BREAK, _BAR, _TICK, _DASH, _ABOVE, _HASH, _STAR = np.frombuffer(b" \n|`->#*", np.uint8)
_LESS, _LETTER_B, _LETTER_R, _SLASH = np.frombuffer(b"<br/", np.uint8)
_BRACKET, _BRACKET_END, _PARENTHESIS, _PARENTHESIS_END, _BACKSLASH = np.frombuffer(b"[]()\\", np.uint8)

_CELL = 200
"""Most bytes of a cell whose line breaks become spaces. A table with longer cells is layout, and its rows are not lines."""
_PARTS = 12
"""Most paragraphs or list items of a cell that is written in its row."""
_INDENT = 40
"""Most spaces at the beginning of a line."""
_MARGIN = 16 * WIDTH
"""Bytes reserved for what surrounds a line: indents, quote marks, bars."""


def comments(page: Parsed) -> NDArray[np.bool_]:
    """Which blocks are a sentence in an element that its class or id names comments (<article> and <main> are not). To be
    called after `describe`."""
    named = (page.hints & 1 != 0) & (page.tag != _ARTICLE) & (page.tag != _MAIN)
    named[0] = False
    sentence = (page.stats[:, WORDS] >= 5) & (page.stats[:, LINK_SHARE] < 0.3)
    return blocks_inside(page, named) & sentence


def captions(page: Parsed, keep: NDArray[np.bool_], add: bool) -> NDArray[np.bool_]:
    """`keep` with the captions that are next to a kept block of other text (`add`), or without all captions."""
    captioned = blocks_inside(page, np.isin(page.tag, _CAPTIONS))
    if not add:
        return np.asarray(keep & ~captioned)
    others = np.flatnonzero(~captioned)
    if not len(others):
        return keep
    following = np.searchsorted(others, np.flatnonzero(captioned))
    previous_kept = keep[others[np.maximum(following - 1, 0)]]
    beside = np.zeros_like(captioned)
    beside[captioned] = previous_kept | keep[others[np.minimum(following, len(others) - 1)]]
    return np.asarray(keep | beside)


@inner
def _fill(text: Any, o: Any, byte: Any, times: Any) -> Any:
    """Write a byte `times` times at `o`; returns the end."""
    for z in range(times):
        text[o + z] = byte
    return o + times


@inner
def _prefix(text: Any, o: Any, quotes: Any, spaces: Any) -> Any:
    """Write the beginning of a line in a quote or list item; returns the end."""
    for _ in range(quotes):
        text[o], text[o + 1] = _ABOVE, _SPACE
        o += 2
    return _fill(text, o, _SPACE, spaces)


@inner
def _number(text: Any, o: Any, number: Any) -> Any:
    """Write a list item's number, a full stop and a space; returns the end."""
    digits, rest = 1, number // 10
    while rest > 0:
        digits, rest = digits + 1, rest // 10
    for z in range(digits):
        text[o + digits - 1 - z] = 48 + number % 10
        number //= 10
    text[o + digits], text[o + digits + 1] = 46, _SPACE
    return o + digits + 2


@inner
def _plain(parent: Any, tag: Any, e: Any, item: Any) -> Any:
    """Whether an item's text is directly in the item or in a paragraph of it. Other lists, of posts for example, get no
    numbers."""
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
def _find_rows(home: Any, start: Any, stop: Any, out: Any, keep: Any, elements: Any) -> None:
    """Mark the rows that are written as one line each: their cells have one block, or several that are short together; and the
    row has several cells, or is the head of a row that has, or stands below one."""
    for i in range(len(home)):
        cell = elements[elements[home[i]].cell]
        cell.in_cell += 1
        cell.bytes = min(_CELL + 1, cell.bytes + stop[i] - start[i])
    for i in range(len(home)):
        row = elements[elements[home[i]].row]
        table = elements[row.table]
        row.good = row.row > 0 and 1 < table.widest <= WIDTH and (row.cells > 1 or row.several > 0)
    for i in range(len(home)):
        element = elements[home[i]]
        if keep[i] and element.row > 0:
            cell = elements[element.cell]
            if element.cell == 0 or element.code > 0:
                elements[element.row].good = False
            elif cell.in_cell > 1:
                if cell.in_cell > _PARTS or cell.bytes > _CELL:
                    elements[element.row].good = False
            elif stop[i] - start[i] > _CELL:
                for k in range(start[i], stop[i]):
                    if out[k] == _BREAK:
                        elements[element.row].good = False
                        break


@inner
def _mark(text: Any, o: Any, kind: Any, addresses: Any, address: Any, address_end: Any) -> Any:
    """Write the beginning or end of a mark; a link ends with `addresses[address:address_end]`, code has the number of its
    backticks there, see `Marks`. Returns the end."""
    if kind == LINK:
        text[o] = _BRACKET
        return o + 1
    if kind == CODE or kind == CODE + ENDS:
        if kind == CODE:
            o = _fill(text, o, _TICK, address_end // 2)
        o = _fill(text, o, _SPACE, address_end % 2)
        return _fill(text, o, _TICK, address_end // 2) if kind == CODE + ENDS else o
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
    """The kept blocks as UTF-8 text; without `tables`, rows that would be lines are dropped. `marks` are for Markdown."""
    size = _MARGIN + 2 * int((page.stop - page.start)[keep].sum()) + 64 * int(keep.sum())
    while True:
        elements, taken = np.zeros(len(page.tag), ELEMENT), np.zeros((TABLES, WIDTH), np.int64)
        text = np.empty(size, np.uint8)
        written = _assemble(
            page, keep, markdown, tables, marks.rows, marks.addresses, marks.languages, elements, taken, text
        )
        if written >= 0:
            return text[:written]
        size = 2 * (size - written)


@inner
def _end_row(text: Any, o: Any, row: Any, columns: Any, header: Any, elements: Any) -> Any:
    """Finish a table row in Markdown: write missing cells and the line below a header; returns the end."""
    while columns < elements[row.table].widest:
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
def _begin_item(text: Any, o: Any, tag: Any, parent: Any, elements: Any, e: Any, item_element: Any) -> Any:
    """Write the bullet or number of the list item `item_element`, whose first kept block is in element `e`; returns the end."""
    item = elements[item_element]
    item.begun = True
    above = elements[parent[item_element]].item
    while above > 0 and not elements[above].begun:  # an item without other kept text
        above = elements[parent[above]].item
    indent = elements[above].indent
    o = _fill(text, o, _SPACE, indent)
    before = o
    if tag[item.list] == _OL and _plain(parent, tag, e, item_element):
        o = _number(text, o, item.number)
    else:
        text[o], text[o + 1] = _DASH, _SPACE
        o += 2
    item.indent = min(indent + o - before, _INDENT)
    return o


@kernel
def _assemble(
    page: Any,
    keep: Any,
    markdown: Any,
    tables: Any,
    rows: Any,
    addresses: Any,
    languages: Any,
    elements: Any,
    taken: Any,
    text: Any,
) -> Any:
    """Write `text`; returns its length in bytes, or the needed length as a negative number if it is too short."""
    home, start, stop, out, parent, tag = page.home, page.start, page.stop, page.out, page.parent, page.tag
    outline(parent, tag, page.number, elements, taken)
    _find_rows(home, start, stop, out, keep, elements)
    for i in range(len(home)):
        elements[elements[home[i]].heading].in_heading += 1
    o = np.int64(0)
    last, last_row, last_code = elements[0], np.int64(0), np.int64(0)
    columns = fence = mark_at = language_at = np.int64(0)
    header = False
    for i in range(len(home) + 1):
        end = i == len(home)
        if not end and not keep[i]:
            continue
        e = np.int64(0) if end else np.int64(home[i])
        element = elements[e]
        r = np.int64(element.row) if elements[element.row].good else np.int64(0)
        if r > 0 and not tables:
            continue
        length = 0 if end else stop[i] - start[i]
        if o + 2 * length + fence + _MARGIN > len(text):  # twice: each byte of a cell may be a bar to escape
            return -(o + 2 * length + fence + _MARGIN)
        code_element = np.int64(element.code) if markdown else np.int64(0)
        # finish what the previous block left open
        if markdown and last_row > 0 and r != last_row:
            o = _end_row(text, o, elements[last_row], columns, header, elements)
        if last_code > 0 and code_element != last_code:
            code = elements[last_code]
            text[o] = _BREAK
            o = _prefix(text, o + 1, code.quotes, elements[code.item].indent)
            o = _fill(text, o, _TICK, fence)
        if end:
            break
        quotes = element.quotes if markdown else 0
        item = np.int64(0) if r > 0 else np.int64(element.item)  # lists in the cells of a line have no bullets
        new_item = item > 0 and not elements[item].begun
        spaces = elements[item].indent if markdown else 0
        in_row = r > 0 and r == last_row
        if not in_row:
            if o > 0:
                text[o] = _BREAK
                o += 1
                tight = (
                    not markdown
                    or (r > 0 and last_row > 0 and elements[r].table == last.table)
                    or (new_item and last.item > 0 and element.quote == last.quote)
                    or (code_element > 0 and code_element == last_code)
                )
                if not tight:
                    if element.quote == last.quote:
                        o = _prefix(text, o, quotes, 0)
                        o -= quotes > 0  # without the space
                    text[o] = _BREAK
                    o += 1
            o = _prefix(text, o, quotes, 0)
            if new_item:
                o = _begin_item(text, o, tag, parent, elements, e, item)
                spaces = elements[item].indent if markdown else 0
            else:
                o = _fill(text, o, _SPACE, spaces)
        # write the beginning of the block
        if r > 0:
            if in_row and element.cell == last.cell:  # another paragraph or item of the cell
                if markdown:
                    o, columns = o - 2, columns - 1  # the bar behind the cell
                    text[o], text[o + 1], text[o + 2], text[o + 3] = _LESS, _LETTER_B, _LETTER_R, _ABOVE
                    o += 4
                else:
                    text[o], text[o + 1], text[o + 2] = _SPACE, _SLASH, _SPACE
                    o += 3
            elif not markdown:
                if in_row:
                    text[o], text[o + 1], text[o + 2] = _SPACE, _BAR, _SPACE
                    o += 3
            else:
                if not in_row:
                    header = last_row == 0 or elements[r].table != last.table
                    text[o] = _BAR
                    o, columns = o + 1, np.int64(0)
                while columns < elements[element.cell].column:
                    text[o], text[o + 1] = _SPACE, _BAR
                    o, columns = o + 2, columns + 1
                text[o] = _SPACE
                o += 1
        elif code_element > 0 and code_element != last_code:
            fence, j = np.int64(3), i
            while j < len(home) and elements[home[j]].code == code_element:
                fence = max(fence, _ticks(out, start[j], stop[j]) + 1)
                j += 1
            if o + 2 * fence + 2 * length + _MARGIN > len(text):
                return -(o + 2 * fence + 2 * length + _MARGIN)
            o = _fill(text, o, _TICK, fence)
            while language_at < len(languages) and languages[language_at, 0] < code_element:
                language_at += 1
            if language_at < len(languages) and languages[language_at, 0] == code_element:
                for z in range(languages[language_at, 1], languages[language_at, 2]):
                    text[o] = addresses[z]
                    o += 1
            text[o] = _BREAK
            o = _prefix(text, o + 1, quotes, spaces)
        head = np.int64(0)
        if (
            markdown
            and r == 0
            and code_element == 0
            and element.heading > 0
            and elements[element.heading].in_heading <= 2
        ):
            head = np.int64(tag[element.heading] - _H1 + 1)
            o = _fill(text, o, _HASH, head)
            text[o] = _SPACE
            o += 1
        # write its text, with its marks
        marked = np.int64(-1)  # the position of the next mark in `out`
        while mark_at < len(rows) and marked < 0:
            marked = rows[mark_at, 0]
            if marked < start[i] or (marked == start[i] and rows[mark_at, 1] >= ENDS):  # of an earlier block
                mark_at, marked = mark_at + 1, np.int64(-1)
        for k in range(start[i], stop[i] + 1):
            while marked == k and (k < stop[i] or rows[mark_at, 1] >= ENDS):
                kind = rows[mark_at, 1]
                plain_kind = kind - ENDS if kind >= ENDS else kind
                if code_element == 0 and (head == 0 or plain_kind == LINK or plain_kind == CODE):
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
                if code_element == 0:
                    o = _fill(text, o, _SPACE, 2)
                text[o] = _BREAK
                o = _prefix(text, o + 1, quotes, spaces)
            elif c == _BAR and r > 0 and markdown:
                text[o], text[o + 1] = _BACKSLASH, _BAR
                o += 2
            else:
                text[o] = c
                o += 1
        if r > 0 and markdown:
            text[o], text[o + 1] = _SPACE, _BAR
            o, columns = o + 2, columns + 1
        last, last_row, last_code = element, r, code_element
    return o
