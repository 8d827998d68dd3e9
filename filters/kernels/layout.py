"""Lines and paragraphs: the layout of a page, and which of its lines and paragraphs repeat.

- A **line** ends at a line break (LF, CR, CR LF, VT, FF, NEL, LS, PS: the mandatory breaks of UAX #14) or at the end of
  the text. White space at its ends is stripped. A line of white space alone is *blank* and does not count as a line.
- A **paragraph** is a run of lines between blank lines; its text is these lines with one line break between them.
- Lengths are in code points, after stripping.

datatrove divides at LF alone, strips nothing, and counts blank lines in Gopher's line ratios (not in FineWeb's).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.filters.kernels.ascii import CLOSE_SQUARE, CONTINUATION, CONTINUES, OPEN_SQUARE
from pipeline.filters.kernels.repetition import Room, duplicates, in_room
from pipeline.filters.kernels.unicode import (
    BREAK,
    CLOSING,
    DIGIT,
    EXTEND,
    HASH_SEED,
    KIND,
    SPACE,
    TERMINAL,
    add_hash,
    character_classes,
    decode,
    mix,
)
from pipeline.kernels import inner, kernel

BULLETS = "•●*-"  # the bullet points of datatrove (• -), dolma (* -) and DCLM (● • * -) together
SHORT_LINE = 30  # characters; FineWeb (Penedo et al. 2024, section 3.6): "lines shorter than 30 characters"

_Counts = npt.NDArray[np.int64]


class LayoutStatistics(NamedTuple):
    """Counts of a batch: one int64 per document."""

    lines: _Counts
    bullet_lines: _Counts  # that begin with one of BULLETS
    ellipsis_lines: _Counts  # that end in "..." or "…"
    terminal_lines: _Counts  # that end in a sentence terminal or "…", quotes, brackets and citations behind it left out
    short_lines: _Counts  # of fewer than SHORT_LINE characters
    duplicate_lines: _Counts  # copies of an earlier line
    duplicate_line_characters: _Counts
    paragraphs: _Counts
    duplicate_paragraphs: _Counts
    duplicate_paragraph_characters: _Counts


def layout_statistics(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> LayoutStatistics:
    """Count the documents `data[starts[i]:ends[i]]`, UTF-8. Memory: about 60 bytes per line of the longest document."""
    counts = np.zeros((len(LayoutStatistics._fields), len(starts)), np.int64)
    classes, bullets = character_classes(), np.array([ord(bullet) for bullet in BULLETS], dtype=np.int64)

    def count(document: int, room: Room) -> Any:
        paragraphs = np.empty(len(room.ids), np.uint64), np.empty(len(room.ids), np.int64)
        return _count(data, starts, ends, document, classes, bullets, room, *paragraphs, counts)

    in_room(count, len(starts), 1024)
    return LayoutStatistics._make(counts)


(
    _LINES, _BULLET_LINES, _ELLIPSIS_LINES, _TERMINAL_LINES, _SHORT_LINES, _DUPLICATE_LINES, _DUPLICATE_LINE_CHARACTERS,
    _PARAGRAPHS, _DUPLICATE_PARAGRAPHS, _DUPLICATE_PARAGRAPH_CHARACTERS,
) = range(len(LayoutStatistics._fields))  # fmt: skip
_LINE_FEED, _CARRIAGE_RETURN, _FULL_STOP, _ELLIPSIS = 0x0A, 0x0D, 0x2E, 0x2026


@kernel
def _count(
    data: Any,
    starts: Any,
    ends: Any,
    begin: Any,
    classes: Any,
    bullets: Any,
    room: Any,
    hashes: Any,
    lengths: Any,
    counts: Any,
) -> Any:
    """Count from document `begin` on. `room` holds lines; `hashes` and `lengths` have the same room for paragraphs."""
    for document in range(begin, len(starts)):
        start, end = starts[document], ends[document]
        lines = _lines(data, start, end, classes, bullets, room, hashes, lengths, counts, document)
        if lines > len(room.ids):
            return document, lines
        copies, copied = duplicates(lines, room)
        counts[_DUPLICATE_LINES, document] = copies
        counts[_DUPLICATE_LINE_CHARACTERS, document] = copied
        paragraphs = counts[_PARAGRAPHS, document]
        for k in range(paragraphs):
            room.hashes[k], room.lengths[k] = hashes[k], lengths[k]
        copies, copied = duplicates(paragraphs, room)
        counts[_DUPLICATE_PARAGRAPHS, document] = copies
        counts[_DUPLICATE_PARAGRAPH_CHARACTERS, document] = copied
    return len(starts), 0


@inner
def _ends_sentence(data: Any, start: Any, end: Any, classes: Any) -> Any:
    """Whether a line, stripped, ends a sentence: `.”`, `!)`, `。」`, `. »`, `.[12]`."""
    i, closed = end, False
    while i > start:
        i, code, cls = _before(data, start, i, classes)
        if cls & TERMINAL or code == _ELLIPSIS:
            return True
        kind = cls & KIND
        if cls & CLOSING or _is_german_closing(code):
            closed = True
            if code == CLOSE_SQUARE:
                i = _before_number(data, start, i, classes)
        elif kind != EXTEND and not (closed and kind == SPACE):
            return False
    return False


@inner
def _is_german_closing(code: Any) -> Any:
    """Whether a character is a quote that opens in English or French and closes in German: “ ‘ « ‹."""
    return code == 0x201C or code == 0x2018 or code == 0xAB or code == 0x2039


@inner
def _before_number(data: Any, start: Any, i: Any, classes: Any) -> Any:
    """Where a citation begins whose bracket closes at byte `i`, "[12]"; `i` if there is none."""
    k, code, cls = _before(data, start, i, classes)
    while cls & DIGIT:
        k, code, cls = _before(data, start, k, classes)
    return k if code == OPEN_SQUARE else i


@inner
def _before(data: Any, start: Any, i: Any, classes: Any) -> Any:
    """The character before byte `i`: where it begins, its code point and class; nothing at `start`."""
    begin = i
    while begin > start:
        begin -= 1
        if data[begin] & CONTINUATION != CONTINUES:
            break
    if begin == i:
        return i, np.int64(0), classes[0]
    code, _ = decode(data, begin, i)
    return begin, code, classes[code]


@inner
def _lines(
    data: Any, start: Any, end: Any, classes: Any, bullets: Any,
    room: Any, paragraph_hashes: Any, paragraph_lengths: Any, counts: Any, document: Any,
) -> Any:  # fmt: skip
    """Write a hash and a length for each line and paragraph, and the counts. Returns the number of lines.

    If there are more lines than `room` holds, call again with more room.
    """
    line_hashes, line_lengths = room.hashes, room.lengths
    max_lines = len(line_hashes)
    lines, paragraphs, bullet_lines, ellipsis_lines, terminal_lines, short_lines = 0, 0, 0, 0, 0, 0
    paragraph_value, paragraph_length = HASH_SEED, 0  # the open paragraph; length 0: none is open
    value, length = HASH_SEED, 0  # the open line, from its first visible character to the last one read
    visible_value, visible_length, visible_dots = HASH_SEED, 0, 0  # the same up to its last visible character
    first: Any = 0  # its first visible character
    last: Any = 0  # its last
    line_start = visible_end = start  # their bytes
    dots = 0  # full stops in a row
    code: Any
    i = start
    while i <= end:
        if i < end:
            code, size = np.int64(data[i]), 1
            if code >= 0x80:
                code, size = decode(data, i, end)
        else:
            code, size = _LINE_FEED, 1  # a final line break closes the open line and paragraph
        cls = classes[code]
        if (cls & KIND) != SPACE:
            if length == 0:
                first, line_start = code, i
            length += 1
            value = add_hash(value, code)
            dots = dots + 1 if code == _FULL_STOP else 0
            visible_value, visible_length, visible_dots, last = value, length, dots, code
            visible_end = i + size
        elif not cls & BREAK:
            dots = 0
            if length:
                length += 1
                value = add_hash(value, code)
        else:
            if code == _CARRIAGE_RETURN and i + 1 < end and data[i + 1] == _LINE_FEED:
                size = 2
            if visible_length:
                if lines < max_lines:
                    line_hashes[lines] = mix(visible_value)
                    line_lengths[lines] = visible_length
                lines += 1
                for k in range(len(bullets)):
                    bullet_lines += first == bullets[k]
                terminal_lines += _ends_sentence(data, line_start, visible_end, classes)
                ellipsis_lines += last == _ELLIPSIS or visible_dots >= 3
                short_lines += visible_length < SHORT_LINE
                paragraph_length += visible_length + (paragraph_length > 0)
                paragraph_value = mix(add_hash(paragraph_value, mix(visible_value)))
            if paragraph_length and (visible_length == 0 or i == end):
                if paragraphs < max_lines:
                    paragraph_hashes[paragraphs] = paragraph_value
                    paragraph_lengths[paragraphs] = paragraph_length
                paragraphs += 1
                paragraph_value, paragraph_length = HASH_SEED, 0
            value, length, dots = HASH_SEED, 0, 0
            visible_value, visible_length, visible_dots = HASH_SEED, 0, 0
        i += size
    counts[_LINES, document] = lines
    counts[_PARAGRAPHS, document] = paragraphs
    counts[_BULLET_LINES, document] = bullet_lines
    counts[_ELLIPSIS_LINES, document] = ellipsis_lines
    counts[_TERMINAL_LINES, document] = terminal_lines
    counts[_SHORT_LINES, document] = short_lines
    return lines
