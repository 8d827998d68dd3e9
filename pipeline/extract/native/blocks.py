"""A page's bytes to blocks of text and a light tree of elements, in one compiled pass and without a DOM.

A block is a run of text between two tags that break the line. The tree knows each element's parent, tag and hints from
its class names. It follows browsers where pages rely on it (end tags left out, entities, raw text) and differs where a
broken page would lose its text: an element, comment or quote that never ends is skipped without skipping all that follows.
Every loop is linear in the page: an end that does not exist is searched for only once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.compiled import inner, kernel
from pipeline.extract.native.lanes import LANES, count
from pipeline.extract.native.names import (
    BLOCK,
    BRACKET,
    CIRCUMFLEX,
    DASH,
    EXCLAMATION,
    FAR,
    FORMULA,
    GREATER,
    GUTTER,
    HIDDEN,
    HIDES,
    KIND,
    LESS,
    LINE_FEED,
    OPAQUE,
    OPEN,
    PARENTHESIS,
    PARENTHESIS_END,
    QUESTION,
    SLASH,
    SPACE,
    TAG,
    TAG_TABLE,
    TAGS,
    VOID,
    word_value,
)
from pipeline.extract.native.nesting import depth_after_end, implied_end
from pipeline.extract.native.open_marks import COUNT, KINDS, MARK, TARGET, TARGET_END, end_all_marks, end_mark
from pipeline.extract.native.page_text import copy_text
from pipeline.extract.native.parsed import BOLD_SHARE, IMAGES, LINK_SHARE, LINKS, OK, STATS, TOO_DEEP, TOO_LARGE, Parsed
from pipeline.extract.native.syntax import (
    attributes,
    behind,
    comment_end,
    end_tag,
    indentation,
    name,
    next_line_break,
    numbers_only,
    power,
    shows,
    special,
)
from pipeline.extract.native.words import measure

_A, _B, _BR, _IMG, _LI, _OL, _PRE, _STRONG, _TITLE, _BASE, _HTML, _HEAD, _BODY, _NOSCRIPT, _SCRIPT, _STYLE = (
    TAG[name] for name in "a b br img li ol pre strong title base html head body noscript script style".split()
)
_DIALOG, _SUP, _TD, _TH, _CODE, _TT, _SAMP = (TAG[name] for name in "dialog sup td th code tt samp".split())
_BUTTON, _LABEL, _SELECT, _TEXTAREA = (TAG[name] for name in "button label select textarea".split())
_RB, _RTC, _RP = (TAG[name] for name in "rb rtc rp".split())  # rb, rt, rtc, rp: in this order


def parse(page: NDArray[np.uint8], max_depth: int, max_tags: int, inline: bool) -> Parsed:
    """Parse a page in UTF-8 (uint8), with marks if `inline`.

    Status is TOO_DEEP if elements nest deeper than `max_depth` (html, head and body do not count), and TOO_LARGE if there are
    more than `max_tags` elements or blocks; the result then holds what was parsed so far.
    """
    tags = min(count(page, np.uint8(LESS)), max_tags)
    room = Parsed(
        status=OK,
        title=(0, 0),
        base=(0, 0),
        parent=np.empty(tags + 1, np.int32),
        tag=np.empty(tags + 1, np.int32),
        hints=np.empty(tags + 1, np.int64),
        path=np.empty(tags + 1, np.uint64),
        number=np.zeros(tags + 1, np.int32),
        out=np.empty(2 * len(page) + LANES, np.uint8),  # an entity may be longer than its name: &nGt; is six bytes
        home=np.empty(tags + 2, np.int32),
        start=np.empty(tags + 2, np.int64),
        stop=np.empty(tags + 2, np.int64),
        stats=np.empty((tags + 2, STATS), np.float32),
        print=np.empty(tags + 2, np.uint64),
        hides=False,
        special=False,
        begins=np.empty(tags + 1 if inline else 0, np.int64),
        marks=np.empty((tags + 1 if inline else 0, 5), np.int64),
    )
    open_ = np.empty(max_depth + 2, np.int32)
    never = np.zeros(256 + len(TAGS), np.bool_)
    state = np.array([-1] * KINDS + [0, 0, 0, 0], np.int64)
    status, elements, blocks, title, base, hides, has_special = _parse(
        page, tags, max_depth, inline, room, open_, never, state
    )
    return room._replace(
        status=status,
        title=title,
        base=base,
        hides=hides,
        special=has_special,
        parent=room.parent[:elements],
        tag=room.tag[:elements],
        hints=room.hints[:elements],
        path=room.path[:elements],
        number=room.number[:elements],
        home=room.home[:blocks],
        start=room.start[:blocks],
        stop=room.stop[:blocks],
        stats=room.stats[:blocks],
        print=room.print[:blocks],
        begins=room.begins[:elements],
        marks=room.marks[: state[COUNT]],
    )


@inner
def _write_block(
    room: Any, b: Any, home: Any, begun: Any, end: Any, link_bytes: Any, bold_bytes: Any, links: Any, images: Any
) -> None:
    """Write block `b`: the text `out[begun:end]` in the element `home`."""
    row = room.stats[b]
    room.print[b] = measure(room.out, begun, end, row)
    size = np.float32(end - begun)
    row[LINK_SHARE] = min(np.float32(1), link_bytes / size)
    row[BOLD_SHARE] = min(np.float32(1), bold_bytes / size)
    row[LINKS], row[IMAGES] = links, images
    room.home[b], room.start[b], room.stop[b] = home, begun, end


@inner
def _still_open(at: Any, depth: Any) -> Any:
    """The depth of an element if it is still open, else -1."""
    return at if at < depth else np.int64(-1)


@inner
def _in_word(byte: Any) -> Any:
    """Whether a byte is of a letter or digit."""
    return 97 <= byte | 32 <= 122 or 48 <= byte <= 57 or byte >= 128


@kernel
def _parse(page: Any, tags: Any, max_depth: Any, inline: Any, room: Any, open_: Any, never: Any, state: Any) -> Any:
    """Parse into `room`, a `Parsed` long enough for any result: (status, number of elements, number of blocks, start and end of
    title, and of base).

    Working arrays: `open_`, the open elements; `never`, whether no further end exists, by a quote's byte and by 256 + tag (256
    itself: of comments); `state` of marks.
    """
    parent, tag, hints, path, number = room.parent, room.tag, room.hints, room.path, room.number
    out, marks, begins = room.out, room.marks, room.begins
    n = len(page)
    status = OK
    open_[0] = 0
    parent[0], tag[0], hints[0], path[0] = -1, 0, 0, 7
    # Not 1 and 0: Numba gives literals types of their own, and would compile a function called with them twice.
    depth, o, i = np.int64(1), np.int64(0), np.int64(0)
    begun = o
    elements, blocks = 1, 0
    in_link = bold = pre = code = in_power = False
    gap = False  # a field of a form is between the last word and the next
    # Inside an inline element that no reader sees, text is left out: the depth of that element, and of a block in it.
    mute = inner_block = np.int64(-1)
    has_special: Any
    has_special = False
    hides = np.int64(0)
    link_bytes = bold_bytes = links = images = breaks = np.int64(0)
    space = True
    title: Any
    title_end: Any
    title, title_end, base, base_end = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    apart: Any
    ends: Any
    noscript_end, apart = np.int64(-1), False
    flush: Any
    while True:
        flush = i >= n
        new, closing, k, kind = np.int64(0), False, i, np.uint8(0)
        own, own_path, closed = np.int64(0), np.uint64(0), False
        target = target_end = list_number = np.int64(-1)
        tag_start = i
        if not flush and page[i] != LESS:
            if gap and (mute < 0 or inner_block >= 0):
                gap = False
                if o > begun and _in_word(out[o - 1]) and _in_word(page[i]):
                    out[o] = SPACE
                    o += 1
                    space = True
            before, had_space, had_breaks = o, space, breaks
            i, o, space, breaks = copy_text(page, i, out, o, begun, pre, space, breaks)
            if mute >= 0 and inner_block < 0:
                o, space, breaks = before, had_space, had_breaks
                continue
            if in_link:
                link_bytes += o - before
            if bold:
                bold_bytes += o - before
            continue
        if not flush:
            # Read the kind of the tag, and its name.
            c = page[i + 1] if i + 1 < n else np.uint8(0)
            if c == EXCLAMATION or c == QUESTION:  # comment, doctype, processing instruction
                if i + 3 < n and c == EXCLAMATION and page[i + 2] == DASH and page[i + 3] == DASH and not never[256]:
                    k = comment_end(page, i + 4)
                    if k >= 0:
                        i = k
                        continue
                    never[256] = True
                if c == EXCLAMATION and i + 3 < n and page[i + 2] == BRACKET and page[i + 3] | 32 == 99:  # CDATA
                    has_special = True
                i = behind(page, i + 2, GREATER)
                continue
            closing = c == SLASH
            k = i + 2 if closing else i + 1
            if k >= n or not 97 <= page[k] | 32 <= 122:
                if closing:
                    i = behind(page, k, GREATER)
                else:
                    if mute < 0 or inner_block >= 0:
                        out[o] = LESS
                        o += 1
                        space = False
                        breaks = np.int64(0)
                    i += 1
                continue
            k, own_path = name(page, k)
            new = word_value(TAG_TABLE, own_path)
            kind = KIND[new]
            name_end = k
            if k < n and page[k] != GREATER:
                read = not closing and (not kind & (VOID | OPAQUE) or new == _BASE or new == _IMG)
                k, own, own_path, closed, target, target_end, list_number = attributes(page, k, read, own_path, never)
            if new == _DIALOG and not own >> OPEN & 1:
                own |= np.int64(1) << HIDDEN
            i = k + 1
            if new == _BUTTON or new == _LABEL or new == _SELECT or new == _TEXTAREA:
                gap = True
            if new == _BASE and target >= 0 and base == base_end:
                base, base_end = target, target_end
            if new == _HTML or new == _HEAD or new == _BODY:
                if not closing:
                    hints[0] |= own
                continue
            # Skip elements whose content is not text of the page.
            if not closing and (kind & OPAQUE or new == _TITLE):
                if closed and new != _SCRIPT and new != _STYLE and new != _TITLE:
                    continue
                k = np.int64(-1) if never[256 + new] else end_tag(page, i, new)
                never[256 + new] = k < 0
                has_special = has_special or special(page, new, name_end, i, k)
                if new == _TITLE and k < 0:  # a title without an end tag ends at the next tag
                    k = behind(page, i, LESS) - 1
                if new == _TITLE and title == title_end:
                    title, title_end = i, min(k, n)
                if k >= 0:
                    i = k if new == _TITLE else behind(page, k, GREATER)
                elif new == _SCRIPT or new == _STYLE:
                    i = next_line_break(page, i)
                continue
            ends = False
            if new == _NOSCRIPT and not closing:  # its content is hidden, if it has an end tag
                if noscript_end < i and not never[256 + new]:
                    noscript_end = end_tag(page, i, new)
                    never[256 + new] = noscript_end < 0
                    apart = not never[256 + new] and shows(page, i, noscript_end)
                    ends = apart and o > begun
                if never[256 + new]:
                    continue
            elif new == _NOSCRIPT:
                ends, apart = apart, False
            if new == _BR and mute >= 0 and inner_block < 0:
                continue
            if new == _BR:
                breaks += 1
                if breaks < 2:
                    while o > begun and not pre and out[o - 1] == SPACE:
                        o -= 1
                    if o > begun:
                        out[o] = LINE_FEED
                        o += 1
                        if code and not pre:
                            i, o = indentation(page, i, out, o)
                    space = True
                elif pre:
                    out[o] = LINE_FEED
                    o += 1
                flush = breaks >= 2 and not pre
            else:
                flush = ends or (kind & BLOCK) != 0
        if flush:  # the block ends
            end = o
            while end > begun and out[end - 1] <= SPACE:
                end -= 1
            if end > begun and out[begun] == LESS and tag[open_[depth - 1]] == _NOSCRIPT:  # an image's tag as text
                end = begun
            if inline:
                end_all_marks(marks, state, o, begun, end)
            if end > begun:
                if blocks > tags:
                    status = TOO_LARGE
                    break
                home = open_[(mute if mute >= 0 and inner_block < 0 else depth) - 1]
                _write_block(room, blocks, home, begun, end, link_bytes, bold_bytes, links, images)
                blocks += 1
                o = end
                images = np.int64(0)
            else:
                o = begun
            begun = o
            link_bytes = bold_bytes = links = breaks = np.int64(0)
            space = True
            if mute >= 0 and _RB <= tag[open_[mute]] <= _RP:  # a reading does not go on behind its line
                mute = np.int64(-1)
        if i >= n and k == i:
            break
        # Begin or end the element.
        has_special = has_special or (new == 0 and own >> FORMULA & 1 != 0)  # MathJax's own elements
        if new == _SUP and (mute < 0 or inner_block >= 0):
            if closing and in_power:
                out[o] = PARENTHESIS_END
                o += 1
                in_power = space = False
                breaks = np.int64(0)
            elif not closing and not own & HIDES:
                kind_of_power = power(page, i, out, o, begun)
                if kind_of_power > 0:
                    out[o] = CIRCUMFLEX
                    o += 1
                if kind_of_power > 1:
                    out[o] = PARENTHESIS
                    o += 1
                    in_power = True
        elif new == _IMG:
            images += 1
            has_special = has_special or own >> FORMULA & 1 != 0
        if kind & VOID:
            continue
        if closing:
            if new == _A:
                in_link = False
            elif new == _B or new == _STRONG:
                bold = False
            elif new == _PRE:
                pre = False
            elif new == _CODE or new == _TT or new == _SAMP:
                code = False
            if inline and MARK[new] >= 0:
                end_mark(marks, state, MARK[new], o)
            depth = depth_after_end(open_, depth, tag, new)
            mute, inner_block = _still_open(mute, depth), _still_open(inner_block, depth)
            continue
        if kind & BLOCK:
            depth = implied_end(open_, depth, tag, new)
            mute, inner_block = _still_open(mute, depth), _still_open(inner_block, depth)
            if mute >= 0 and inner_block < 0:
                inner_block = depth
        elif _RB <= new <= _RP and mute >= 0:
            muted = tag[open_[mute]]
            if _RB <= muted <= _RP and (new == _RB or muted != _RTC):
                depth, mute = mute, np.int64(-1)
        if closed and new != 0 and not kind & BLOCK and new != _A:
            continue
        if mute < 0 and not kind & BLOCK:
            gutter = own >> GUTTER & 1 != 0 and (pre or code) and numbers_only(page, i)
            if own & HIDES or _RB < new <= _RP or gutter:
                mute = depth
        if depth > max_depth or elements > tags:
            status = TOO_DEEP if depth > max_depth else TOO_LARGE
            break
        hides |= own
        above = open_[depth - 1]
        parent[elements], tag[elements], hints[elements] = above, new, own
        path[elements] = (path[above] * np.uint64(31) + own_path) * FAR
        if new == _OL and own >> OPEN & 1:
            number[elements] = -1 - max(list_number, np.int64(0))
        elif list_number > 0 and (new == _OL or new == _LI):
            number[elements] = list_number - (new == _OL)
        elif list_number > 0 and (new == _TD or new == _TH):
            number[elements] = list_number
        if inline:
            begins[elements] = tag_start
        open_[depth] = elements
        depth += 1
        elements += 1
        if new == _A and target >= 0:
            in_link = True
            links += 1
        elif new == _B or new == _STRONG:
            bold = True
        elif new == _PRE:
            pre = True
        elif new == _CODE or new == _TT or new == _SAMP:
            code = True
        if inline and MARK[new] >= 0 and not pre and mute < 0:
            if new == _A:  # links do not nest: the previous one ends
                end_mark(marks, state, MARK[new], o)
                state[TARGET], state[TARGET_END] = target, target_end
            if state[MARK[new]] < 0 and (new != _A or target >= 0):
                state[MARK[new]] = o
    return (
        status,
        elements,
        blocks,
        (title, title_end),
        (base, base_end),
        hides & (HIDES | 1 << GUTTER) != 0,
        has_special,
    )
