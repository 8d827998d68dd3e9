"""Words: one pass over the bytes that finds and counts the tokens of each document.

What a token is (after Unicode's UAX #29, without a dictionary):

- A **word** is a run of letters and digits ("mp3"). Some symbols join two of them into one word:
  `'` `’` `.` `·` between letters (don't, e.g, example.com, col·legi), `'` `’` `.` `,` between digits (1,000.5),
  `_` between either. A hyphen or a slash divides words.
- In scripts written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar, …) each letter is a word.
- Any other character that is not white space is a **symbol**, one token each; a run of full stops ("...") or
  of hyphens ("---") is one token.
- Combining marks and format characters belong to the token they follow. Control characters are ignored.

Tokens are words and symbols, in order; n-grams run over tokens. Case and spelling are kept. Lengths are in code points.
datatrove computes the same statistics over spaCy's English tokens, which differ in a few ways: spaCy divides "don't" into
"do" and "n't", keeps addresses ("https://…", "a@b.org") and unspaced Han in one piece, and has a list of abbreviations.

A **sentence** is text within a line that contains a letter and runs up to a sentence terminal (. ! ? and those of other
scripts). `.`, `!` and `?` must be followed by white space or the end, possibly after closing quotes or brackets; other
terminals need not. Text without a terminal (a heading, a menu) is not a sentence; nor is the "1.2." of a section number.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.filters.kernels.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS, Room, in_room, ngram_characters
from pipeline.filters.kernels.unicode import (
    BREAK,
    CLOSING,
    DIGIT,
    EXTEND,
    HASH_SEED,
    IDEOGRAPH,
    KIND,
    LETTER,
    NUMBER,
    SPACE,
    SYMBOL,
    TERMINAL,
    UPPERCASE,
    add_hash,
    character_classes,
    decode,
    mix,
)
from pipeline.kernels import inner, kernel

# Gopher (Rae et al. 2021, appendix A1.1): "at least two of the following English words".
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
STOP_CODES = np.array([int.from_bytes(word.encode(), "big") for word in STOP_WORDS], dtype=np.int64)
_LONGEST_STOP_WORD = max(map(len, STOP_WORDS))

_Counts = npt.NDArray[np.int64]


class WordStatistics(NamedTuple):
    """Counts of a batch: one int64 per document; `top` and `duplicate` have one column for each n."""

    characters: _Counts  # code points
    spaces: _Counts  # white space characters, line breaks included
    breaks: _Counts  # line break characters
    letters: _Counts
    uppercase: _Counts
    digits: _Counts
    tokens: _Counts  # words and symbols
    words: _Counts
    word_characters: _Counts  # code points in words
    alphabetic: _Counts  # words with a letter
    stop_words: _Counts  # how many of STOP_WORDS occur, in any case
    hashes: _Counts  # "#"
    ellipses: _Counts  # "..." and "…"
    curly_brackets: _Counts  # "{"
    sentences: _Counts
    top: _Counts  # characters of the most frequent n-gram, n in TOP_NGRAMS
    duplicate: _Counts  # characters in repeated n-grams, n in DUPLICATE_NGRAMS


COUNTS = len(WordStatistics._fields) - 2
(
    _CHARACTERS, _SPACES, _BREAKS, _LETTERS, _UPPERCASE, _DIGITS, _TOKENS, _WORDS, _WORD_CHARACTERS, _ALPHABETIC,
    _STOP_WORDS, _HASHES, _ELLIPSES, _CURLY_BRACKETS, _SENTENCES,
) = range(COUNTS)  # fmt: skip


def word_statistics(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> WordStatistics:
    """Count the documents `data[starts[i]:ends[i]]`, UTF-8. Memory: about 60 bytes per token of the longest document."""
    n = len(starts)
    counts = np.zeros((COUNTS, n), np.int64)
    top, duplicate = np.zeros((n, len(TOP_NGRAMS)), np.int64), np.zeros((n, len(DUPLICATE_NGRAMS)), np.int64)
    classes = character_classes()

    def count(document: int, room: Room) -> Any:
        return _count(data, starts, ends, document, classes, STOP_CODES, room, counts, top, duplicate)

    in_room(count, n)
    return WordStatistics._make([*counts, top, duplicate])


@kernel
def _count(
    data: Any,
    starts: Any,
    ends: Any,
    begin: Any,
    classes: Any,
    stops: Any,
    room: Any,
    counts: Any,
    top: Any,
    duplicate: Any,
) -> Any:
    """Count from document `begin` on, until one has more tokens than `room`; returns that document and its tokens."""
    for document in range(begin, len(starts)):
        tokens = count_tokens(data, starts[document], ends[document], classes, stops, room, counts, document)
        if tokens > len(room.ids):
            return document, tokens
        ngram_characters(tokens, room, top, duplicate, document)
    return len(starts), 0


_FULL_STOP, _HYPHEN, _COMMA, _UNDERSCORE, _APOSTROPHE, _QUOTE, _MIDDLE_DOT = 0x2E, 0x2D, 0x2C, 0x5F, 0x27, 0x2019, 0xB7
_EXCLAMATION, _QUESTION, _HASH, _CURLY, _ELLIPSIS = 0x21, 0x3F, 0x23, 0x7B, 0x2026


@inner
def joins(code: Any, before: Any, after: Any) -> Any:
    """Whether the symbol `code` joins two characters of these kinds into one word."""
    if before == LETTER and after == LETTER:
        return code in (_FULL_STOP, _APOSTROPHE, _QUOTE, _UNDERSCORE, _MIDDLE_DOT)
    if before == NUMBER and after == NUMBER:
        return code in (_FULL_STOP, _APOSTROPHE, _QUOTE, _UNDERSCORE, _COMMA)
    return code == _UNDERSCORE and after in (LETTER, NUMBER)


_NONE, _WORD, _LONE, _MARK = 0, 1, 2, 3  # the open token: none, a word, a one-letter word, a symbol


@inner
def count_tokens(
    data: Any, start: Any, end: Any, classes: Any, stops: Any, room: Any, counts: Any, document: Any
) -> Any:
    """Write `room.hashes[t]`, `room.lengths[t]` (characters in tokens 0 … t) and the document's column of `counts`.

    Returns the number of tokens. If there are more than `room` holds, call again with more room.
    """
    hashes, lengths = room.hashes, room.lengths
    tokens, total = 0, 0
    characters, spaces, breaks, letters, uppercase, digits = 0, 0, 0, 0, 0, 0
    words, word_characters, alphabetic, stop_word_bits = 0, 0, 0, 0
    hash_signs, ellipses, curly_brackets, sentences = 0, 0, 0, 0
    token = _NONE
    opened, has_letter = start, False
    symbol: Any = 0
    last: Any = 0  # the kind of the last letter or number
    length = 0
    value = HASH_SEED
    dots = 0  # full stops in a row, for "..."
    sentence_start, sentence_ends = 0, False  # `alphabetic` where the open sentence began; a terminal was just read
    code: Any
    i = start
    while i <= end:
        if i < end:
            code, size = np.int64(data[i]), 1
            if code >= 0x80:
                code, size = decode(data, i, end)
            characters += 1
        else:
            code, size = 0x0A, 1  # a final line break, not counted, closes the open token
        cls = classes[code]
        kind = cls & KIND
        letters += kind in (LETTER, IDEOGRAPH)
        uppercase += (cls & UPPERCASE) != 0
        digits += (cls & DIGIT) != 0

        joined = (
            (token == _WORD and kind in (LETTER, NUMBER))
            or (kind == EXTEND and token != _NONE)
            or (token == _MARK and code == symbol and code in (_FULL_STOP, _HYPHEN))
        )
        if not joined and token == _WORD and kind == SYMBOL and i + size < end:
            following, _ = decode(data, i + size, end)
            joined = joins(code, last, classes[following] & KIND)

        if not joined and token != _NONE:  # close the token
            total += length
            if tokens < len(hashes):
                odd = mix(value) | np.uint64(1)  # words are even, symbols odd
                hashes[tokens] = odd if token == _MARK else odd ^ np.uint64(1) or np.uint64(2)
                lengths[tokens] = total
            tokens += 1
            if token != _MARK:
                words += 1
                word_characters += length
                alphabetic += has_letter
                if i - opened <= _LONGEST_STOP_WORD:
                    word: Any = 0
                    for k in range(opened, i):
                        word = word << 8 | np.int64(data[k] | 32)  # in lower case: all are ASCII letters
                    for k in range(len(stops)):
                        if stops[k] == word:
                            stop_word_bits |= 1 << k
            token = _NONE
        if not joined and kind <= IDEOGRAPH:  # open the next
            token = _MARK if kind == SYMBOL else _LONE if kind == IDEOGRAPH else _WORD
            opened, symbol, has_letter = i, code, False
            length = 0
            value = HASH_SEED
        if token != _NONE:
            length += 1
            value = add_hash(value, code)
        if kind in (LETTER, NUMBER, IDEOGRAPH):
            last = kind
            has_letter |= kind != NUMBER

        if sentence_ends:
            if kind == SPACE:
                sentences += 1
                sentence_start = alphabetic
                sentence_ends = False
            elif not (cls & (CLOSING | TERMINAL)) and kind != EXTEND:
                sentence_ends = False
        if kind == SYMBOL:
            if cls & TERMINAL and alphabetic > sentence_start:
                if code in (_FULL_STOP, _EXCLAMATION, _QUESTION):
                    sentence_ends = True
                else:
                    sentences += 1
                    sentence_start = alphabetic
                    sentence_ends = False
            hash_signs += code == _HASH
            ellipses += code == _ELLIPSIS
            curly_brackets += code == _CURLY
            dots = dots + 1 if code == _FULL_STOP else 0
            if dots == 3:
                ellipses += 1
                dots = 0
        else:
            dots = 0
            if i < end and kind == SPACE:
                spaces += 1
                if cls & BREAK:
                    breaks += 1
                    sentence_start = alphabetic
        i += size

    stop_words = 0
    for k in range(len(stops)):
        stop_words += (stop_word_bits >> k) & 1
    counts[_CHARACTERS, document] = characters
    counts[_SPACES, document] = spaces
    counts[_BREAKS, document] = breaks
    counts[_LETTERS, document] = letters
    counts[_UPPERCASE, document] = uppercase
    counts[_DIGITS, document] = digits
    counts[_TOKENS, document] = tokens
    counts[_WORDS, document] = words
    counts[_WORD_CHARACTERS, document] = word_characters
    counts[_ALPHABETIC, document] = alphabetic
    counts[_STOP_WORDS, document] = stop_words
    counts[_HASHES, document] = hash_signs
    counts[_ELLIPSES, document] = ellipses
    counts[_CURLY_BRACKETS, document] = curly_brackets
    counts[_SENTENCES, document] = sentences
    return tokens
