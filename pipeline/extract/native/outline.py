"""What each element of a page is inside of, for writing its text: list item, table row, quote, heading, code."""

from typing import Any

import numpy as np

from pipeline.extract.native.names import TAG
from pipeline.kernels import inner

_LI, _UL, _OL, _MENU, _TABLE, _TD, _TH, _TR, _QUOTE, _PRE, _H1, _H6 = (
    TAG[t] for t in "li ul ol menu table td th tr blockquote pre h1 h6".split()
)
_QUOTES = 8
"""Most quote marks at the beginning of a line."""

_AROUND = "item list cell row table quote heading code".split()  # the innermost element of each kind; 0 is none
_COUNTS = "number items column width widest quotes in_cell in_heading indent".split()
ELEMENT = np.dtype([(name, np.int32) for name in _AROUND + _COUNTS] + [("good", np.int32), ("begun", np.int32)])
"""Facts about an element; zeros at first. `outline` fills in the elements it is inside of; for an item its `number`; for a
list the number of `items` so far; for a cell its `column`; for a row its `width` in cells; for a table the width of its
`widest` row; and how many `quotes` it is in. `assemble` fills in the rest: the blocks `in_cell` and `in_heading`; for an item
the `indent` of its text and whether its bullet is written (`begun`); for a row whether it is written as a line (`good`)."""


@inner
def outline(parent: Any, tags: Any, numbers: Any, elements: Any) -> None:
    """Fill `elements` (ELEMENT, one per element). `numbers` are those that the page gives to lists and items; 0: none."""
    for e in range(1, len(tags)):
        element, above, tag = elements[e], elements[parent[e]], tags[e]
        element.item, element.list, element.cell, element.row = above.item, above.list, above.cell, above.row
        element.table, element.quote, element.heading, element.code = (
            above.table,
            above.quote,
            above.heading,
            above.code,
        )
        element.quotes = above.quotes
        if tag == _LI:
            its_list = elements[above.list]
            its_list.items = numbers[e] if numbers[e] > 0 else its_list.items + 1
            element.number = its_list.items
            element.item = e
        elif tag == _UL or tag == _OL or tag == _MENU:
            element.list = e
            element.items = numbers[e]
        elif tag == _TABLE:
            element.item = element.list = element.cell = element.row = 0
            element.table = e
        elif tag == _TR:
            element.row, element.cell = e, 0
        elif tag == _TD or tag == _TH:
            row, table = elements[above.row], elements[above.table]
            element.column = row.width
            row.width += 1
            table.widest = max(table.widest, row.width)
            element.cell = e
        elif tag == _QUOTE:
            element.quote, element.quotes = e, min(above.quotes + 1, _QUOTES)
        elif _H1 <= tag <= _H6:
            element.heading = e
        elif tag == _PRE:
            element.code = e
