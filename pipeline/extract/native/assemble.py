"""Kept blocks to text: a paragraph a line, list items after "- ", a table's rows with their cells between " | "."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.extract.native.blocks import Parsed
from pipeline.extract.native.names import HIDDEN, TAG

_LI, _TABLE, _TD, _TH, _TR, _NOSCRIPT = (TAG[t] for t in "li table td th tr noscript".split())


@njit(nogil=True)
def _item_and_cell(page, e):  # type: ignore[no-untyped-def]
    """The innermost list item and table cell that an element is in, or 0."""
    item = cell = 0
    while e > 0:
        tag = page.tag[e]
        if tag == _LI:
            if item == 0:
                item = e
        elif tag == _TD or tag == _TH:
            if cell == 0:
                cell = e
        elif tag == _TABLE:
            break
        e = page.parent[e]
    return item, cell


@njit(nogil=True)
def _row(page, cell):  # type: ignore[no-untyped-def]
    e = cell
    while e > 0 and page.tag[e] != _TR and page.tag[e] != _TABLE:
        e = page.parent[e]
    return e if e > 0 and page.tag[e] == _TR else 0


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
def assemble(page: Parsed, keep: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The kept blocks' text in UTF-8.

    Cells of a row stand on one line where each is one block of one line; tables that lay out a page do not qualify.
    """
    blocks = len(page.home)
    item, cell = np.zeros(blocks, np.int32), np.zeros(blocks, np.int32)
    in_cell = np.zeros(len(page.tag), np.int32)
    size = 0
    for i in range(blocks):
        item[i], cell[i] = _item_and_cell(page, page.home[i])
        in_cell[cell[i]] += 1
        if keep[i]:
            size += page.stop[i] - page.start[i] + 5
    text = np.empty(size, np.uint8)
    o = 0
    last_item = last_row = 0
    for i in range(blocks):
        if not keep[i]:
            continue
        plain = cell[i] > 0 and in_cell[cell[i]] == 1
        if plain:
            for k in range(page.start[i], page.stop[i]):
                plain = plain and page.out[k] != 10
        row = _row(page, cell[i]) if plain else 0
        if row > 0 and row == last_row:
            text[o], text[o + 1], text[o + 2] = 32, 124, 32
            o += 3
        else:
            if o > 0:
                text[o] = 10
                o += 1
            if item[i] > 0 and item[i] != last_item:
                text[o], text[o + 1] = 45, 32
                o += 2
        last_row, last_item = row, item[i]
        length = page.stop[i] - page.start[i]
        text[o : o + length] = page.out[page.start[i] : page.stop[i]]
        o += length
    return text[:o]
