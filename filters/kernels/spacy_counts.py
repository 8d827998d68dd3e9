"""What datatrove counts over spaCy's tokens (`pipeline.filters.kernels.spacy_tokens`), in one pass over a batch."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.filters.kernels.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS, Room, in_room, ngram_characters
from pipeline.filters.kernels.spacy_characters import LETTER, MARK, PUNCTUATION, SPACE, TERMINAL
from pipeline.filters.kernels.spacy_tokens import divide, lookup_tables
from pipeline.filters.kernels.unicode import HASH_SEED, add_hash, decode, mix
from pipeline.kernels import inner, kernel

_LINE_FEED, _SPACE = 0x0A, 0x20

_Counts = npt.NDArray[np.int64]


class TokenStatistics(NamedTuple):
    """Counts of a batch: one int64 per document; `top` and `duplicate` have one column for each n."""

    tokens: _Counts
    words: _Counts  # tokens that are not punctuation throughout
    word_characters: _Counts  # code points in words
    alphabetic: _Counts  # tokens with a letter
    stop_words: _Counts  # how many of STOP_WORDS are tokens
    sentences: _Counts  # per line, as the sentencizer divides it
    top: _Counts
    duplicate: _Counts


def token_statistics(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> TokenStatistics:
    """Count the documents `data[starts[i]:ends[i]]`, UTF-8."""
    n = len(starts)
    columns = {"top": len(TOP_NGRAMS), "duplicate": len(DUPLICATE_NGRAMS)}
    shapes = [(n, columns[name]) if name in columns else (n,) for name in TokenStatistics._fields]
    out = TokenStatistics(*(np.zeros(shape, np.int64) for shape in shapes))
    longest = int((ends - starts).max(initial=0))
    codes, bounds, tail = np.empty(longest, np.int32), np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    tables = lookup_tables()

    def count(document: int, room: Room) -> Any:
        return _count(data, starts, ends, document, tables, codes, bounds, tail, room, out)

    in_room(count, n)
    return out


@kernel
def _count(
    data: Any, starts: Any, ends: Any, begin: Any, tables: Any, codes: Any, bounds: Any, tail: Any, room: Any, out: Any
) -> Any:
    """Count from document `begin` on; `codes`, `bounds` and `tail` have room for the longest document."""
    for document in range(begin, len(starts)):
        characters = 0
        i = starts[document]
        while i < ends[document]:
            codes[characters], length = decode(data, i, ends[document])
            characters += 1
            i += length
        tokens = _tokens(codes, characters, tables, bounds, tail, room, out, document)
        if tokens > len(room.ids):
            return document, tokens
        ngram_characters(tokens, room, out.top, out.duplicate, document)
    return len(starts), 0


@inner
def _tokens(
    codes: Any, characters: Any, tables: Any, bounds: Any, tail: Any, room: Any, out: Any, document: Any
) -> Any:
    """Write `room.hashes[t]`, `room.lengths[t]` (characters in tokens 0 … t) and the counts. Returns the number of tokens."""
    hashes, lengths = room.hashes, room.lengths
    classes = tables.classes
    tokens, total, words, word_characters, alphabetic, stop_word_bits = 0, 0, 0, 0, 0, 0
    sentences = 0
    in_sentence, after_terminal = False, False  # a sentence is open in this line; one of its tokens was a terminal
    i = 0
    while i < characters:
        gap_start = i
        while i < characters and classes[codes[i]] & SPACE:
            if codes[i] == _LINE_FEED:
                sentences += in_sentence
                in_sentence, after_terminal = False, False
                gap_start = i + 1
            i += 1
        if i == characters:
            break
        # For the sentencizer, white space of more than one space is a token.
        if in_sentence and after_terminal and (i - gap_start > 1 or codes[gap_start] != _SPACE):
            sentences += 1
            after_terminal = False
        start = i
        while i < characters and not classes[codes[i]] & SPACE:
            i += 1
        n = divide(codes, start, i, tables, bounds, tail)
        token_start = start
        for t in range(n):
            end = bounds[t]
            is_word, has_letter, is_punctuation = False, False, True
            value = HASH_SEED
            for k in range(token_start, end):
                cls = classes[codes[k]]
                is_word |= cls & MARK == 0
                has_letter |= cls & LETTER != 0
                is_punctuation &= cls & PUNCTUATION != 0
                value = add_hash(value, codes[k])
            value = mix(value)
            length = end - token_start
            total += length
            if tokens < len(hashes):
                hashes[tokens] = value
                lengths[tokens] = total
            tokens += 1
            words += is_word
            word_characters += length * is_word
            alphabetic += has_letter
            if length <= 4:
                for k in range(len(tables.stops)):
                    if tables.stops[k] == value:
                        stop_word_bits |= 1 << k
            terminal = length == 1 and classes[codes[token_start]] & TERMINAL != 0
            if terminal:
                after_terminal = True
            elif after_terminal and not is_punctuation:
                sentences += 1
                after_terminal = False
            in_sentence = True
            token_start = end
    out.tokens[document] = tokens
    out.words[document] = words
    out.word_characters[document] = word_characters
    out.alphabetic[document] = alphabetic
    stop_words = 0
    for k in range(len(tables.stops)):
        stop_words += (stop_word_bits >> k) & 1
    out.stop_words[document] = stop_words
    out.sentences[document] = sentences + in_sentence
    return tokens
