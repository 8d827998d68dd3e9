"""Words as dolma, DCLM and RedPajama count them, lines between line feeds, and n-grams in every variant.

Published filters that share a name count different things (Gopher's "words" are tokens of spaCy, pieces between white
space, or words of UAX #29). This module counts what `pipeline.filters.families.dolma`, `dclm` and `redpajama` need beyond the
other kernels. It runs only if one of their signals is measured.

- A **piece** is a run of characters between white space (Python's `str.split`).
- A **raw line** is the text between line feeds, as it is; blank ones count. **Stripped** lines and paragraphs (divided at
  two line feeds) have no white space at their ends, and blank ones do not count.
"""

import string
import unicodedata
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import regex

from pipeline.filters.kernels import words
from pipeline.filters.kernels.raw_lines import count_lines, count_paragraphs
from pipeline.filters.kernels.repetition import Room, in_room, number, number_longer, span
from pipeline.filters.kernels.unicode import (
    HASH_SEED,
    IDEOGRAPH,
    KIND,
    LETTER,
    NUMBER,
    SPACE,
    add_hash,
    character_classes,
    decode,
    every_character,
    mix,
)
from pipeline.kernels import inner, kernel

LIBRARIES = ("regex", "unicode")  # their tables decide the words

NGRAMS = range(2, 11)
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
LONGEST_PERIOD = 13
"""Tokens; dolma and OLMo 2 look for consecutive repetitions of sequences of 1 to 13 tokens."""

_Counts = npt.NDArray[np.int64]


class NgramStatistics(NamedTuple):
    """Characters, with one row per document and one column for each n in NGRAMS."""

    top_first: _Counts  # of the most frequent n-gram (the first of ties), times its occurrences
    top_longest: _Counts  # the same, with the longest of ties; 0 if none repeats
    covered: _Counts  # of tokens that repeated n-grams cover, each counted once
    repeated: _Counts  # of all occurrences of repeated n-grams, overlapping or not
    all: _Counts  # of all n-grams


class PieceStatistics(NamedTuple):
    """Counts of pieces, raw lines and stripped lines: one value per document."""

    pieces: _Counts
    characters: _Counts  # in pieces
    median_twice: _Counts  # twice the median length of a piece
    with_symbol: _Counts  # pieces with "#" or "…"
    alphabetic: _Counts  # pieces with a letter
    worded: _Counts  # pieces that begin with a letter or number
    stop_words: _Counts  # pieces that are one of Gopher's eight, in lower case
    stop_words_any_case: _Counts
    runs: _Counts  # runs of letters, digits and _, and runs of other signs
    latin_runs: _Counts  # … with a letter from A to Z
    capital_runs: _Counts  # … in upper case: with such letters, and none in lower or title case
    clauses: _Counts  # texts between runs of . ! ? that contain a letter, a digit or _
    distinct: _Counts  # different pieces
    raw_lines: _Counts
    raw_bullets: _Counts  # raw lines that begin with * or -
    raw_ellipses: _Counts  # raw lines that end with …
    raw_copies: _Counts  # raw lines that occur more than once, including the first occurrence
    raw_copy_characters: _Counts
    filled_lines: _Counts  # raw lines that are not empty
    filled_copies: _Counts  # … that are copies of an earlier one
    filled_copy_characters: _Counts
    visible_copy_characters: _Counts  # … of those that are not only white space
    raw_terminals: _Counts  # raw lines, not blank, that end in a sentence terminal
    raw_short: _Counts  # raw lines, not blank, of at most SHORT_LINE characters
    unclosed: _Counts  # 1 where the text does not end in a line feed
    lines: _Counts  # stripped
    line_characters: _Counts
    bullets: _Counts  # stripped lines that begin with ● • * -
    few_bullets: _Counts  # stripped lines that begin with • or -
    plain_ellipses: _Counts  # stripped lines that end with "..." or "…"
    ellipses: _Counts  # stripped lines that end with "...", ". . ." or "…"
    copies: _Counts  # stripped lines that occur more than once, including the first occurrence
    copy_characters: _Counts
    paragraphs: _Counts
    paragraph_characters: _Counts
    raw_paragraphs: _Counts  # texts between two or more line feeds, with the document stripped as a whole
    raw_paragraph_copies: _Counts  # … that are copies of an earlier one
    raw_paragraph_copy_characters: _Counts
    paragraph_copies: _Counts
    paragraph_copy_characters: _Counts


class Statistics(NamedTuple):
    """All statistics of a batch."""

    counts: PieceStatistics
    ngrams: NgramStatistics
    entropy: npt.NDArray[np.float64]  # of the pieces, in nats


def _statistics(n: int) -> Statistics:
    return Statistics(
        PieceStatistics(*(np.zeros(n, np.int64) for _ in PieceStatistics._fields)), _ngrams(n), np.zeros(n)
    )


def _ngrams(n: int) -> NgramStatistics:
    return NgramStatistics(*(np.zeros((n, len(NGRAMS)), np.int64) for _ in NgramStatistics._fields))


def piece_statistics(data: Any, starts: Any, ends: Any, fold: bool = False) -> Statistics:
    """Count pieces, lines and the n-grams of pieces of the documents `data[starts[i]:ends[i]]`.

    fold: count as RedPajama does, in lower case and without ASCII punctuation, with combining marks counted separately;
    pieces that become empty do not count. The texts must come from `spelt`.
    """
    out = _statistics(len(starts))
    tables = character_classes(), _cases(), _decomposed_lengths() if fold else np.zeros(1, np.int64), words.STOP_CODES

    def count(document: int, room: Room) -> Any:
        histogram = np.zeros(1 << 12, np.int64)
        return _count(data, starts, ends, document, tables, fold, room, histogram, out.counts, out.ngrams, out.entropy)

    in_room(count, len(starts))
    return out


def spelt(texts: pa.Array) -> pa.Array:
    """Prepare texts for `fold`: in Unicode NFC, so that equal words have equal code points; and lower-cased here if they have
    letters whose lower case depends on their neighbours (Σ) or is two letters (İ). Only the few texts that need it are changed,
    one at a time in Python.
    """
    non_ascii = np.flatnonzero(pc.invert(pc.fill_null(pc.string_is_ascii(texts), True)).to_numpy(zero_copy_only=False))
    changed = {}
    for row in non_ascii.tolist():
        text = texts[row].as_py()
        if "Σ" in text or "İ" in text or not unicodedata.is_normalized("NFC", text):
            changed[row] = unicodedata.normalize("NFC", text.translate(_NO_PUNCTUATION).lower())
    if not changed:
        return texts
    mask = np.zeros(len(texts), np.bool_)
    mask[list(changed)] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array(list(changed.values()), texts.type))


class WordNgrams(NamedTuple):
    """Statistics of words as `pipeline.filters.kernels.words` defines them."""

    characters: _Counts  # in words
    ngrams: NgramStatistics  # of words, symbols left out
    repeats: _Counts  # the most consecutive repetitions of a sequence of 1 to LONGEST_PERIOD tokens (words and symbols)


def word_ngrams(data: Any, starts: Any, ends: Any) -> WordNgrams:
    """Count the n-grams of words of the documents `data[starts[i]:ends[i]]`."""
    n = len(starts)
    characters, repeats, ngrams = np.zeros(n, np.int64), np.zeros(n, np.int64), _ngrams(n)
    counts, classes = np.zeros((words.COUNTS, 1), np.int64), character_classes()

    def count(document: int, room: Room) -> Any:
        return _count_words(
            data, starts, ends, document, classes, words.STOP_CODES, room, counts, characters, repeats, ngrams
        )

    in_room(count, n)
    return WordNgrams(characters, ngrams, repeats)


_UPPER, _SMALL, _CODE = 1 << 21, 1 << 22, (1 << 21) - 1


@cache
def _cases() -> npt.NDArray[np.int32]:
    """The lower case of each code point (if it is one code point), and bits for upper case and for lower or title case."""
    table = np.arange(0x110000, dtype=np.int32)
    all_characters = every_character()
    for letter in regex.findall(r"[\p{Uppercase}\p{Lt}]", all_characters):
        if len(letter.lower()) == 1:
            table[ord(letter)] = ord(letter.lower())
    for pattern, bit in ((r"\p{Uppercase}", _UPPER), (r"[\p{Lowercase}\p{Lt}]", _SMALL)):
        table[[ord(letter) for letter in regex.findall(pattern, all_characters)]] |= bit
    table.flags.writeable = False
    return table


@cache
def _decomposed_lengths() -> npt.NDArray[np.int64]:
    """The number of code points of each code point in Unicode NFD."""
    table = np.ones(0x110000, np.int64)
    for first, last in ((0xC0, 0x3100), (0xAC00, 0xD7A4), (0xFB00, 0xFE00), (0x11000, 0x12000), (0x1D100, 0x1D200)):
        table[first:last] = [len(unicodedata.normalize("NFD", chr(code))) for code in range(first, last)]
    return table


@inner
def _most(data: Any, start: Any, end: Any) -> Any:
    """An upper bound on pieces, lines and paragraphs, from the number of bytes that are, or may begin, white space."""
    bound = 2
    for i in range(start, end):
        bound += data[i] <= 0x20 or data[i] == 0xC2 or 0xE1 <= data[i] <= 0xE3
    return bound


@kernel
def _count(
    data: Any, starts: Any, ends: Any, begin: Any, tables: Any, fold: Any, room: Any, histogram: Any,
    out: Any, ngrams: Any, entropies: Any,
) -> Any:  # fmt: skip
    """Count from document `begin` on. `tables`: classes, cases and NFD lengths of characters, and the stop words."""
    classes, _, _, _ = tables
    for document in range(begin, len(starts)):
        start, end = starts[document], ends[document]
        bound = _most(data, start, end)
        if bound > len(room.ids):
            return document, bound
        n = _pieces(data, start, end, tables, fold, room, histogram, out, document)
        distinct = number(n, room)
        out.distinct[document] = distinct
        entropy = 0.0
        for k in range(distinct):
            share = room.counts[k] / n
            entropy -= share * np.log(share)
        entropies[document] = entropy
        _shares(n, room, ngrams, document)
        if not fold:
            count_lines(data, start, end, classes, room, out, document)
            count_paragraphs(data, start, end, classes, room, out, document)
    return len(starts), 0


@inner
def _pieces(
    data: Any, start: Any, end: Any, tables: Any, fold: Any, room: Any, histogram: Any, out: Any, document: Any
) -> Any:
    """Write a hash and the characters so far for each piece, and the counts; returns the number of pieces."""
    classes, lower, sizes, stops = tables
    hashes, lengths = room.hashes, room.lengths
    n, total, length, value = 0, 0, 0, HASH_SEED
    has_symbol, has_letter, is_worded = False, False, False
    with_symbol, alphabetic_pieces, worded_pieces, stop_words, stop_words_any_case = 0, 0, 0, 0, 0
    run_kind, has_latin, has_upper, has_small, clause = 0, False, False, False, False  # run: 1 of letters, 2 of signs
    runs, latin_runs, capital_runs, clauses = 0, 0, 0, 0
    code_raw, bytes_read = 0, 0
    longest = 0
    code: Any
    code_any: Any = 0
    i = start
    while i <= end:
        code, size = 0x20, 1
        if i < end:
            code, size = np.int64(data[i]), 1
            if code >= 0x80:
                code, size = decode(data, i, end)
        cls = classes[code]
        kind = cls & KIND
        space = kind == SPACE or 0x1C <= code <= 0x1F
        folded = np.int64(lower[code] & _CODE)
        is_letter = kind in (LETTER, IDEOGRAPH)
        in_run = 0 if space else 1 if is_letter or kind == NUMBER or code == 0x5F else 2
        if in_run != run_kind:
            runs += run_kind != 0
            latin_runs += has_latin
            capital_runs += has_upper and not has_small
            run_kind, has_latin, has_upper, has_small = in_run, False, False, False
        has_latin |= 0x61 <= (code | 0x20) <= 0x7A
        has_upper |= lower[code] & _UPPER != 0
        has_small |= lower[code] & _SMALL != 0
        clause |= in_run == 1
        if clause and (code in (0x21, 0x2E, 0x3F) or i == end):
            clauses += 1
            clause = False
        if space:
            if length:
                total += length
                hashes[n] = mix(value)
                lengths[n] = total
                n += 1
                histogram[min(length, len(histogram) - 1)] += 1
                longest = max(longest, min(length, len(histogram) - 1))
                with_symbol += has_symbol
                alphabetic_pieces += has_letter
                worded_pieces += is_worded
                if bytes_read <= 4:
                    for k in range(len(stops)):
                        stop_words += stops[k] == code_raw
                        stop_words_any_case += stops[k] == code_any
            length, value, code_any, code_raw, bytes_read = 0, HASH_SEED, 0, 0, 0
            has_symbol, has_letter, is_worded = False, False, False
        elif not (fold and code < 0x80 and kind == 0):
            if length == 0:
                is_worded = is_letter or kind == NUMBER
            has_symbol |= code in (0x23, 0x2026)
            has_letter |= is_letter
            length += sizes[folded] if fold else 1
            bytes_read += size
            code_raw = (code_raw << 8 | code) & 0xFFFFFFFFFF
            code_any = (code_any << 8 | folded) & 0xFFFFFFFFFF
            value = add_hash(value, folded if fold else code)
        i += size
    # The median of n sorted lengths: the mean of those at (n - 1) // 2 and n // 2.
    middle, pieces_so_far, median_twice = n // 2, 0, 0
    for size in range(1, longest + 1):
        before = pieces_so_far
        pieces_so_far += histogram[size]
        histogram[size] = 0
        median_twice += (
            size * ((before <= middle < pieces_so_far) + (before <= (n - 1) // 2 < pieces_so_far)) if n else 0
        )
    out.pieces[document] = n
    out.characters[document] = total
    out.median_twice[document] = median_twice
    out.with_symbol[document] = with_symbol
    out.alphabetic[document] = alphabetic_pieces
    out.worded[document] = worded_pieces
    out.stop_words[document] = stop_words
    out.stop_words_any_case[document] = stop_words_any_case
    out.runs[document] = runs
    out.latin_runs[document] = latin_runs
    out.capital_runs[document] = capital_runs
    out.clauses[document] = clauses
    return n


@inner
def _shares(n: Any, room: Any, out: Any, document: Any) -> None:
    """Write every variant of n-gram characters, n = 2 … 10; `room` has the tokens already numbered. See `repetition`."""
    _, ends, positions, _, _, ids, counts, first = room
    for i in range(n):
        positions[i] = i
    m = n
    for g in range(2, 11):
        m, distinct = number_longer(m, room)
        column = g - 2
        position, occurrences, longest = 0, 1, 0
        for k in range(distinct):
            if counts[k] > occurrences:
                position, occurrences, longest = positions[first[k]], counts[k], 0
            if counts[k] == occurrences and occurrences > 1:
                longest = max(longest, span(ends, positions[first[k]], g))
        out.top_first[document, column] = occurrences * span(ends, position, g) if n >= g else 0
        out.top_longest[document, column] = occurrences * longest
        covered, free, repeated = 0, 0, 0
        for j in range(m):
            if counts[ids[j]] > 1:
                start = positions[j]
                repeated += span(ends, start, g)
                begin = max(start, free)
                covered += ends[start + g - 1] - (ends[begin - 1] if begin > 0 else 0)
                free = start + g
        out.covered[document, column] = covered
        out.repeated[document, column] = repeated
        all_characters = 0
        for i in range(n - g + 1):
            all_characters += span(ends, i, g)
        out.all[document, column] = all_characters


@kernel
def _count_words(
    data: Any, starts: Any, ends: Any, begin: Any, classes: Any, stops: Any, room: Any,
    counts: Any, characters: Any, repeats: Any, ngrams: Any,
) -> Any:  # fmt: skip
    """Count from document `begin` on; `counts` has room for the statistics of one document."""
    hashes, lengths = room.hashes, room.lengths
    for document in range(begin, len(starts)):
        tokens = words.count_tokens(data, starts[document], ends[document], classes, stops, room, counts, 0)
        if tokens > len(hashes):
            return document, tokens
        repeats[document] = _most_repeats(hashes, tokens)
        n, total, before = 0, 0, 0
        for t in range(tokens):
            size = lengths[t] - before
            before = lengths[t]
            if hashes[t] & np.uint64(1) == 0:  # a word
                total += size
                hashes[n] = hashes[t]
                lengths[n] = total
                n += 1
        characters[document] = total
        number(n, room)
        _shares(n, room, ngrams, document)
    return len(starts), 0


@inner
def _most_repeats(hashes: Any, n: Any) -> Any:
    """The most consecutive repetitions of a sequence of 1 to LONGEST_PERIOD tokens; 1 if nothing repeats."""
    longest = min(n, 1)
    for period in range(1, LONGEST_PERIOD + 1):
        run = 0
        for i in range(period, n):
            run = run + 1 if hashes[i] == hashes[i - period] else 0
            longest = max(longest, run // period + 1)
    return longest
