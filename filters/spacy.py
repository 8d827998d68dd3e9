"""Where spaCy's English tokens, over which datatrove counts, part from ours (`pipeline.filters.words`): how many.

spaCy keeps in one piece what stands without white space, but for the signs at its ends and a few within: a comma or a hyphen
between letters, `: < > = /` before a letter, `+ - * ^` between digits, a full stop between a small and a capital letter (its
TOKENIZER_INFIXES). So 08:58, 24/7, a@b.org, covid-19 and an address with "://" are one token there, and do|n't is two. A full
stop after a lone capital (U.S., J.) belongs to it. Its list of abbreviations (Mr., Inc.) is not followed.
"""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline.filters.characters import (
    IDEOGRAPH,
    KIND,
    LETTER,
    NUMBER,
    SPACE,
    SYMBOL,
    UPPERCASE,
    character_classes,
    decode,
)
from pipeline.filters.words import joins


def token_differences(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each document: spaCy's tokens less ours, and the same of tokens with a letter."""
    tokens, lettered = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    _count(data, starts, ends, character_classes(), tokens, lettered)
    return tokens, lettered


@nb.njit(nogil=True)
def _splits(code: Any, before: Any, after: Any) -> Any:
    """Whether spaCy divides at this ASCII sign between characters of these kinds."""
    if code in (0x3A, 0x3C, 0x3E, 0x3D, 0x2F):  # : < > = /
        return after == LETTER
    if code == 0x2D:
        return before == after
    if code in (0x2B, 0x2A, 0x5E):  # + * ^
        return before == NUMBER and after == NUMBER
    if code == 0x2C:
        return before == LETTER and after == LETTER
    return code >= 0x80


@nb.njit(nogil=True)
def _clings(code: Any) -> Any:
    """Whether this sign stays with a word that it begins or ends: / @ - | ~ ^ and the backslash are none of spaCy's affixes."""
    return code in (0x2F, 0x40, 0x2D, 0x7C, 0x7E, 0x5E, 0x5C)


@nb.njit(nogil=True, cache=True)
def _count(data: Any, starts: Any, ends: Any, classes: Any, tokens: Any, lettered: Any) -> None:
    for document in range(starts.shape[0]):
        more, more_lettered = 0, 0
        end = ends[document]
        before, before_upper, lone = (
            SPACE,
            False,
            False,
        )  # kind of the last character; a capital; one with no capital before
        has_letter, counted, address, glued = False, False, False, False
        code: Any
        i = starts[document]
        while i < end:
            byte = np.int64(data[i])
            if byte < 0x80:
                code, size = byte, 1
            else:
                packed = decode(data, i, end)
                code, size = packed >> 3, packed & 7
            cls = classes[code]
            kind = cls & KIND
            after, after_upper = SPACE, False
            if kind == SYMBOL and i + size < end:
                next_cls = classes[decode(data, i + size, end) >> 3]
                after, after_upper = next_cls & KIND, (next_cls & UPPERCASE) != 0
            if kind == SPACE:
                address = False
            if kind in (LETTER, NUMBER):
                starts_run = before not in (LETTER, NUMBER) and not glued
                if starts_run:
                    has_letter, counted = False, False
                    more -= address
                if kind == LETTER:
                    has_letter = True
                    if address and not counted:
                        more_lettered -= 1
                        counted = True
                glued = False
            elif kind == SYMBOL:
                glued = False
                inside = before in (LETTER, NUMBER) and after in (LETTER, NUMBER)
                if inside and joins(code, before, after):
                    glued = True
                    if before == LETTER and code in (0x27, 0x2019):
                        more += 1
                        more_lettered += 1
                    elif code == 0x2E and before == LETTER and not before_upper and after_upper and not address:
                        more += 2
                        more_lettered += 1
                elif address:
                    more -= 1
                elif (
                    before in (LETTER, NUMBER)
                    and i + 3 < end
                    and code == 0x3A
                    and data[i + 1] == 0x2F
                    and data[i + 2] == 0x2F
                ):
                    address = True
                    more -= 1
                elif inside and not _splits(code, before, after):
                    more -= 2
                    glued = True
                    if has_letter:  # does what follows have a letter, too?
                        k = i + size
                        found = False
                        while k < end:
                            packed = decode(data, k, end)
                            inner = classes[packed >> 3] & KIND
                            if inner not in (LETTER, NUMBER):
                                break
                            found |= inner == LETTER
                            k += packed & 7
                        more_lettered -= found
                elif (before == SPACE and after in (LETTER, NUMBER) and _clings(code)) or (
                    before in (LETTER, NUMBER) and after == SPACE and _clings(code)
                ):
                    more -= 1
                    glued = before == SPACE
                elif code == 0x2E and lone and after not in (LETTER, NUMBER, IDEOGRAPH):
                    more -= 1
            upper = (cls & UPPERCASE) != 0
            lone = upper and not before_upper
            before, before_upper = kind, upper
            i += size
        tokens[document] = more
        lettered[document] = more_lettered
