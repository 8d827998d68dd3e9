"""Lines and paragraphs as they lie between line feeds, raw and stripped: the kernels behind `whitespace_words`."""

from typing import Any

import numpy as np

from pipeline.filters.kernels.repetition import number
from pipeline.filters.kernels.unicode import HASH_SEED, KIND, SPACE, TERMINAL, add_hash, decode, mix
from pipeline.kernels import inner

SHORT_LINE = 30  # characters; datatrove's FineWebQualityFilter counts lines of so many as short too


@inner
def count_lines(data: Any, start: Any, end: Any, classes: Any, room: Any, out: Any, document: Any) -> None:
    """Count raw lines, then stripped lines, then paragraphs."""
    hashes, lengths, visibly, _, _, ids, counts, firsts = room
    code: Any
    for unit in range(3):
        n, total = 0, 0
        value, length, inner, inner_length, blank = HASH_SEED, 0, HASH_SEED, 0, True
        bullets, few, ellipses, plain, first, last = 0, 0, 0, 0, 0, 0
        filled, terminals, short = 0, 0, 0
        three, spaced, dots = 0, 0, 0
        feeds = 0
        i = start
        while i <= end:
            code, size = 0x0A, 1
            if i < end:
                code, size = np.int64(data[i]), 1
                if code >= 0x80:
                    code, size = decode(data, i, end)
            closes = code == 0x0A
            if unit == 2 and i < end:
                feeds = feeds + 1 if code == 0x0A else 0
                closes = feeds >= 2
            if closes:
                if unit == 0:
                    bullets += length > 0 and first in (0x2A, 0x2D)
                    ellipses += length > 0 and last == 0x2026
                    filled += length > 0
                    terminals += not blank and classes[last] & TERMINAL != 0
                    short += not blank and length <= SHORT_LINE
                elif not blank:
                    bullets += first in (0x25CF, 0x2022, 0x2A, 0x2D)
                    few += first in (0x2022, 0x2D)
                    plain += last == 0x2026 or three >= 3
                    ellipses += last == 0x2026 or three >= 3 or spaced >= 3
                if unit == 0 or not blank:
                    hashes[n] = mix(value if unit == 0 else inner)
                    lengths[n] = length if unit == 0 else inner_length
                    visibly[n] = not blank
                    total += lengths[n]
                    n += 1
                value, length, inner, inner_length, blank = HASH_SEED, 0, HASH_SEED, 0, True
                three, spaced, dots = 0, 0, 0
            else:
                space = classes[code] & KIND == SPACE
                if length == 0 if unit == 0 else blank:
                    first = code
                if unit == 0 or not (space and blank):  # a stripped unit begins at its first visible character …
                    length += 1
                    value = add_hash(value, code)
                if unit == 0:
                    last = code
                if not space:
                    blank = False
                    last = code
                    inner, inner_length = value, length  # … and ends at its last
                    three = (three + 1 if dots == 0 else 1) if code == 0x2E else 0
                    spaced = (spaced + 1 if dots == 1 or spaced == 0 else 1) if code == 0x2E else 0
                    dots = 0
                else:
                    dots = dots + 1 if code == 0x20 else 9
            i += size
        number(n, room)
        copies, copied, later, later_characters, visible = 0, 0, 0, 0, 0
        for k in range(n):
            if counts[ids[k]] > 1:
                copies += 1
                copied += lengths[k]
                if firsts[ids[k]] != k and lengths[k] > 0:
                    later += 1
                    later_characters += lengths[k]
                    visible += lengths[k] * visibly[k]
        if unit == 0:
            out.raw_lines[document] = n
            out.raw_bullets[document] = bullets
            out.raw_ellipses[document] = ellipses
            out.raw_copies[document] = copies
            out.raw_copy_characters[document] = copied
            out.filled_lines[document] = filled
            out.filled_copies[document] = later
            out.filled_copy_characters[document] = later_characters
            out.visible_copy_characters[document] = visible
            out.raw_terminals[document] = terminals
            out.raw_short[document] = short
            out.unclosed[document] = end == start or data[end - 1] != 0x0A
        elif unit == 1:
            out.lines[document] = n
            out.line_characters[document] = total
            out.bullets[document] = bullets
            out.few_bullets[document] = few
            out.plain_ellipses[document] = plain
            out.ellipses[document] = ellipses
            out.copies[document] = copies
            out.copy_characters[document] = copied
        else:
            out.paragraphs[document] = n
            out.paragraph_characters[document] = total
            out.paragraph_copies[document] = copies
            out.paragraph_copy_characters[document] = copied


@inner
def count_paragraphs(data: Any, start: Any, end: Any, classes: Any, room: Any, out: Any, document: Any) -> None:
    """Count raw paragraphs: nothing is stripped but the text as a whole."""
    hashes, lengths, _, _, _, ids, _, firsts = room
    n, feeds, value, length = 0, 0, HASH_SEED, 0
    gap, gap_value = 0, HASH_SEED  # white space at the end so far: it counts only if something visible follows
    begun, last_length = False, 0
    code: Any
    i = start
    while i < end:
        code, size = np.int64(data[i]), 1
        if code >= 0x80:
            code, size = decode(data, i, end)
        i += size
        if classes[code] & KIND == SPACE and not begun:
            continue
        begun = True
        if code == 0x0A:
            feeds += 1
            continue
        if feeds >= 2:
            hashes[n], lengths[n] = mix(value), length
            n += 1
            value, length = HASH_SEED, 0
        elif feeds == 1:
            value = add_hash(value, 0x0A)
            length += 1
        feeds = 0
        value = add_hash(value, code)
        length += 1
        if classes[code] & KIND != SPACE:
            gap, gap_value = n, value  # the text, stripped, ends here at the latest
            last_length = length
    if begun:
        n = gap
        hashes[n], lengths[n] = mix(gap_value), last_length
        n += 1
    number(n, room)
    copies, copied = 0, 0
    for k in range(n):
        if firsts[ids[k]] != k:
            copies += 1
            copied += lengths[k]
    out.raw_paragraphs[document] = n
    out.raw_paragraph_copies[document] = copies
    out.raw_paragraph_copy_characters[document] = copied
