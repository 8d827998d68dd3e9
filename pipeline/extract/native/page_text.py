"""A page's text up to the next tag: entities decoded, white space collapsed."""

from typing import Any

import numpy as np

from pipeline.extract.native.compiled import inner
from pipeline.extract.native.lanes import LANES, at_most, copy, equal, first
from pipeline.extract.native.names import AMPERSAND, LESS, LINE_FEED, NO_BREAK_SPACE, SOFT_HYPHEN, SPACE, TAB
from pipeline.extract.native.syntax import entity, put


@inner
def copy_text(page: Any, i: Any, out: Any, o: Any, begun: Any, pre: Any, space: Any, breaks: Any) -> Any:
    """Copy text up to the next tag: (position in `page`, position in `out`, whether it ends with a space, line breaks at its
    end)."""
    n = len(page)
    while i < n:
        if i + LANES <= n and not pre:  # words with single spaces between them are copied unchanged
            spaces = equal(page, i, SPACE)
            doubled = spaces & ((spaces << 1) | space)
            odd = (
                at_most(page, i, 31) | equal(page, i, LESS) | equal(page, i, AMPERSAND) | equal(page, i, 0xC2) | doubled
            )
            size = first(np.uint32(odd))
            if size > 0:
                copy(page, i, out, o)
                space = (spaces >> (size - 1)) & 1 != 0
                if size > 1 or not space:
                    breaks = 0
                o += size
                i += size
                if size == LANES:
                    continue
        c = page[i]
        point, second = np.int64(-1), np.int64(0)
        if c == LESS:
            break
        if c == AMPERSAND:
            end, point, second = entity(page, i)
            if end == i:
                point = np.int64(AMPERSAND)
                end = i + 1
            i = end
        elif c <= SPACE:
            point = np.int64(c)
            i += 1
            while space and not pre and i + LANES <= n:
                blanks = first(~at_most(page, i, SPACE))
                i += blanks
                if blanks < LANES:
                    break
        elif c == 0xC2 and i + 1 < n and page[i + 1] == NO_BREAK_SPACE:
            point = np.int64(SPACE)
            i += 2
        elif c == 0xC2 and i + 1 < n and page[i + 1] == SOFT_HYPHEN:
            i += 2
            continue
        else:
            out[o] = c
            o += 1
            i += 1
            space = False
            breaks = 0
            continue
        if point <= SPACE or point == NO_BREAK_SPACE or point == 0x200B or point == 0xFEFF:
            if pre:
                if point == LINE_FEED and o > begun:
                    out[o] = LINE_FEED
                    o += 1
                elif point == TAB or point == SPACE or point == NO_BREAK_SPACE:
                    out[o] = TAB if point == TAB else SPACE
                    o += 1
            elif not space:
                out[o] = SPACE
                o += 1
            space = True
        elif point == 0x200C or point == 0x200D:  # joiners: between letters they decide on their shape
            if not space:
                o = put(out, o, point)
        elif point != SOFT_HYPHEN:
            o = put(out, o, point)
            if second:
                o = put(out, o, second)
            space = False
            breaks = 0
    return i, o, space, breaks
