"""Which open elements a tag ends: as browsers close them, within reach of broken pages."""

from typing import Any

from pipeline.extract.native.compiled import inner
from pipeline.extract.native.names import BLOCK, KIND, TAG

_SCAN = 48  # most open elements that are searched for the one that a tag ends

_DD, _DIV, _DL, _DT, _LI, _OL, _P, _TABLE, _TBODY, _TD, _TH, _TR, _UL, _NOSCRIPT, _OPTION = (
    TAG[name] for name in "dd div dl dt li ol p table tbody td th tr ul noscript option".split()
)


@inner
def implied_end(open_: Any, depth: Any, tag: Any, new: Any) -> Any:
    """Depth after the end tags that a start tag implies: of p before a block, of li before li, of cells and rows."""
    cell = new == _TD or new == _TH
    term = new == _DT or new == _DD
    new_depth, z = depth, depth - 1
    while z > 0 and z > depth - _SCAN:
        it = tag[open_[z]]
        if it == _NOSCRIPT:
            break
        if it == _P:
            new_depth = z
        elif new == _LI:
            if it == _LI:
                return z
            if it == _UL or it == _OL or it == _TABLE or it == _DIV:
                break
        elif cell:
            if it == _TD or it == _TH:
                return z
            if it == _TR or it == _TABLE:
                break
        elif new == _TR:
            if it == _TR:
                return z
            if it == _TABLE:
                break
        elif term:
            if it == _DT or it == _DD:
                return z
            if it == _DL or it == _DIV:
                break
        elif new == _OPTION and it == _OPTION:
            return z
        elif KIND[it] & BLOCK:
            break
        z -= 1
    return new_depth


@inner
def depth_after_end(open_: Any, depth: Any, tag: Any, ended: Any) -> Any:
    """Depth after an end tag; unchanged if no open element near enough matches it."""
    z = depth - 1
    while z > 0 and z > depth - _SCAN:
        it = tag[open_[z]]
        if it == ended:
            return z
        if (it == _TD or it == _TH) and ended != _TABLE and ended != _TR and ended != _TBODY:
            break
        if not KIND[ended] & BLOCK and KIND[it] & BLOCK and ended != _NOSCRIPT:
            break
        z -= 1
    return depth
