"""Lines and paragraphs between line feeds, raw and stripped: kernels of `whitespace_words`."""

from typing import Any

import numpy as np

from pipeline.filters.kernels.repetition import number
from pipeline.filters.kernels.unicode import HASH_SEED, KIND, SPACE, TERMINAL, add_hash, decode, mix
from pipeline.kernels import inner

SHORT_LINE = 30  # characters; datatrove's FineWebQualityFilter counts lines of exactly 30 as short too


@inner
def count_lines(data: Any, start: Any, end: Any, classes: Any, room: Any, out: Any, document: Any) -> None:
    """Count raw lines, then stripped lines, then paragraphs."""
    hashes, lengths, is_visible, _, _, ids, counts, firsts = room
    code: Any
    for unit in range(3):
        n, total = 0, 0
        value, length, stripped_value, stripped_length, blank = HASH_SEED, 0, HASH_SEED, 0, True
        bullets, few_bullets, ellipses, plain_ellipses, first, last = 0, 0, 0, 0, 0, 0
        filled, terminals, short = 0, 0, 0
        dots_in_row, spaced_dots, spaces_since_dot = 0, 0, 0
        line_feeds = 0
        i = start
        while i <= end:
            code, size = 0x0A, 1
            if i < end:
                code, size = np.int64(data[i]), 1
                if code >= 0x80:
                    code, size = decode(data, i, end)
            closes = code == 0x0A
            if unit == 2 and i < end:
                line_feeds = line_feeds + 1 if code == 0x0A else 0
                closes = line_feeds >= 2
            if closes:
                if unit == 0:
                    bullets += length > 0 and first in (0x2A, 0x2D)
                    ellipses += length > 0 and last == 0x2026
                    filled += length > 0
                    terminals += not blank and classes[last] & TERMINAL != 0
                    short += not blank and length <= SHORT_LINE
                elif not blank:
                    bullets += first in (0x25CF, 0x2022, 0x2A, 0x2D)
                    few_bullets += first in (0x2022, 0x2D)
                    plain_ellipses += last == 0x2026 or dots_in_row >= 3
                    ellipses += last == 0x2026 or dots_in_row >= 3 or spaced_dots >= 3
                if unit == 0 or not blank:
                    hashes[n] = mix(value if unit == 0 else stripped_value)
                    lengths[n] = length if unit == 0 else stripped_length
                    is_visible[n] = not blank
                    total += lengths[n]
                    n += 1
                value, length, stripped_value, stripped_length, blank = HASH_SEED, 0, HASH_SEED, 0, True
                dots_in_row, spaced_dots, spaces_since_dot = 0, 0, 0
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
                    stripped_value, stripped_length = value, length  # … and ends at its last visible character
                    dots_in_row = (dots_in_row + 1 if spaces_since_dot == 0 else 1) if code == 0x2E else 0
                    spaced_dots = (
                        (spaced_dots + 1 if spaces_since_dot == 1 or spaced_dots == 0 else 1) if code == 0x2E else 0
                    )
                    spaces_since_dot = 0
                else:
                    spaces_since_dot = spaces_since_dot + 1 if code == 0x20 else 9
            i += size
        number(n, room)
        copies, copied_characters, later_copies, later_characters, visible_copies = 0, 0, 0, 0, 0
        for k in range(n):
            if counts[ids[k]] > 1:
                copies += 1
                copied_characters += lengths[k]
                if firsts[ids[k]] != k and lengths[k] > 0:
                    later_copies += 1
                    later_characters += lengths[k]
                    visible_copies += lengths[k] * is_visible[k]
        if unit == 0:
            out.raw_lines[document] = n
            out.raw_bullets[document] = bullets
            out.raw_ellipses[document] = ellipses
            out.raw_copies[document] = copies
            out.raw_copy_characters[document] = copied_characters
            out.filled_lines[document] = filled
            out.filled_copies[document] = later_copies
            out.filled_copy_characters[document] = later_characters
            out.visible_copy_characters[document] = visible_copies
            out.raw_terminals[document] = terminals
            out.raw_short[document] = short
            out.unclosed[document] = end == start or data[end - 1] != 0x0A
        elif unit == 1:
            out.lines[document] = n
            out.line_characters[document] = total
            out.bullets[document] = bullets
            out.few_bullets[document] = few_bullets
            out.plain_ellipses[document] = plain_ellipses
            out.ellipses[document] = ellipses
            out.copies[document] = copies
            out.copy_characters[document] = copied_characters
        else:
            out.paragraphs[document] = n
            out.paragraph_characters[document] = total
            out.paragraph_copies[document] = copies
            out.paragraph_copy_characters[document] = copied_characters


@inner
def count_paragraphs(data: Any, start: Any, end: Any, classes: Any, room: Any, out: Any, document: Any) -> None:
    """Count raw paragraphs: only the text as a whole is stripped."""
    hashes, lengths, _, _, _, ids, _, firsts = room
    n, line_feeds, value, length = 0, 0, HASH_SEED, 0
    # The state at the last visible character, since white space at the end does not count.
    visible_paragraphs, visible_value, visible_length = 0, HASH_SEED, 0
    begun = False
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
            line_feeds += 1
            continue
        if line_feeds >= 2:
            hashes[n], lengths[n] = mix(value), length
            n += 1
            value, length = HASH_SEED, 0
        elif line_feeds == 1:
            value = add_hash(value, 0x0A)
            length += 1
        line_feeds = 0
        value = add_hash(value, code)
        length += 1
        if classes[code] & KIND != SPACE:
            visible_paragraphs, visible_value = n, value
            visible_length = length
    if begun:
        n = visible_paragraphs
        hashes[n], lengths[n] = mix(visible_value), visible_length
        n += 1
    number(n, room)
    copies, copied_characters = 0, 0
    for k in range(n):
        if firsts[ids[k]] != k:
            copies += 1
            copied_characters += lengths[k]
    out.raw_paragraphs[document] = n
    out.raw_paragraph_copies[document] = copies
    out.raw_paragraph_copy_characters[document] = copied_characters
