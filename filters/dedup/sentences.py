"""Spans of sentences that repeat across a corpus: "we discarded all but one of any three-sentence span occurring more than
once in the data set" (C4: Raffel et al. 2020, JMLR 21:140, section 2.2).

A sentence is what the signal `sentences` counts (`words.py`): it begins after the previous sentence or line break, and
runs up to its terminal and the closing quotes and brackets after it. Text without a terminal (a heading) is in no span and
is never cut. Two sentences are equal if their tokens are, ignoring the case of ASCII letters: the paper does not say, and
its code compares lines that way.

It works on arrays of all characters, in NumPy: about 20 bytes per character, and 24 for the tokens.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filters.kernels.spans import Places, Ranges
from pipeline.filters.kernels.token_spans import Tokens, find_tokens, window_hashes
from pipeline.filters.kernels.unicode import (
    BREAK,
    CLOSING,
    EXTEND,
    IDEOGRAPH,
    IGNORED,
    KIND,
    LETTER,
    SPACE,
    SYMBOL,
    TERMINAL,
    character_classes,
)

_FACTOR = np.uint64(0xD6E8FEB86659FD93)  # different from the factor of the windows over sentences
Mask = npt.NDArray[np.bool_]


class Sentences(NamedTuple):
    """The sentences of n texts: those of text i are offsets[i]:offsets[i + 1]. Positions are bytes from the text's start."""

    offsets: Places
    starts: Places
    ends: Places
    before: Places
    """The end of the last visible character before the sentence."""
    after: Places
    """The start of the next visible character after the sentence; the end of the text if there is none."""
    opens: Mask
    """Whether the sentence is the first on its line."""
    last: Mask
    """Whether nothing visible follows in the text."""
    hashes: npt.NDArray[np.uint64]


def find_sentences(texts: pa.Array) -> Sentences:
    """The sentences of each text of a string array; none for a null."""
    texts = pc.fill_null(texts, "")
    lengths = pc.utf8_length(texts).to_numpy().astype(np.int64) + 1
    codes = np.frombuffer("".join(f"{text}\n" for text in texts.to_pylist()).encode("utf-32-le"), np.uint32)
    classes = character_classes()[codes]
    kinds = classes & KIND
    starts, ends = _boundaries(codes, classes, kinds)

    firsts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    owner = np.searchsorted(firsts, starts, "right") - 1
    counts = np.bincount(owner, minlength=len(texts))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    begin, end = firsts[owner], firsts[owner + 1] - 1
    visible = np.flatnonzero((kinds != SPACE) & (kinds != IGNORED)).astype(np.int32)
    padded = np.concatenate([[-1], visible, [codes.size]])
    before = np.maximum(padded[np.searchsorted(visible, starts)] + 1, begin)
    after = np.minimum(padded[np.searchsorted(visible, ends) + 1], end)
    breaks = _below((classes & BREAK) != 0, before, starts)
    wide = (codes >= 0x80).astype(np.uint8) + (codes >= 0x800) + (codes >= 0x10000)
    size = np.cumsum(wide, dtype=np.int32)

    def to_bytes(characters: Places) -> Places:
        return characters + np.where(characters > 0, size[characters - 1], 0)

    text = to_bytes(begin)
    return Sentences(
        offsets=offsets,
        starts=to_bytes(starts) - text,
        ends=to_bytes(ends) - text,
        before=to_bytes(before) - text,
        after=to_bytes(after) - text,
        opens=(breaks > 0) | (before == begin),
        last=after == end,
        hashes=_hashes(find_tokens(pc.ascii_lower(texts)), to_bytes(firsts[:-1]), to_bytes(starts), to_bytes(ends)),
    )


def _boundaries(codes: Any, classes: Any, kinds: Any) -> tuple[Places, Places]:
    """The character ranges [start, end) of the sentences of texts that each end with a line feed."""
    space = kinds == SPACE
    terminal = (kinds == SYMBOL) & ((classes & TERMINAL) != 0)
    plain = terminal & ((codes == ord(".")) | (codes == ord("!")) | (codes == ord("?")))
    passes = ((classes & (CLOSING | TERMINAL)) != 0) | (kinds == EXTEND)
    stops = np.flatnonzero(passes[:-1] & ~passes[1:]) + 1  # the ends of runs that may follow a terminal
    ending = stops[_distinct(np.searchsorted(stops, np.flatnonzero(plain), "right"))]
    ending = ending[space[ending]]
    others = np.flatnonzero(terminal & ~plain) + 1
    breaks = np.flatnonzero((classes & BREAK) != 0)

    ends = np.concatenate([_distinct(np.sort(np.concatenate([ending, others]))), breaks])
    is_break = np.arange(ends.size) >= ends.size - breaks.size
    order = np.argsort(ends, kind="stable")  # a sentence ends before the line does
    ends, is_break = ends[order], is_break[order]
    letters = _below((kinds == LETTER) | (kinds == IDEOGRAPH), np.concatenate([[0], ends[:-1]]), ends)
    sentence = (letters > 0) & ~is_break
    resets = np.where(sentence | is_break, ends, 0)
    since = np.concatenate([[0], np.maximum.accumulate(resets)[:-1]])[sentence]
    visible = np.flatnonzero(~space & (kinds != IGNORED))
    return visible[np.searchsorted(visible, since)].astype(np.int64), ends[sentence].astype(np.int64)


def _distinct(ascending: Places) -> Places:
    """Ascending numbers, each once. NumPy's `unique` puts them into a hash table, fifty times as slow and worse for more."""
    return np.asarray(ascending[np.diff(ascending, prepend=-1) != 0], np.int64)


def _below(mask: Mask, starts: Places, ends: Places) -> npt.NDArray[np.int32]:
    """The number of true values in each range."""
    counts = np.concatenate([np.zeros(1, np.int32), np.cumsum(mask, dtype=np.int32)])
    return np.asarray(counts[ends] - counts[starts], np.int32)


def _hashes(tokens: Tokens, texts: Places, starts: Places, ends: Places) -> npt.NDArray[np.uint64]:
    """A polynomial hash of the tokens of each sentence; positions count from the start of the first text."""
    token_starts = tokens.starts + np.repeat(texts, np.diff(tokens.offsets))
    first, last = np.searchsorted(token_starts, starts), np.searchsorted(token_starts, ends)
    within = np.arange(token_starts.size)
    within -= np.concatenate([[0], first])[np.searchsorted(first, within, "right")]
    powers = np.multiply.accumulate(np.full(max(token_starts.size, 1), _FACTOR))
    terms = np.append(tokens.hashes * powers[within], np.uint64(0))
    edges = np.stack([first, last], axis=1).ravel()
    return np.add.reduceat(terms, edges)[::2] if edges.size else np.zeros(0, np.uint64)


def span_hashes(sentences: Sentences, span: int) -> npt.NDArray[np.uint64]:
    """For each sentence, the hash of the `span` sentences that begin with it; 0 if the text ends before."""
    return window_hashes(Tokens(sentences.offsets, sentences.starts, sentences.ends, sentences.hashes), span)


def cut_spans(sentences: Sentences, marks: Mask, span: int) -> Ranges:
    """The ranges that remove the marked spans, with the white space on one side, so that lines stay separate."""
    removed = np.zeros(marks.size, np.bool_)
    for k in range(span):
        removed[k:] |= marks[: marks.size - k]
    text = np.repeat(np.arange(sentences.offsets.size - 1), np.diff(sentences.offsets))
    glued = removed.copy()  # removed together with the sentence before it
    glued[:1] = False
    glued[1:] &= removed[:-1] & (text[1:] == text[:-1]) & (sentences.before[1:] == sentences.ends[:-1])
    first = np.flatnonzero(removed & ~glued)
    last = np.flatnonzero(removed & ~np.append(glued[1:], False))
    opens, closes = sentences.opens[first], sentences.last[last]
    whole_text = closes & (sentences.before[first] == 0)
    starts = np.where(opens & ~closes, sentences.starts[first], sentences.before[first])
    ends = np.where((opens & ~closes) | whole_text, sentences.after[last], sentences.ends[last])
    counts = np.bincount(text[first], minlength=sentences.offsets.size - 1)
    return Ranges(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)]), starts, ends)
