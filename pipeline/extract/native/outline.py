"""What each element of a page is inside of, as its text is written: list item, table row, quote, heading, code."""

import numpy as np

from pipeline.extract.native.names import TAG
from pipeline.kernels import inner

_LI, _UL, _OL, _MENU, _TABLE, _TD, _TH, _TR, _QUOTE, _PRE, _H1, _H6 = (
    TAG[t] for t in "li ul ol menu table td th tr blockquote pre h1 h6".split()
)
_QUOTES = 8
"""Marks of quotes that a line begins with at most."""


@inner(allocates=True)
def outline(parent, tags, given):  # type: ignore[no-untyped-def]
    """Arrays over the elements; 0 is nowhere: the innermost list item, an item's number in its list, the list; the cell,
    its column, the row, the table; the innermost quote and how many there are; heading; code; a row's cells, and a
    table's cells in its widest row."""
    count = len(tags)
    item, number, list_ = np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count, np.int32)
    cell, column, row, table = (
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
    )
    quote, quotes, heading, code = (
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
    )
    width, widest, items = np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count, np.int32)
    for e in range(1, count):
        p, tag = parent[e], tags[e]
        item[e], list_[e], cell[e], row[e], table[e] = item[p], list_[p], cell[p], row[p], table[p]
        quote[e], quotes[e], heading[e], code[e] = quote[p], quotes[p], heading[p], code[p]
        if tag == _LI:
            items[list_[p]] = given[e] if given[e] > 0 else items[list_[p]] + 1
            number[e] = items[list_[p]]
            item[e] = e
        elif tag == _UL or tag == _OL or tag == _MENU:
            list_[e] = e
            items[e] = given[e]
        elif tag == _TABLE:
            item[e] = list_[e] = cell[e] = row[e] = 0
            table[e] = e
        elif tag == _TR:
            row[e], cell[e] = e, 0
        elif tag == _TD or tag == _TH:
            column[e] = width[row[p]]
            width[row[p]] += 1
            widest[table[p]] = max(widest[table[p]], width[row[p]])
            cell[e] = e
        elif tag == _QUOTE:
            quote[e], quotes[e] = e, min(quotes[p] + 1, _QUOTES)
        elif _H1 <= tag <= _H6:
            heading[e] = e
        elif tag == _PRE:
            code[e] = e
    return item, number, list_, cell, column, row, table, quote, quotes, heading, code, width, widest
