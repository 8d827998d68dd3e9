"""What each element of a page is inside of, as its text is written: list item, table row, quote, heading, code."""

from typing import Any

import numpy as np

from pipeline.extract.native.names import TAG
from pipeline.kernels import inner

_LI, _UL, _OL, _MENU, _TABLE, _TD, _TH, _TR, _QUOTE, _PRE, _H1, _H6 = (
    TAG[t] for t in "li ul ol menu table td th tr blockquote pre h1 h6".split()
)
_QUOTES = 8
"""Marks of quotes that a line begins with at most."""

_AROUND = "item list cell row table quote heading code".split()  # the innermost element of each kind; 0 is none
_COUNTS = "number items column width widest quotes in_cell in_heading indent".split()
PLACE = np.dtype([(name, np.int32) for name in _AROUND + _COUNTS] + [("good", np.int32), ("begun", np.int32)])
"""What is known of an element; zeros at first. `outline` fills: what it is in; of an item its `number`, of a list how many
`items` it has had; of a cell its `column`, of a row its `width` in cells, of a table that of its `widest` row; how many
`quotes` it is in. `assemble` fills the rest: blocks `in_cell` and `in_heading`; of an item, what its text is indented by and
whether its mark is `begun`; of a row, whether it is a `good` one."""


@inner
def outline(parent: Any, tags: Any, given: Any, places: Any) -> None:
    """Fill `places` (PLACE) for the elements; `given` are the numbers that the page gives to lists and items."""
    for e in range(1, len(tags)):
        place, above, tag = places[e], places[parent[e]], tags[e]
        place.item, place.list, place.cell, place.row = above.item, above.list, above.cell, above.row
        place.table, place.quote, place.heading, place.code = above.table, above.quote, above.heading, above.code
        place.quotes = above.quotes
        if tag == _LI:
            whole = places[above.list]
            whole.items = given[e] if given[e] > 0 else whole.items + 1
            place.number = whole.items
            place.item = e
        elif tag == _UL or tag == _OL or tag == _MENU:
            place.list = e
            place.items = given[e]
        elif tag == _TABLE:
            place.item = place.list = place.cell = place.row = 0
            place.table = e
        elif tag == _TR:
            place.row, place.cell = e, 0
        elif tag == _TD or tag == _TH:
            row, table = places[above.row], places[above.table]
            place.column = row.width
            row.width += 1
            table.widest = max(table.widest, row.width)
            place.cell = e
        elif tag == _QUOTE:
            place.quote, place.quotes = e, min(above.quotes + 1, _QUOTES)
        elif _H1 <= tag <= _H6:
            place.heading = e
        elif tag == _PRE:
            place.code = e
