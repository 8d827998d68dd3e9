"""Cuts as GPT-3 makes them in a document that shares an n-gram with an evaluation (Brown et al. 2020, appendix C):

    "we removed the colliding 13-gram as well as a 200 character window around it, splitting the original document into
    pieces. [...] Pieces less than 200 characters long were discarded. Documents split into more than 10 pieces were considered
    contaminated and removed entirely. [...] We ignored 13-grams that matched more than 10 training documents"

The window is cut on both sides, as in EleutherAI's `janitor.py`. Pieces are counted before short ones are discarded. Partial
words at the edges are cut too. The remaining pieces stay one document, with white space between them.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.filters.kernels.code_points import ALONE, LETTER, MARK, OTHER, character_table

Places = npt.NDArray[np.int64]


def word_places(text: str) -> tuple[Places, Places]:
    """The character ranges [start, end) of the words as filters/dedup/shingles.py defines them, in order."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    kinds = (character_table()[codes] >> 21) & 7
    index = np.arange(codes.size)
    head = np.maximum.accumulate(np.where(kinds != MARK, index, -1))
    heads = np.where(head >= 0, kinds[head], OTHER)  # the kind of character a mark is attached to
    before, head_before = np.concatenate([[OTHER], kinds[:-1]]), np.concatenate([[OTHER], heads[:-1]])
    spaced = np.isin(before, (LETTER, MARK)) & (head_before != ALONE)
    inside = np.isin(kinds, (LETTER, MARK, ALONE))
    begins = (
        (kinds == ALONE) | ((kinds == LETTER) & ~spaced) | ((kinds == MARK) & ~np.isin(before, (LETTER, MARK, ALONE)))
    )
    starts = np.flatnonzero(begins)
    stops = np.append(np.flatnonzero(begins | ~inside), codes.size)
    return starts, stops[np.searchsorted(stops, starts, "right")]


def collision_cuts(
    text: str, first: Places, *, ngram: int, window: int = 200, min_characters: int = 200, max_pieces: int = 10
) -> list[tuple[int, int]]:
    """The ranges to cut, in bytes of UTF-8, ascending: around the n-grams that begin at the words `first`, and short pieces.

    The whole text is cut if it falls into more than `max_pieces` pieces, or if no piece is long enough.
    """
    if not first.size:
        return []
    starts, ends = word_places(text)
    cut_starts = np.maximum(starts[first] - window, 0)
    cut_ends = np.minimum(ends[np.minimum(first + ngram, ends.size) - 1] + window, len(text))
    piece_starts, piece_ends = np.concatenate([[0], cut_ends]), np.concatenate([cut_starts, [len(text)]])
    pieces = [(int(a), int(b)) for a, b in zip(piece_starts, piece_ends, strict=True) if b > a]
    kept = [] if len(pieces) > max_pieces else [(a, b) for a, b in pieces if b - a >= min_characters]
    return _outside(text, _whole_words(text, kept, starts, ends))


def _whole_words(text: str, pieces: Sequence[tuple[int, int]], starts: Places, ends: Places) -> list[tuple[int, int]]:
    """The pieces without partial words at their edges. A piece after another one keeps one leading white space, if any."""
    trimmed: list[tuple[int, int]] = []
    for a, b in pieces:
        last = int(np.searchsorted(ends, b, "right"))
        if last < starts.size and starts[last] < b:
            b = int(starts[last])
        if b < len(text):
            b = len(text[:b].rstrip())
        word = int(np.searchsorted(ends, a, "right"))
        if word < starts.size and starts[word] < a:
            a = int(ends[word])
        if trimmed and a and text[a - 1].isspace():
            a -= 1
        elif not trimmed and a:
            a = len(text) - len(text[a:].lstrip())
        if a < b:
            trimmed.append((a, b))
    return trimmed


def _outside(text: str, kept: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges between the pieces, in bytes."""
    edges = [0, *(edge for piece in kept for edge in piece), len(text)]
    byte_offsets, offset = [0], 0
    for start, end in pairwise(edges):
        offset += len(text[start:end].encode())
        byte_offsets.append(offset)
    return [(a, b) for a, b in zip(byte_offsets[::2], byte_offsets[1::2], strict=True) if b > a]
