"""Normalizes a text before a model sees it, in the same way for training and for scoring.

    whitespace  every run of white space becomes one space, as in fastText quality filters (DCLM, Li et al. 2024, arXiv
                2406.11794, joins a text's lines before the classifier sees it)
    lowercase   the same, with each character in its simple lower case
    words       only lower-cased words, with a space between them: characters other than letters, marks and numbers
                separate words, every decimal digit becomes 0 (as in CCNet, Wenzek et al. 2020, section 3.2), and in
                scripts written without spaces each letter is a word. Use it to train on a corpus that has been
                tokenized: otherwise a model learns little more than "word ," against "word,".
    no_latex    the same here; `normalize` of filters/latex.py takes formulas and LaTeX's commands out first

`keep_lines` keeps one line break for a run with line breaks, for models of sentences. No text begins or ends with a space.
"""

from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numba import uint8, uint32, uint64

from pipeline.arguments import text_array
from pipeline.errors import UserError, did_you_mean
from pipeline.filters.kernels.arrays import Texts, text_buffers
from pipeline.filters.kernels.ascii import LINE_FEED, ZERO
from pipeline.filters.kernels.code_points import LOWER_BITS, character_table, decode, encode
from pipeline.filters.kernels.unicode import (
    BREAK,
    DIGIT,
    EXTEND,
    IDEOGRAPH,
    KIND,
    LETTER,
    NUMBER,
    SPACE,
    character_classes,
)
from pipeline.filters.options import Normalization
from pipeline.kernels import kernel

_BLANK = 0x20

NORMALIZATIONS: tuple[str, ...] = get_args(Normalization)


def normalize(texts: Texts, normalization: str, *, keep_lines: bool = False) -> pa.Array:
    """The normalized texts, as large_string; nulls stay. UserError for an unknown normalization."""
    if normalization not in NORMALIZATIONS:
        raise UserError(
            f"unknown normalization {normalization!r}{did_you_mean(normalization, NORMALIZATIONS)}; "
            f"known: {', '.join(NORMALIZATIONS)}"
        )
    array = text_array(texts)
    data, starts, ends = text_buffers(array)
    out = np.empty(int((3 * (ends - starts)).sum()), np.uint8)
    bounds = np.zeros(len(array) + 1, np.int64)
    lower, words = normalization != "whitespace", normalization in ("words", "no_latex")
    _normalize(data, starts, ends, character_table(), character_classes(), lower, words, keep_lines, out, bounds)
    valid = pa.array(array.is_valid(), pa.bool_()).buffers()[1] if array.null_count else None
    content = pa.py_buffer(out[: bounds[-1]].tobytes())
    return pa.Array.from_buffers(pa.large_string(), len(array), [valid, pa.py_buffer(bounds), content])


@kernel
def _normalize(
    data: Any,
    starts: Any,
    ends: Any,
    table: Any,
    classes: Any,
    lower: Any,
    words: Any,
    keep_lines: Any,
    out: Any,
    bounds: Any,
) -> None:
    """Write the normalized texts one after another to `out`, which has room for three times the bytes: an invalid byte
    becomes U+FFFD, three bytes."""
    k, one = uint64(0), uint64(1)
    for row in range(starts.size):
        first = k
        separator = uint8(0)  # to write before the next character: 0, a space or a line break
        after_ideograph = takes_marks = False  # the last character was an ideograph; a mark would attach to it
        i, end = uint64(starts[row]), uint64(ends[row])
        while i < end:
            code, length = decode(data, i, end)
            i += length
            entry = classes[code]
            kind = entry & KIND
            if words:
                is_content = kind in (LETTER, NUMBER, IDEOGRAPH) or (kind == EXTEND and takes_marks)
            else:
                is_content = kind != SPACE and code != 0
            if not is_content:
                if keep_lines and entry & BREAK:
                    separator = uint8(LINE_FEED)
                elif separator == 0:
                    separator = uint8(_BLANK)
                takes_marks = False
                continue
            if words:
                if separator == 0 and (kind == IDEOGRAPH or (after_ideograph and kind != EXTEND)):
                    separator = uint8(_BLANK)
                after_ideograph = kind == IDEOGRAPH or (kind == EXTEND and after_ideograph)
                takes_marks = True
                if entry & DIGIT:
                    code = uint32(ZERO)
            if separator != 0 and k > first:
                out[k] = separator
                k += one
            separator = uint8(0)
            if lower:
                code = table[code] & uint32(LOWER_BITS)
            k += encode(code, out, k)
        bounds[row + 1] = k
