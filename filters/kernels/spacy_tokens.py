"""Tokens as spaCy 3.8's English tokenizer finds them, over which datatrove counts words, n-grams and sentences.

Between white space spaCy strips signs from both ends of a piece, one by one (prefixes and suffixes), until what is left is
a special case (`spacy_exceptions`) or holds still; that stays whole if it looks like an address on the web, and is
divided at the signs within it otherwise (infixes). At last signs that lie side by side and make up a special case, such as a
smiley, are joined again. The rules are those of spacy/tokenizer.pyx and spacy/lang/punctuation.py (MIT licence), in their
order. Not followed: that an address of four numbers and a path is one token.

Whatever a document's language, this is the English tokenizer: datatrove's filters take it unless they are told a language.
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
_SEEN, _TAKEN = 16, 32
_QUOTE_MARK, _ELLIPSIS, _EN_DASH, _EM_DASH, _DEGREE = 0x2019, 0x2026, 0x2013, 0x2014, 0xB0
_TEMPERATURES = (0x46, 0x66, 0x43, 0x63, 0x4B, 0x6B)  # F f C c K k, behind a degree sign


class Tables(NamedTuple):
    """What the kernel looks up; a special case is two numbers of 4 bits a token, the lengths of its tokens."""

    classes: npt.NDArray[np.uint16]  # by code point
    keys: npt.NDArray[np.uint64]  # of special cases
    divided: npt.NDArray[np.int64]  # … the tokens it is
    unjoined: npt.NDArray[np.int64]  # … and the tokens that it would be otherwise; 0 where that is one
    units: npt.NDArray[np.uint64]  # hashes, in an open-addressing table as the keys
    stops: npt.NDArray[np.uint64]  # hashes


@cache
def lookup_tables() -> Tables:
    """The tables, built once a process."""
    cases = special_cases()
    keys = np.zeros(table_size.py_func(len(cases)), np.uint64)
    divided, unjoined = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
    units = np.zeros(table_size.py_func(len(UNITS.split())), np.uint64)
    hashes = np.array([_hashed(unit) for unit in UNITS.split()], np.uint64)
    _insert(units, hashes, np.empty(len(hashes), np.int64))
    stops = np.array([_hashed(word) for word in STOP_WORDS], np.uint64)
    # What a case would be if it were none is asked of the kernel itself, by tables that are empty yet.
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
        table.flags.writeable = False  # or the kernels would be compiled for both kinds
    return tables


def _hashed(text: str) -> np.uint64:
    codes = np.array([ord(character) for character in text], np.int32)
    return np.uint64(_hash(codes, 0, len(codes)))


def _pack(lengths: tuple[int, ...]) -> int:
    return sum(length << 4 * place for place, length in enumerate(lengths))


def _lengths(text: str, tables: Tables) -> tuple[int, ...]:
    codes = np.array([ord(character) for character in text], np.int32)
    ends, tail = np.zeros(len(text) + 1, np.int32), np.zeros(len(text) + 1, np.int32)
    n = divide(codes, 0, len(codes), tables, ends, tail)
    return tuple(int(length) for length in np.diff(ends[:n], prepend=0))


def tokenize(text: str) -> list[str]:
    """The tokens of a text."""
    tables = lookup_tables()
    found = []
    for piece in regex.findall(r"[^\p{White_Space}\x1C-\x1F]+", text):
        start = 0
        for length in _lengths(piece, tables):
            found.append(piece[start : start + length])
            start += length
    return found


@kernel
def _hash(codes: Any, start: Any, end: Any) -> Any:
    """The hash of some characters; never 0."""
    value = HASH_SEED
    for i in range(start, end):
        value = add_hash(value, codes[i])
    return mix(value)


@kernel
def _insert(keys: Any, hashes: Any, slots: Any) -> None:
    """Put each hash into the table `keys`; `slots` says where it went."""
    for i in range(hashes.size):
        slots[i] = find_slot(keys, keys.size - 1, hashes[i])
        keys[slots[i]] = hashes[i]


@inner
def _special(codes: Any, start: Any, end: Any, tables: Any) -> Any:
    """The slot of a special case; -1: it is none."""
    if not 0 < end - start <= _LONGEST_SPECIAL:
        return -1
    slot = find_slot(tables.keys, tables.keys.size - 1, _hash(codes, start, end))
    return slot if tables.keys[slot] != 0 else -1


@inner
def _emit(packed: Any, at: Any, ends: Any, n: Any) -> Any:
    """The tokens of a special case that begins at `at`."""
    while packed:
        at += packed & 15
        ends[n] = at
        n += 1
        packed >>= 4
    return n


@inner
def _prefix(codes: Any, start: Any, end: Any, classes: Any) -> Any:
    """How many characters the prefix has."""
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
    """How many characters the suffix has: of several the longest."""
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
    """How many characters the sign has that divides the piece at `i`; 0: none does."""
    code = codes[i]
    if classes[code] & INFIX:
        return 1
    size = 1
    if code in (FULL_STOP, HYPHEN, _EM_DASH):
        while i + size < end and codes[i + size] == code:
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
        return size if classes[codes[i + size]] & ALPHA and size <= (3 if code == HYPHEN else 2) else 0
    return 1 if after & ALPHA else 0


@inner
def _is_address(codes: Any, start: Any, end: Any, classes: Any) -> Any:
    """Whether the piece is an address on the web or of mail: [scheme://][user@]host.name[:port][/path]."""
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
    """Whether there is a host with a full stop in it, whose last label is of small letters; then perhaps a port and a path."""
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
    """Divide the piece codes[start:end]: writes where its tokens end, and returns how many there are. `tail` is scratch."""
    # Prefixes and suffixes go, a pair a round, until a special case is left, or nothing more goes.
    n, tails, at, last = 0, 0, start, end
    slot = _special(codes, at, last, tables)
    while at < last and slot < 0:
        before = last - at
        size = _prefix(codes, at, last, tables.classes)
        if size:
            slot = _special(codes, at + size, last, tables)
            if slot >= 0:
                at += size
                ends[n] = at
                n += 1
                break
        tail_size = _suffix(codes, at + size, last, tables)
        if tail_size:
            slot = _special(codes, at, last - tail_size, tables)
            if slot >= 0:
                tail[tails] = last
                tails += 1
                last -= tail_size
                break
            tail[tails] = last
            tails += 1
            last -= tail_size
        if size:
            at += size
            ends[n] = at
            n += 1
        if last - at == before:
            break
        slot = _special(codes, at, last, tables)

    # What is left: a special case, an address, or what the signs within divide.
    if slot >= 0:
        n = _emit(tables.divided[slot], at, ends, n)
    elif at < last:
        if not _is_address(codes, at, last, tables.classes):
            begun, i = at, at + 1  # a sign that begins the piece divides nothing
            first_size = _infix(codes, at, at, last, tables.classes)
            i = at + max(first_size, 1)
            while i < last:
                size = _infix(codes, i, at, last, tables.classes)
                if size:
                    if i > begun:
                        ends[n] = i
                        n += 1
                    ends[n] = i + size
                    n += 1
                    begun = i + size
                i += max(size, 1)
            last_begun = begun
        else:
            last_begun = at
        if last_begun < last:
            ends[n] = last
            n += 1

    # The suffixes, the last that went first.
    while tails:
        tails -= 1
        ends[n] = tail[tails]
        n += 1
    return _join(codes, start, tables, ends, n, tail) if n > 1 else n


@inner
def _join(codes: Any, start: Any, tables: Any, ends: Any, n: Any, tail: Any) -> Any:
    """Tokens side by side that make up a special case become its tokens: of several the longest, then the first."""
    longest = 0
    for i in range(n):
        tail[i] = _joined(codes, start if i == 0 else ends[i - 1], tables, ends, i, n)
        longest = max(longest, tail[i])
    if longest == 0:
        return n
    # As spaCy has it: a match that is not taken, since another has one of its ends, keeps its tokens from others all the same.
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
    """How many tokens from `i` on, which begins at `begin`, make up a special case: the most that do, or 0."""
    packed: Any = 0
    length, at, most = 0, begin, 0
    value = HASH_SEED
    while i + length < n and ends[i + length] - begin <= _LONGEST_SPECIAL:
        stop = ends[i + length]
        packed |= np.int64(stop - at) << (4 * length)
        for k in range(at, stop):
            value = add_hash(value, codes[k])
        at = stop
        length += 1
        if length > 1:
            slot = find_slot(tables.keys, tables.keys.size - 1, mix(value))
            if tables.keys[slot] != 0 and tables.unjoined[slot] == packed:
                most = length
    return most
