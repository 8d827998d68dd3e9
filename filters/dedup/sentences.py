"""Spans of sentences that repeat across a corpus: "we discarded all but one of any three-sentence span occurring more than
once in the data set" (C4: Raffel et al. 2020, JMLR 21:140, section 2.2).

A sentence is what the signal `sentences` counts (`words.py`): it begins where the last one, or the last line break, ended, and
runs up to its terminal and the quotes and brackets that close after it. Text without a terminal (a heading) stands in no span,
and is never cut. Two sentences are the same if their tokens are, ASCII letters in any case: the paper says nothing of spelling,
and its code compares lines so.

Whole columns of characters at a time, in NumPy: some 20 bytes a character beside the 24 of the tokens.
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

_FACTOR = np.uint64(0xD6E8FEB86659FD93)  # not the one of the windows over it
Mask = npt.NDArray[np.bool_]


class Sentences(NamedTuple):
    """The sentences of n texts: those of text i are offsets[i]:offsets[i + 1]; places in bytes from the text's start."""

    offsets: Places
    starts: Places
    ends: Places
    before: Places
    """Where the last visible character before the sentence ends."""
    after: Places
    """Where the next visible one begins; the end of the text if there is none."""
    opens: Mask
    """Whether the sentence begins its line."""
    last: Mask
    """Whether nothing visible follows in the text."""
    hashes: npt.NDArray[np.uint64]


def find_sentences(texts: pa.Array) -> Sentences:
    """The sentences of each text of a string array; a null has none."""
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

    def place(characters: Places) -> Places:
        return characters + np.where(characters > 0, size[characters - 1], 0)

    text = place(begin)
    return Sentences(
        offsets=offsets,
        starts=place(starts) - text,
        ends=place(ends) - text,
        before=place(before) - text,
        after=place(after) - text,
        opens=(breaks > 0) | (before == begin),
        last=after == end,
        hashes=_hashes(find_tokens(pc.ascii_lower(texts)), place(firsts[:-1]), place(starts), place(ends)),
    )


def _boundaries(codes: Any, classes: Any, kinds: Any) -> tuple[Places, Places]:
    """First and last + 1 character of each sentence, of texts that each end with a line feed."""
    space = kinds == SPACE
    terminal = (kinds == SYMBOL) & ((classes & TERMINAL) != 0)
    plain = terminal & ((codes == ord(".")) | (codes == ord("!")) | (codes == ord("?")))
    passes = ((classes & (CLOSING | TERMINAL)) != 0) | (kinds == EXTEND)
    stops = np.flatnonzero(passes[:-1] & ~passes[1:]) + 1  # where what may stand after a terminal ends
    ending = stops[np.unique(np.searchsorted(stops, np.flatnonzero(plain), "right"))]
    ending = ending[space[ending]]
    others = np.flatnonzero(terminal & ~plain) + 1
    breaks = np.flatnonzero((classes & BREAK) != 0)

    places = np.concatenate([np.union1d(ending, others), breaks])
    is_break = np.arange(places.size) >= places.size - breaks.size
    order = np.argsort(places, kind="stable")  # a sentence ends before the line does
    places, is_break = places[order], is_break[order]
    letters = _below((kinds == LETTER) | (kinds == IDEOGRAPH), np.concatenate([[0], places[:-1]]), places)
    sentence = (letters > 0) & ~is_break
    resets = np.where(sentence | is_break, places, 0)
    since = np.concatenate([[0], np.maximum.accumulate(resets)[:-1]])[sentence]
    visible = np.flatnonzero(~space & (kinds != IGNORED))
    return visible[np.searchsorted(visible, since)].astype(np.int64), places[sentence].astype(np.int64)


def _below(mask: Mask, starts: Places, ends: Places) -> npt.NDArray[np.int32]:
    """How many are true in each range."""
    counts = np.concatenate([np.zeros(1, np.int32), np.cumsum(mask, dtype=np.int32)])
    return np.asarray(counts[ends] - counts[starts], np.int32)


def _hashes(tokens: Tokens, texts: Places, starts: Places, ends: Places) -> npt.NDArray[np.uint64]:
    """A polynomial over the tokens of each sentence; all places from the start of the first text."""
    places = tokens.starts + np.repeat(texts, np.diff(tokens.offsets))
    first, last = np.searchsorted(places, starts), np.searchsorted(places, ends)
    within = np.arange(places.size)
    within -= np.concatenate([[0], first])[np.searchsorted(first, within, "right")]
    powers = np.multiply.accumulate(np.full(max(places.size, 1), _FACTOR))
    terms = np.append(tokens.hashes * powers[within], np.uint64(0))
    edges = np.stack([first, last], axis=1).ravel()
    return np.add.reduceat(terms, edges)[::2] if edges.size else np.zeros(0, np.uint64)


def span_hashes(sentences: Sentences, span: int) -> npt.NDArray[np.uint64]:
    """For each sentence the hash of the `span` sentences from it on; 0 where the text ends before."""
    return window_hashes(Tokens(sentences.offsets, sentences.starts, sentences.ends, sentences.hashes), span)


def cut_spans(sentences: Sentences, marks: Mask, span: int) -> Ranges:
    """The ranges that take out the marked spans, with the white space on one side: lines stay lines."""
    goes = np.zeros(marks.size, np.bool_)
    for k in range(span):
        goes[k:] |= marks[: marks.size - k]
    text = np.repeat(np.arange(sentences.offsets.size - 1), np.diff(sentences.offsets))
    glued = goes.copy()  # goes on with what goes before it
    glued[:1] = False
    glued[1:] &= goes[:-1] & (text[1:] == text[:-1]) & (sentences.before[1:] == sentences.ends[:-1])
    first = np.flatnonzero(goes & ~glued)
    last = np.flatnonzero(goes & ~np.append(glued[1:], False))
    opens, closes = sentences.opens[first], sentences.last[last]
    whole = closes & (sentences.before[first] == 0)
    starts = np.where(opens & ~closes, sentences.starts[first], sentences.before[first])
    ends = np.where((opens & ~closes) | whole, sentences.after[last], sentences.ends[last])
    counts = np.bincount(text[first], minlength=sentences.offsets.size - 1)
    return Ranges(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)]), starts, ends)
