"""Tokens as spaCy 3.8's English tokenizer divides them; datatrove counts words, n-grams and sentences over these.

spaCy takes the pieces between white space and strips signs from both ends, one by one (prefixes and suffixes), until the
rest is a special case (`spacy_exceptions`) or nothing more can be stripped. The rest stays whole if it looks like a web
address; otherwise it is divided at the signs within it (infixes). Finally, adjacent tokens that form a special case, such as
a smiley, are joined again. The rules are those of spacy/tokenizer.pyx and spacy/lang/punctuation.py (MIT licence), in their
order. One rule is not followed: that an address of four numbers and a path is one token.

This is the English tokenizer for all languages, which is the default of datatrove's filters.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import regex

from pipeline.filters.kernels.ascii import (
    APOSTROPHE,
    AT,
    CAPITAL_A,
    CAPITAL_C,
    CAPITAL_S,
    CAPITAL_U,
    CARET,
    COLON,
    COMMA,
    DOLLAR,
    EQUALS,
    FULL_STOP,
    GREATER,
    HASH,
    HYPHEN,
    LESS,
    PLUS,
    QUESTION,
    SLASH,
    SMALL_S,
    STAR,
    TILDE,
    UNDERSCORE,
    is_digit,
)
from pipeline.filters.kernels.spacy_characters import (
    ALPHA,
    CURRENCY,
    DOTTED,
    HOST,
    INFIX,
    LOWER,
    PREFIX,
    QUOTE,
    SUFFIX,
    UNITS,
    UPPER,
    WORD,
    character_classes,
)
from pipeline.filters.kernels.spacy_exceptions import special_cases
from pipeline.filters.kernels.unicode import HASH_SEED, add_hash, find_slot, mix, table_size
from pipeline.filters.kernels.words import STOP_WORDS
from pipeline.kernels import inner, kernel

LIBRARIES = ("regex",)  # its tables decide the tokens

_LONGEST_UNIT = 6
_LONGEST_SPECIAL = 12
_LONGEST_DASH = 3  # hyphens
_SEEN, _TAKEN = 16, 32
_QUOTE_MARK, _ELLIPSIS, _EN_DASH, _EM_DASH, _DEGREE = 0x2019, 0x2026, 0x2013, 0x2014, 0xB0
_TEMPERATURES = (0x46, 0x66, 0x43, 0x63, 0x4B, 0x6B)  # F f C c K k, after a degree sign


class Tables(NamedTuple):
    """Lookup tables of the kernel. A special case has two numbers that pack lengths of tokens, 4 bits each."""

    classes: npt.NDArray[np.uint16]  # by code point
    keys: npt.NDArray[np.uint64]  # of special cases
    divided: npt.NDArray[np.int64]  # … the tokens it is divided into
    unjoined: npt.NDArray[np.int64]  # … and the tokens it would be without the special case; 0 if it would be one
    units: npt.NDArray[np.uint64]  # hashes, in an open-addressing table like the keys
    stops: npt.NDArray[np.uint64]  # hashes


@cache
def lookup_tables() -> Tables:
    """The tables, built once per process."""
    cases = special_cases()
    keys = np.zeros(table_size.py_func(len(cases)), np.uint64)
    divided, unjoined = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
    units = np.zeros(table_size.py_func(len(UNITS.split())), np.uint64)
    hashes = np.array([_hashed(unit) for unit in UNITS.split()], np.uint64)
    _insert(units, hashes, np.empty(len(hashes), np.int64))
    stops = np.array([_hashed(word) for word in STOP_WORDS], np.uint64)
    # The kernel itself, with empty tables, says how a case would be divided if it were not special.
    bare = _read_only(Tables(character_classes(), keys.copy(), divided.copy(), unjoined.copy(), units, stops))
    slots = np.empty(len(cases), np.int64)
    _insert(keys, np.array([_hashed(text) for text in cases], np.uint64), slots)
    for slot, (text, lengths) in zip(slots, cases.items(), strict=True):
        divided[slot] = _pack(lengths)
        plain = _lengths(text, bare)
        unjoined[slot] = _pack(plain) if len(plain) > 1 else 0
    return _read_only(Tables(character_classes(), keys, divided, unjoined, units, stops))


def _read_only(tables: Tables) -> Tables:
    for table in tables:
        table.flags.writeable = False  # so that the kernels are compiled once
    return tables


def _hashed(text: str) -> np.uint64:
    codes = np.array([ord(character) for character in text], np.int32)
    return np.uint64(_hash(codes, 0, len(codes)))


def _pack(lengths: tuple[int, ...]) -> int:
    return sum(length << 4 * index for index, length in enumerate(lengths))


def _lengths(text: str, tables: Tables) -> tuple[int, ...]:
    codes = np.array([ord(character) for character in text], np.int32)
    ends, tail = np.zeros(len(text) + 1, np.int32), np.zeros(len(text) + 1, np.int32)
    n = divide(codes, 0, len(codes), tables, ends, tail)
    return tuple(int(length) for length in np.diff(ends[:n], prepend=0))


def tokenize(text: str) -> list[str]:
    """The tokens of a text."""
    tables = lookup_tables()
    tokens = []
    for piece in regex.findall(r"[^\p{White_Space}\x1C-\x1F]+", text):
        start = 0
        for length in _lengths(piece, tables):
            tokens.append(piece[start : start + length])
            start += length
    return tokens


@kernel
def _hash(codes: Any, start: Any, end: Any) -> Any:
    """The hash of codes[start:end]; never 0."""
    value = HASH_SEED
    for i in range(start, end):
        value = add_hash(value, codes[i])
    return mix(value)


@kernel
def _insert(keys: Any, hashes: Any, slots: Any) -> None:
    """Put each hash into the table `keys`; its slot is written to `slots`."""
    for i in range(hashes.size):
        slots[i] = find_slot(keys, keys.size - 1, hashes[i])
        keys[slots[i]] = hashes[i]


@inner
def _special(codes: Any, start: Any, end: Any, tables: Any) -> Any:
    """The slot of a special case; -1 if the text is not a special case."""
    if not 0 < end - start <= _LONGEST_SPECIAL:
        return -1
    slot = find_slot(tables.keys, tables.keys.size - 1, _hash(codes, start, end))
    return slot if tables.keys[slot] != 0 else -1


@inner
def _emit(packed: Any, position: Any, ends: Any, n: Any) -> Any:
    """Write the ends of the tokens of a special case that begins at `position`; returns the number of tokens so far."""
    while packed:
        position += packed & 15
        ends[n] = position
        n += 1
        packed >>= 4
    return n


@inner
def _prefix(codes: Any, start: Any, end: Any, classes: Any) -> Any:
    """The number of characters of the prefix; 0 if there is none."""
    code = codes[start]
    if classes[code] & PREFIX:
        return 1
    if code == PLUS:
        return 0 if start + 1 < end and is_digit(codes[start + 1]) else 1
    if code == FULL_STOP:
        i = start + 1
        while i < end and codes[i] == FULL_STOP:
            i += 1
        return i - start if i - start > 1 else 0
    if code == CAPITAL_U and start + 2 < end and codes[start + 1] == CAPITAL_S and codes[start + 2] == DOLLAR:
        return 3
    return 2 if code in (CAPITAL_A, CAPITAL_C) and start + 1 < end and codes[start + 1] == DOLLAR else 0


@inner
def _suffix(codes: Any, start: Any, end: Any, tables: Any) -> Any:
    """The number of characters of the longest suffix; 0 if there is none."""
    if start >= end:
        return 0
    classes = tables.classes
    code = codes[end - 1]
    size = 1 if classes[code] & SUFFIX else 0
    before = codes[end - 2] if end - start > 1 else 0
    if code == _ELLIPSIS:
        return 2 if before == _ELLIPSIS else 1
    if code == FULL_STOP:
        i = end - 1
        while i > start and codes[i - 1] == FULL_STOP:
            i -= 1
        if i < end - 1:
            return end - i
        if end - start > 1 and classes[before] & DOTTED:
            return 1
        if end - start > 2:
            if classes[before] & UPPER and classes[codes[end - 3]] & UPPER:
                return 1
            if codes[end - 3] == _DEGREE and before in _TEMPERATURES:
                return 1
        return 0
    if code in (SMALL_S, CAPITAL_S) and before in (APOSTROPHE, _QUOTE_MARK):
        return 2
    if is_digit(before) and (code == PLUS or classes[code] & CURRENCY):
        return 1
    for length in range(min(_LONGEST_UNIT, end - start - 1), 0, -1):
        if is_digit(codes[end - length - 1]):
            slot = find_slot(tables.units, tables.units.size - 1, _hash(codes, end - length, end))
            if tables.units[slot] != 0:
                return length
    return size


@inner
def _infix(codes: Any, i: Any, start: Any, end: Any, classes: Any) -> Any:
    """The number of characters of the sign at `i` that divides the piece; 0 if none does."""
    code = codes[i]
    if classes[code] & INFIX:
        return 1
    size = 1
    if code in (FULL_STOP, HYPHEN, _EM_DASH):
        # Full stops divide as a whole; of dashes, more than three never divide, so a long run is not counted at each of them.
        while i + size < end and codes[i + size] == code and (code == FULL_STOP or size <= _LONGEST_DASH):
            size += 1
        if code == FULL_STOP and size > 1:
            return size
    elif code not in (COMMA, _EN_DASH, TILDE, COLON, LESS, GREATER, EQUALS, SLASH, PLUS, STAR, CARET):
        return 0
    if i == start or i + 1 >= end:
        return 0
    before, after = classes[codes[i - 1]], classes[codes[i + 1]]
    digit = is_digit(codes[i - 1])
    if code in (PLUS, HYPHEN, STAR, CARET) and digit and (is_digit(codes[i + 1]) or codes[i + 1] == HYPHEN):
        return 1
    if code == FULL_STOP:
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    if code == COMMA:
        return 1 if before & ALPHA and after & ALPHA else 0
    if not (before & ALPHA or digit) or code in (PLUS, STAR, CARET):
        return 0
    if size > 1 and i + size < end:  # a dash of two or three signs
        return size if classes[codes[i + size]] & ALPHA and size <= (_LONGEST_DASH if code == HYPHEN else 2) else 0
    return 1 if after & ALPHA else 0


@inner
def _is_address(codes: Any, start: Any, end: Any, classes: Any) -> Any:
    """Whether the piece is a web or e-mail address: [scheme://][user@]host.name[:port][/path]."""
    dots = False
    for i in range(start, end):
        dots |= codes[i] == FULL_STOP
    if not dots:
        return False
    if _is_host(codes, start, end, classes):
        return True
    scheme = True
    for i in range(start, end):
        code = codes[i]
        if (
            scheme
            and code == COLON
            and i - start > 1
            and i + 2 < end
            and codes[i + 1] == SLASH
            and codes[i + 2] == SLASH
        ):
            if _is_host(codes, i + 3, end, classes):
                return True
            scheme = False
        scheme = scheme and (classes[code] & WORD != 0 or code in (PLUS, HYPHEN, FULL_STOP))
        if code == AT and i > start and _is_host(codes, i + 1, end, classes):
            return True
    return False


@inner
def _is_host(codes: Any, start: Any, end: Any, classes: Any) -> Any:
    """Whether there is a host with a full stop and a last label in lower case, possibly followed by a port and a path."""
    label, labels, low = start, 0, True
    i = start
    while i < end and codes[i] not in (COLON, SLASH, QUESTION, HASH):
        code = codes[i]
        if code == FULL_STOP:
            if not (1 <= i - label <= 64 and classes[codes[label]] & HOST and classes[codes[i - 1]] & HOST):
                return False
            label, labels, low = i + 1, labels + 1, True
        elif not (classes[code] & (HOST | LOWER) or code in (UNDERSCORE, HYPHEN)):
            return False
        elif not classes[code] & LOWER:
            low = False
        i += 1
    if labels == 0 or not low or not 2 <= i - label <= 63:
        return False
    if i < end and codes[i] == COLON:
        port = i + 1
        i = port
        while i < end and is_digit(codes[i]):
            i += 1
        if not 2 <= i - port <= 5:
            return False
    return i == end or codes[i] in (SLASH, QUESTION, HASH)


@kernel
def divide(codes: Any, start: Any, end: Any, tables: Any, ends: Any, tail: Any) -> Any:
    """Divide the piece codes[start:end]: write where its tokens end, and return their number. `tail` is scratch."""
    # Strip a prefix and a suffix per round until a special case is left or nothing more can be stripped.
    n, suffixes, left, right = 0, 0, start, end
    slot = _special(codes, left, right, tables)
    while left < right and slot < 0:
        size_before = right - left
        size = _prefix(codes, left, right, tables.classes)
        if size:
            slot = _special(codes, left + size, right, tables)
            if slot >= 0:
                left += size
                ends[n] = left
                n += 1
                break
        tail_size = _suffix(codes, left + size, right, tables)
        if tail_size:
            slot = _special(codes, left, right - tail_size, tables)
            if slot >= 0:
                tail[suffixes] = right
                suffixes += 1
                right -= tail_size
                break
            tail[suffixes] = right
            suffixes += 1
            right -= tail_size
        if size:
            left += size
            ends[n] = left
            n += 1
        if right - left == size_before:
            break
        slot = _special(codes, left, right, tables)

    # The rest: a special case, an address, or text that is divided at the signs within it.
    if slot >= 0:
        n = _emit(tables.divided[slot], left, ends, n)
    elif left < right:
        if not _is_address(codes, left, right, tables.classes):
            sign_end, i = left, left + 1  # a sign at the start of the piece divides nothing
            first_sign = _infix(codes, left, left, right, tables.classes)
            i = left + max(first_sign, 1)
            while i < right:
                size = _infix(codes, i, left, right, tables.classes)
                if size:
                    if i > sign_end:
                        ends[n] = i
                        n += 1
                    ends[n] = i + size
                    n += 1
                    sign_end = i + size
                i += max(size, 1)
            rest_start = sign_end
        else:
            rest_start = left
        if rest_start < right:
            ends[n] = right
            n += 1

    # The suffixes, the last stripped first.
    while suffixes:
        suffixes -= 1
        ends[n] = tail[suffixes]
        n += 1
    return _join(codes, start, tables, ends, n, tail) if n > 1 else n


@inner
def _join(codes: Any, start: Any, tables: Any, ends: Any, n: Any, tail: Any) -> Any:
    """Replace adjacent tokens that form a special case by its tokens; the longest match first, then the leftmost."""
    longest = 0
    for i in range(n):
        tail[i] = _joined(codes, start if i == 0 else ends[i - 1], tables, ends, i, n)
        longest = max(longest, tail[i])
    if longest == 0:
        return n
    # As in spaCy, a match that is not taken because another one covers one of its ends still blocks its tokens for others.
    for length in range(longest, 1, -1):
        for i in range(n - length + 1):
            if tail[i] & 15 == length:
                taken = (tail[i] | tail[i + length - 1]) & _SEEN == 0
                for k in range(i, i + length):
                    tail[k] |= _SEEN
                tail[i] |= _TAKEN * taken
    kept, i, begin = 0, 0, start
    while i < n:
        length = tail[i] & 15 if tail[i] & _TAKEN else 1
        stop = ends[i + length - 1]
        if length > 1:
            kept = _emit(tables.divided[_special(codes, begin, stop, tables)], begin, ends, kept)
        else:
            ends[kept] = stop
            kept += 1
        begin = stop
        i += length
    return kept


@inner
def _joined(codes: Any, begin: Any, tables: Any, ends: Any, i: Any, n: Any) -> Any:
    """The largest number of tokens from token `i` on, which begins at `begin`, that form a special case; 0 if none do."""
    packed: Any = 0
    length, token_start, longest = 0, begin, 0
    value = HASH_SEED
    while i + length < n and ends[i + length] - begin <= _LONGEST_SPECIAL:
        stop = ends[i + length]
        packed |= np.int64(stop - token_start) << (4 * length)
        for k in range(token_start, stop):
            value = add_hash(value, codes[k])
        token_start = stop
        length += 1
        if length > 1:
            slot = find_slot(tables.keys, tables.keys.size - 1, mix(value))
            if tables.keys[slot] != 0 and tables.unjoined[slot] == packed:
                longest = length
    return longest
