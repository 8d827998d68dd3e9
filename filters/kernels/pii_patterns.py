"""Finds e-mail addresses, phone numbers and IP addresses: the kernel of `pipeline.filters.pii`.

What counts, and what does not:

- **email**: a local part and a domain with a dot, in ASCII. Not: `image@2x.png` and other file names, `git@host:path`, and
  the user in a URL (`ftp://name:word@host`).
- **ip**: four numbers up to 255 without leading zeros, or an IPv6 address with a group of three or more digits. Not: five
  numbers, numbers after "version", "v", "section" and the like, single digits, numbers below 20 at the start of a line.
- **phone**: `+` and 8 to 15 digits in groups; `00` and 10 to 15; North American numbers, 3-3-4; numbers with a leading
  zero, 9 to 11 digits in groups (Europe, Asia); one or two words after "tel", "phone", "fax", … 7 to 15 digits, three words
  after ("my phone number is") 10 to 12 without groups. Not: dates, times, prices, ISBNs, card numbers, identifiers (after
  # = / _ or a letter), and digits without groups, except after such a word.
"""

from typing import Any

from pipeline.filters.kernels.arrays import Strings, packed
from pipeline.filters.kernels.ascii import (
    AMPERSAND,
    APOSTROPHE,
    AT,
    CARET,
    CLOSE_BRACKET,
    COLON,
    COMMA,
    DOLLAR,
    EQUALS,
    EXCLAMATION,
    FULL_STOP,
    HASH,
    HYPHEN,
    LINE_FEED,
    ONE,
    OPEN_BRACKET,
    PERCENT,
    PLUS,
    RETURN,
    SLASH,
    SPACE,
    STAR,
    THREE,
    TILDE,
    TWO,
    UNDERSCORE,
    WIDE,
    ZERO,
    is_alphanumeric,
    is_digit,
    is_hexadecimal,
    is_letter,
    lower,
)
from pipeline.kernels import inner, kernel

KINDS = ("email", "phone", "ip")
EMAIL, PHONE, IP = range(3)


def _words(text: str) -> Strings:
    return packed([word.encode() for word in text.split()])


BEFORE_PHONE = _words(
    "tel telephone phone phones fax telefax mobile mobil cell cellular call whatsapp hotline telefon telefono teléfono "
    "téléphone telefone móvil celular handy rufnummer телефон тел факс 电话 電話 手机 传真 โทร 전화"
)
BEFORE_NUMBER = _words(
    "v ver version versions release build firmware driver kernel section sections chapter paragraph table figure fig rule "
    "clause article oid isbn issn doi isbn-10 isbn-13"
)
_LATIN_1, _POUND, _YEN, _NO_BREAK = 0xC2, 0xA3, 0xA5, 0xA0  # UTF-8: a first byte, and what may follow it
_LONGEST_LOCAL, _LONGEST_DOMAIN, _LONGEST_USER = 64, 255, 80  # bytes; the first two are RFC 5321's
_EURO_1, _EURO_2 = 0xE2, 0x82  # the first bytes of the euro sign and its neighbours
FILES = _words("png jpg jpeg gif webp svg css js bmp ico pdf mp3 mp4 zip html php")


@kernel
def find(
    data: Any, starts: Any, ends: Any, public: Any, phones: Any, numbers: Any, files: Any, groups: Any, rows: Any
) -> Any:
    """Write (document, kind, start, end) of each span to `rows`; returns the number of spans, even if `rows` is too short.

    `groups` is scratch for the groups of digits of a phone number: start, end, separator before.
    """
    count = 0
    for document in range(len(starts)):
        begin, end = starts[document], ends[document]
        i, unused_from = begin, begin  # everything before `unused_from` is part of an earlier span
        while i < end:
            byte = data[i]
            kind, first, last = -1, i, i
            if byte == AT:
                first, last = _email(data, unused_from, i, end, files)
                kind = EMAIL if last > first else -1
            elif byte == COLON and i + 1 < end:
                first, last = _ipv6(data, unused_from, i, end, public)
                kind = IP if last > first else -1
            elif is_digit(byte) or (byte in (PLUS, OPEN_BRACKET) and i + 1 < end and is_digit(data[i + 1])):
                before = data[i - 1] if i > begin else SPACE
                if not (is_alphanumeric(before) or (before >= WIDE and byte == OPEN_BRACKET)):
                    last = _ipv4(data, begin, i, end, numbers, public)
                    kind = IP
                    if last == i:
                        last = _phone(data, begin, i, end, phones, numbers, groups)
                        kind = PHONE
                    if last == i:
                        kind = -1
                if kind < 0 and is_digit(byte):  # no span begins within this run of digits
                    while i + 1 < end and is_digit(data[i + 1]):
                        i += 1
            if kind >= 0:
                if count < len(rows):
                    rows[count, 0], rows[count, 1], rows[count, 2], rows[count, 3] = document, kind, first, last
                count += 1
                i = unused_from = last
            else:
                i += 1
    return count


@inner
def _email(data: Any, begin: Any, at: Any, end: Any, files: Any) -> Any:
    """The address around the "@" at `at`; an empty range if there is none."""
    first = at
    while (
        first > begin
        and at - first < _LONGEST_LOCAL
        and (
            is_alphanumeric(data[first - 1])
            or data[first - 1]
            in (
                FULL_STOP,
                UNDERSCORE,
                PERCENT,
                PLUS,
                HYPHEN,
                APOSTROPHE,
                AMPERSAND,
                EXCLAMATION,
                HASH,
                STAR,
                TILDE,
                EQUALS,
            )
        )
    ):
        first -= 1
    while first < at and not (is_alphanumeric(data[first]) or data[first] == UNDERSCORE):
        first += 1
    if first == at or data[at - 1] == FULL_STOP:
        return at, at
    i, labels, label, last = at + 1, 0, at + 1, at

    # The domain, label by label. `last` is the end of the last label that may end it: two characters or more, letters at both
    # ends.
    while i <= end and i - at < _LONGEST_DOMAIN:
        if i < end and (is_alphanumeric(data[i]) or (data[i] == HYPHEN and i > label)):
            i += 1
            continue
        size = i - label
        while size > 0 and data[label + size - 1] == HYPHEN:
            size -= 1
        if size == 0:
            break
        labels += 1
        if labels > 1 and size > 1 and is_letter(data[label]) and is_letter(data[label + size - 1]):
            last = label + size
            last_label = label
        if i >= end or data[i] != FULL_STOP or size < i - label:
            break
        i += 1
        label = i

    # Not addresses: image@2x.png, git@host:path, scheme://name:word@host.
    if last == at or _is_word(data, last_label, last, files):
        return at, at
    if last + 1 < end and data[last] == COLON and (is_letter(data[last + 1]) or data[last + 1] in (SLASH, TILDE)):
        return at, at
    k = first
    while k > begin and data[k - 1] > SPACE and first - k < _LONGEST_USER:
        k -= 1
        if data[k] == SLASH and data[k + 1] == SLASH and k > begin and data[k - 1] == COLON:
            return at, at
    return first, last


@inner
def _is_word(data: Any, start: Any, end: Any, words: Any) -> Any:
    """Whether the text, ignoring the case of ASCII letters, is one of the words."""
    pattern, bounds = words
    for w in range(len(bounds) - 1):
        size = bounds[w + 1] - bounds[w]
        if size == end - start:
            k = 0
            while k < size and lower(data[start + k]) == pattern[bounds[w] + k]:
                k += 1
            if k == size:
                return True
    return False


@inner
def _said_before(data: Any, begin: Any, position: Any, words: Any, max_words: Any) -> Any:
    """Whether one of the words is among the last `max_words` words before `position` on its line."""
    _, bounds = words
    i = position
    for _ in range(max_words):
        while (
            i > begin and data[i - 1] < WIDE and not is_letter(data[i - 1]) and data[i - 1] not in (LINE_FEED, RETURN)
        ):
            if is_digit(data[i - 1]) and i < position and len(bounds) > 25 and position - i > 24:
                return False
            i -= 1
        last = i
        while i > begin and (is_letter(data[i - 1]) or data[i - 1] >= WIDE or (data[i - 1] == HYPHEN and i < last)):
            i -= 1
        if last == i:
            return False
        if _is_word(data, i, last, words):
            return True
    return False


@inner
def _ipv4(data: Any, begin: Any, start: Any, end: Any, numbers: Any, public: Any) -> Any:
    """The end of an IPv4 address at `start`; `start` if there is none."""
    if start > begin and data[start - 1] in (FULL_STOP, HYPHEN, UNDERSCORE):
        return start
    i, highest, lowest = start, 0, 256
    a, b, c = 0, 0, 0
    for part in range(4):
        value, size = 0, 0
        while i < end and is_digit(data[i]) and size < 4:
            value = 10 * value + data[i] - ZERO
            size += 1
            i += 1
        if size == 0 or size > 3 or value > 255 or (size > 1 and data[i - size] == ZERO):
            return start
        highest, lowest = max(highest, value), min(lowest, value)
        if part == 0:
            a = value
        elif part == 1:
            b = value
        elif part == 2:
            c = value
        if part < 3:
            if i >= end or data[i] != FULL_STOP:
                return start
            i += 1

    # The characters around it make it a version, a section or a longer number.
    if i < end and (is_alphanumeric(data[i]) or data[i] == UNDERSCORE or data[i] >= WIDE):
        return start
    if i + 1 < end and data[i] in (FULL_STOP, HYPHEN, COMMA) and is_digit(data[i + 1]):
        return start
    k = start
    while k > begin and data[k - 1] == SPACE:
        k -= 1
    if highest < 20 and (lowest < highest < 10 or k == begin or data[k - 1] == LINE_FEED):
        return start  # section numbers: 1.2.3.4 anywhere, 12.1.3.4 at the start of a line
    if _said_before(data, begin, start, numbers, 1):
        return start
    if public and not _is_public(a, b, c):
        return start
    return i


@inner
def _is_public(a: Any, b: Any, c: Any) -> Any:
    """Whether a.b.c.x is a public address (IANA's special-purpose registry)."""
    if a in (0, 10, 127) or a >= 224:
        return False
    if (
        (a == 100 and 64 <= b < 128)
        or (a == 169 and b == 254)
        or (a == 172 and 16 <= b < 32)
        or (a == 192 and b == 168)
    ):
        return False
    if (a == 192 and b == 0 and c in (0, 2)) or (a == 198 and b in (18, 19)) or (a == 198 and b == 51 and c == 100):
        return False
    return not (a == 203 and b == 0 and c == 113)


@inner
def _ipv6(data: Any, begin: Any, colon: Any, end: Any, public: Any) -> Any:
    """The IPv6 address around its first colon; an empty range if there is none."""
    first = colon
    while first > begin and is_hexadecimal(data[first - 1]):
        first -= 1
    if first > begin and (
        is_alphanumeric(data[first - 1]) or data[first - 1] in (COLON, FULL_STOP, HYPHEN, UNDERSCORE)
    ):
        return colon, colon
    i, groups, longest, gaps, has_digit = first, 0, 0, 0, False
    while i < end:
        size = 0
        while i < end and is_hexadecimal(data[i]):
            has_digit |= is_digit(data[i])
            size += 1
            i += 1
        if size > 4:
            return colon, colon
        groups += size > 0
        longest = max(longest, size)
        if i + 1 < end and data[i] == COLON and data[i + 1] == COLON:
            gaps += 1
            i += 2
        elif i + 1 < end and data[i] == COLON and is_hexadecimal(data[i + 1]) and size > 0:
            i += 1
        else:
            break
    if i < end and (is_alphanumeric(data[i]) or data[i] in (UNDERSCORE, COLON) or data[i] >= WIDE):
        return colon, colon
    is_complete = (groups == 8 and gaps == 0) or (gaps == 1 and 1 < groups < 8)
    if not is_complete or not has_digit or longest < 3:
        return colon, colon
    if public and data[first] not in (TWO, THREE):  # public addresses are in 2000::/3
        return colon, colon
    return first, i


@inner
def _phone(data: Any, begin: Any, start: Any, end: Any, phones: Any, numbers: Any, groups: Any) -> Any:
    """The end of a phone number at `start`; `start` if there is none."""
    # Characters that come before a price, an identifier or a fraction.
    if start > begin:
        before = data[start - 1]
        if before in (SLASH, EQUALS, UNDERSCORE, HYPHEN, HASH, DOLLAR, COMMA, AMPERSAND, PERCENT, PLUS, AT, CARET):
            return start
        if before in (FULL_STOP, COLON) and start - 1 > begin and is_digit(data[start - 2]):
            return start
        if start - 2 >= begin and data[start - 2] == _LATIN_1 and before in (_POUND, _YEN):
            return start
        if start - 3 >= begin and data[start - 3] == _EURO_1 and data[start - 2] == _EURO_2:
            return start
        if before == SPACE and start - 2 >= begin and data[start - 2] in (DOLLAR, HASH):
            return start

    # Groups of digits, with a separator, a bracket or both between two groups.
    plus = data[start] == PLUS
    i = start + plus
    group_count, separator, open_bracket = 0, 0, -1
    while i < end and group_count < len(groups):
        if data[i] == OPEN_BRACKET and open_bracket < 0:
            open_bracket = group_count
            i += 1
        size = 0
        while i + size < end and is_digit(data[i + size]):
            size += 1
        if size == 0:
            break
        groups[group_count, 0], groups[group_count, 1], groups[group_count, 2] = i, i + size, separator
        group_count += 1
        i += size
        closed = False
        if i < end and data[i] == CLOSE_BRACKET and open_bracket == group_count - 1:
            i += 1
            closed = True
        separator = 0
        if i + 1 < end and data[i] in (SPACE, FULL_STOP, HYPHEN, SLASH):
            separator = data[i]
            i += 1
        elif i + 2 < end and data[i] == _LATIN_1 and data[i + 1] == _NO_BREAK:
            separator = SPACE
            i += 2
        elif i < end and (data[i] == OPEN_BRACKET or closed):
            separator = SPACE
        else:
            break
    if group_count == 0 or _said_before(data, begin, start, numbers, 1):
        return start

    # The longest run of groups from the first on that is a number of some country, or any number after a word such as "phone".
    after_phone_word = _said_before(data, begin, start, phones, 2)
    # "my phone number is", "call me at": a word further away counts for a number without groups, if it is as long as one.
    near_phone_word = after_phone_word or _said_before(data, begin, start, phones, 3)
    best = start
    digits = 0
    first_size = groups[0, 1] - groups[0, 0]
    leading_zero = data[groups[0, 0]] == ZERO
    double_zero = leading_zero and first_size >= 2 and data[groups[0, 0] + 1] == ZERO
    dashes = False
    for k in range(group_count):
        size = groups[k, 1] - groups[k, 0]
        digits += size
        stop = groups[k, 1]
        dashes |= k > 0 and groups[k, 2] in (HYPHEN, FULL_STOP, SLASH)
        if k + 1 < group_count and groups[k + 1, 2] != SPACE:
            continue  # a number does not end before a hyphen, full stop or slash
        if stop < end and (is_letter(data[stop]) or data[stop] in (PERCENT, UNDERSCORE, DOLLAR, EQUALS)):
            continue
        if stop + 1 < end and data[stop] in (COMMA, COLON, FULL_STOP, HYPHEN, SLASH) and is_digit(data[stop + 1]):
            continue
        if stop + 2 < end and data[stop] == _EURO_1 and data[stop + 1] == _EURO_2:
            continue
        if plus:
            fits = 8 <= digits <= 15 and not leading_zero
        elif double_zero:
            fits = 10 <= digits <= 15 and k > 0
        elif _north_american(data, groups, k):
            fits = True
        elif leading_zero:
            fits = 9 <= digits <= 11 and k > 0 and 2 <= first_size <= 5 and _even(groups, k)
        else:
            fits = False
        if k == 0 and near_phone_word and 10 <= digits <= 12:
            fits = True
        if fits or (
            after_phone_word
            and 7 <= digits <= 15
            and (k > 0 or first_size <= 12)
            and not (k == 2 and digits == 8 and dashes)
        ):
            best = stop
            if not after_phone_word and not plus:
                break
    return best


@inner
def _north_american(data: Any, groups: Any, k: Any) -> Any:
    """Whether groups 0 … k are 3-3-4 digits, possibly after a 1; area codes begin with 2 to 9."""
    j = k - 2
    if j not in (0, 1) or (j == 1 and (groups[0, 1] - groups[0, 0] != 1 or data[groups[0, 0]] != ONE)):
        return False
    if groups[j, 1] - groups[j, 0] != 3 or groups[j + 1, 1] - groups[j + 1, 0] != 3 or groups[k, 1] - groups[k, 0] != 4:
        return False
    if groups[k, 2] == SPACE and groups[j + 1, 2] not in (SPACE,):
        return False
    return data[groups[j, 0]] >= TWO


@inner
def _even(groups: Any, k: Any) -> Any:
    """Whether groups 0 … k look like a national number: two to eight digits each, neither a date nor a time."""
    for j in range(k + 1):
        size = groups[j, 1] - groups[j, 0]
        if size < 2 or size > 8 or (groups[j, 2] == FULL_STOP and groups[0, 1] - groups[0, 0] != 2):
            return False
    return True


@kernel
def replace(data: Any, starts: Any, ends: Any, spans: Any, pieces: Any, bounds: Any, buffer: Any) -> None:
    """Write the documents to `buffer` with each span replaced by the piece of its kind, pieces[bounds[kind]:bounds[kind + 1]].

    `spans`: document, kind, start and end of each, in order.
    """
    written, span = 0, 0
    documents, kinds, firsts, lasts = spans
    for document in range(len(starts)):
        i = starts[document]
        while span < len(documents) and documents[span] == document:
            while i < firsts[span]:
                buffer[written] = data[i]
                written += 1
                i += 1
            for k in range(bounds[kinds[span]], bounds[kinds[span] + 1]):
                buffer[written] = pieces[k]
                written += 1
            i = lasts[span]
            span += 1
        while i < ends[document]:
            buffer[written] = data[i]
            written += 1
            i += 1
