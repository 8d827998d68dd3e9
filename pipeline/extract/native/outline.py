"""What each element of a page is inside of, for writing its text: list item, table row, quote, heading, code."""

from typing import Any

import numpy as np

from pipeline.extract.native.compiled import inner
from pipeline.extract.native.names import TAG
from pipeline.extract.native.parsed import ROWS

_LI, _UL, _OL, _MENU, _TABLE, _TD, _TH, _TR, _QUOTE, _PRE, _H1, _H6, _THEAD, _TBODY, _TFOOT = (
    TAG[t] for t in "li ul ol menu table td th tr blockquote pre h1 h6 thead tbody tfoot".split()
)
WIDTH = 64
"""Most columns of a table that is written as rows."""
TABLES = 16
"""Most tables in one another in which spans of rows count."""
_QUOTES = 8
"""Most quote marks at the beginning of a line."""

_AROUND = "item list cell row table quote heading code".split()  # the innermost element of each kind; 0 is none
_COUNTS = "number items column width cells widest tables several quotes in_cell in_heading bytes indent".split()
ELEMENT = np.dtype([(name, np.int32) for name in _AROUND + _COUNTS] + [("good", np.int32), ("begun", np.int32)])
"""Facts about an element; zeros at first. `outline` fills in the elements it is inside of; for an item its `number`; for a
list the number of `items` so far; for a cell its `column`; for a row its `cells`, and its `width` in columns so far; for a
table the column behind its last cell (`widest`); how many `tables` and `quotes` it is in; `several`: of a table, whether a row
so far has several cells, and of a row, whether one before it has, or it is the head. `assemble` fills in the rest: the blocks
`in_cell` and `in_heading`; the `bytes` of a cell; for an item the `indent` of its text and whether its bullet is written
(`begun`); for a row whether it is written as a line (`good`)."""


@inner
def _highest(parent: Any, tags: Any, numbers: Any, e: Any) -> Any:
    """The first number of a list that counts down: the given one, else how many items it has."""
    if numbers[e] < -1:
        return -1 - numbers[e]
    items = np.int64(0)
    inside = e + 1
    while inside < len(tags) and parent[inside] >= e:
        items += parent[inside] == e and tags[inside] == _LI
        inside += 1
    return items


@inner
def outline(parent: Any, tags: Any, numbers: Any, elements: Any, taken: Any) -> None:
    """Fill `elements` (ELEMENT, one per element). `numbers` as in `Parsed`. Working array: `taken`, zeros (TABLES, WIDTH), for
    each column of each open table how many rows a cell above still takes there."""
    for e in range(1, len(tags)):
        element, above, tag = elements[e], elements[parent[e]], tags[e]
        element.item, element.list, element.cell, element.row = above.item, above.list, above.cell, above.row
        element.table, element.quote, element.heading, element.code = (
            above.table,
            above.quote,
            above.heading,
            above.code,
        )
        element.quotes, element.tables = above.quotes, above.tables
        level = min(element.tables, TABLES) - 1
        if tag == _LI:
            its_list = elements[above.list]
            step = -1 if numbers[above.list] < 0 else 1
            its_list.items = numbers[e] if numbers[e] > 0 else max(0, its_list.items + step)
            element.number = its_list.items
            element.item = e
        elif tag == _UL or tag == _OL or tag == _MENU:
            element.list = e
            element.items = numbers[e] if numbers[e] >= 0 else _highest(parent, tags, numbers, e) + 1
        elif tag == _TABLE:
            element.item = element.list = element.cell = element.row = 0
            element.table = e
            element.tables += 1
            taken[min(element.tables, TABLES) - 1] = 0
        elif tag == _THEAD or tag == _TBODY or tag == _TFOOT:  # no cell goes on behind them
            if level >= 0:
                taken[level] = 0
        elif tag == _TR:
            element.row, element.cell = e, 0
            element.several = elements[element.table].several
            if level >= 0:
                for column in range(WIDTH):
                    taken[level, column] = max(0, taken[level, column] - 1)
        elif tag == _TD or tag == _TH:
            row, table = elements[above.row], elements[above.table]
            column = row.width
            while level >= 0 and column < WIDTH and taken[level, column] > 0:
                column += 1
            element.column = column
            span, rows = max(1, numbers[e] & ((1 << ROWS) - 1)), numbers[e] >> ROWS
            if rows > 1 and level >= 0:
                for z in range(column, min(column + span, WIDTH)):
                    taken[level, z] = rows
            row.width = column + span
            row.cells += 1
            table.widest = max(table.widest, column + 1)
            if row.cells > 1:
                table.several = 1
            elif tag == _TH and span == 1:
                row.several = 1
            element.cell = e
        elif tag == _QUOTE:
            element.quote, element.quotes = e, min(above.quotes + 1, _QUOTES)
        elif _H1 <= tag <= _H6:
            element.heading = e
        elif tag == _PRE:
            element.code = e
