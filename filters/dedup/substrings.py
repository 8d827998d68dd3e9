"""Passages that occur in the corpus more than once: Lee et al. 2021 ("Deduplicating Training Data Makes Language Models
Better", section 4.1, ExactSubstr), as used for RefinedWeb (Penedo et al. 2023, section 3.3): 50 tokens or more.

They build a suffix array, which takes 5 to 9 bytes of memory per byte of text. But every repeat of n tokens or more consists
of repeated windows of n tokens, and every such window is a repeat. So the windows whose hashes repeat give all repeats,
exactly (up to collisions of 64 bits), in as little memory as desired (`repeats.py`).

`keep="first"`: the first occurrence of a window in the order of the corpus stays; later ones are removed. `keep="none"`: all
occurrences are removed. Tokens are those of `words.py`, compared with their case; white space between them does not count.
Lee et al. and RefinedWeb count GPT-2 tokens; a text has a quarter to a half more of those.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arguments import text_array
from pipeline.filters.dedup.repeats import Keep, Marks, mark_repeats
from pipeline.filters.kernels.arrays import Texts, text_buffers
from pipeline.filters.kernels.spans import Ranges
from pipeline.filters.kernels.token_spans import Tokens, find_tokens, window_hashes
from pipeline.kernels import kernel


@kernel
def _covered(
    marks: Any, size: Any, offsets: Any, starts: Any, ends: Any, sizes: Any, counts: Any, cut_starts: Any, cut_ends: Any
) -> Any:
    """Write the ranges of bytes that the marked windows of `size` tokens cover; returns the number of ranges."""
    k = 0
    for text in range(offsets.size - 1):
        first, last = offsets[text], offsets[text + 1]
        i = first
        while i < last:
            if not marks[i]:
                i += 1
                continue
            first_token, end_token = i, i + size
            while i < end_token:  # windows that touch or overlap are one passage
                if marks[i]:
                    end_token = i + size
                i += 1
                if i == end_token and i < last and marks[i]:
                    end_token = i + size
            cut_starts[k], cut_ends[k] = starts[first_token], sizes[text]
            if end_token < last:  # the white space on one of the two sides stays
                spaced = first_token == first or starts[first_token] > ends[first_token - 1]
                cut_ends[k] = starts[end_token] if spaced else ends[end_token - 1]
            k += 1
        counts[text + 1] = k
    return k


def cut_windows(tokens: Tokens, marks: npt.NDArray[np.bool_], size: int, sizes: npt.NDArray[np.int64]) -> Ranges:
    """The ranges that remove the marked windows, with the white space on one side. sizes: bytes of each text."""
    counts, n = np.zeros_like(tokens.offsets), int(marks.sum())
    bounds = np.empty(n, np.int64), np.empty(n, np.int64)
    k = _covered(marks, size, tokens.offsets, tokens.starts, tokens.ends, sizes, counts, *bounds)
    return Ranges(counts, bounds[0][:k], bounds[1][:k])


def repeated_substrings(texts: Texts, tokens: int = 50, keep: Keep = "first", *, memory: int = 1 << 30) -> Ranges:
    """The ranges of texts in memory that repeat a passage of `tokens` tokens or more; `spans.apply` removes them."""
    array = text_array(texts)
    return next(iter(repeats_of(lambda: [(0, array)], tokens, keep, memory)))[1]


def repeats_of(
    read: Callable[[], Iterable[tuple[int, pa.Array]]], tokens: int, keep: Keep, memory: int, folder: Path | None = None
) -> Iterable[tuple[int, Ranges]]:
    """(number, ranges) of each chunk of texts. `read` returns (number, texts) in order; it is called several times.

    Between two passes only one bit per token is kept for chunks with repeats, in a temporary file in `folder`.
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
            tokens_of_chunk = find_tokens(texts)
            _, begins, ends = text_buffers(texts)
            yield (
                number,
                cut_windows(tokens_of_chunk, marks.of(number, tokens_of_chunk.hashes.size), tokens, ends - begins),
            )


def text_bytes(texts: pa.Array) -> int:
    """Total bytes of the texts."""
    _, begins, ends = text_buffers(texts)
    return int((ends - begins).sum())
