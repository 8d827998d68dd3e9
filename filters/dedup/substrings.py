"""Passages that stand in the corpus more than once: Lee et al. 2021 ("Deduplicating Training Data Makes Language Models
Better", section 4.1, ExactSubstr), as RefinedWeb used it (Penedo et al. 2023, section 3.3): 50 tokens and more.

They build a suffix array, 5 to 9 bytes a byte of text in memory. But every repeat of n tokens or more is made of windows of n
tokens that repeat, and every such window is a repeat: to know the windows whose hashes occur again is to know all repeats,
exactly (but for the 64 bits of the hash), in as little memory as one likes (`repeats.py`).

`keep="first"`: the windows' first occurrence in the order of the corpus stays, each later one goes. `keep="none"`: all
occurrences go. Tokens are those of `words.py`, case and spelling as they are; white space between them does not count.
Lee et al. and RefinedWeb count GPT-2 tokens, of which a text has a quarter to a half more.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filters.dedup.repeats import Keep, Marks, mark_repeats
from pipeline.filters.kernels.arrays import Texts, as_text_array, text_buffers
from pipeline.filters.kernels.spans import Ranges
from pipeline.filters.kernels.token_spans import Tokens, find_tokens, window_hashes
from pipeline.kernels import kernel


@kernel
def _covered(
    marks: Any, size: Any, offsets: Any, starts: Any, ends: Any, sizes: Any, counts: Any, froms: Any, tos: Any
) -> Any:
    """The ranges of bytes that the marked windows of `size` tokens cover; returns how many there are."""
    k = 0
    for text in range(offsets.size - 1):
        first, last = offsets[text], offsets[text + 1]
        i = first
        while i < last:
            if not marks[i]:
                i += 1
                continue
            begin, until = i, i + size
            while i < until:  # windows that touch or overlap are one passage
                if marks[i]:
                    until = i + size
                i += 1
                if i == until and i < last and marks[i]:
                    until = i + size
            froms[k], tos[k] = starts[begin], sizes[text]
            if until < last:  # of the white space on both sides one stays
                apart = begin == first or starts[begin] > ends[begin - 1]
                tos[k] = starts[until] if apart else ends[until - 1]
            k += 1
        counts[text + 1] = k
    return k


def cut_windows(tokens: Tokens, marks: npt.NDArray[np.bool_], size: int, sizes: npt.NDArray[np.int64]) -> Ranges:
    """The ranges that take out the marked windows of texts of so many bytes, with the white space on one side."""
    counts, n = np.zeros_like(tokens.offsets), int(marks.sum())
    found = np.empty(n, np.int64), np.empty(n, np.int64)
    k = _covered(marks, size, tokens.offsets, tokens.starts, tokens.ends, sizes, counts, *found)
    return Ranges(counts, found[0][:k], found[1][:k])


def repeated_substrings(texts: Texts, tokens: int = 50, keep: Keep = "first", *, memory: int = 1 << 30) -> Ranges:
    """The ranges of texts in memory that repeat a passage of `tokens` tokens; `spans.apply` takes them out."""
    array = as_text_array(texts)
    return next(iter(repeats_of(lambda: [(0, array)], tokens, keep, memory)))[1]


def repeats_of(
    read: Callable[[], Iterable[tuple[int, pa.Array]]], tokens: int, keep: Keep, memory: int, folder: Path | None = None
) -> Iterable[tuple[int, Ranges]]:
    """(number, ranges) of each chunk of texts. `read` gives (number, texts) in order, as often as it is called.

    Between two passes only a bit a token of what repeats is kept, in a temporary file in `folder`.
    """
    size = sum(text_bytes(texts) for _, texts in read())
    with TemporaryFile(dir=folder) as file:
        marks = Marks(file)
        mark_repeats(
            lambda: ((number, window_hashes(find_tokens(texts), tokens)) for number, texts in read()),
            marks,
            at_most=size,
            memory=memory,
            keep=keep,
        )
        for number, texts in read():
            found = find_tokens(texts)
            _, begins, ends = text_buffers(texts)
            yield number, cut_windows(found, marks.of(number, found.hashes.size), tokens, ends - begins)


def text_bytes(texts: pa.Array) -> int:
    """Bytes of all texts together."""
    _, begins, ends = text_buffers(texts)
    return int((ends - begins).sum())
