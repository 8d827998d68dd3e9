"""Bytes of a page to text, by its declared encoding, by what its bytes allow, and by detection, since declarations are often
wrong.

Labels are read as browsers do (WHATWG Encoding Standard): iso-8859-1 is windows-1252, gb2312 is gb18030, shift_jis is cp932,
euc-kr is cp949, tis-620 is windows-874. Encodings that the standard lacks but old pages use are read too: UTF-32, iso-2022-kr,
HZ, Johab, IBM855, Mac encodings.
"""

import codecs
import re
import struct
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import did_you_mean

_PRESCAN = (
    4096  # bytes searched for a declaration; browsers read 1024, but long comments and scripts come first on real pages
)
_DETECT = 1 << 17  # bytes the detector sees
# Share of a page's non-ASCII bytes that may be invalid in an encoding that is still accepted: a character cut off at the end,
# a pasted quote. (On 253 pages of encodings, the right encoding stays under 1 %, wrong ones are above 5 %.)
_TOLERATED = 0.02

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Labels that Python lacks or reads differently from browsers.
_LABELS = {
    "unicode-1-1-utf-8": "utf-8", "utf8mb4": "utf-8", "unicode": "utf-16-le", "utf-16": "utf-16-le",
    "utf-32": "utf-32-le", "x-sjis": "cp932", "x-euc-jp": "euc_jp", "x-gbk": "gb18030", "x-x-big5": "big5hkscs",
    "iso-8859-8-i": "iso8859-8", "logical": "iso8859-8", "visual": "iso8859-8", "windows-874": "cp874",
    "dos-874": "cp874", "x-mac-cyrillic": "mac-cyrillic", "x-mac-ukrainian": "mac-cyrillic", "x-mac-roman": "mac-roman",
    "koi": "koi8-r", "koi8": "koi8-r", "koi8-ru": "koi8-u", "windows-949": "cp949",
    "x-cp1250": "cp1250", "x-cp1251": "cp1251", "x-cp1252": "cp1252",
    "csiso88598i": "iso8859-8", "hz-gb-2312": "hz", "gb_2312-80": "gb18030", "iso-ir-58": "gb18030",
    "windows-936": "gb18030", "windows-1252-1": "cp1252", "x-windows-1251": "cp1251",
}  # fmt: skip
# Python's name of a codec -> the codec that browsers use for that label.
_READ_AS = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs", "cp950": "big5hkscs",
    "utf-8-sig": "utf-8", "utf_8_sig": "utf-8",
}  # fmt: skip
# Python's name of a codec -> the name to show.
_NAMES = {
    "cp874": "windows-874", "cp932": "shift_jis", "cp949": "euc-kr", "euc_jp": "euc-jp", "euc_jis_2004": "euc-jp",
    "big5hkscs": "big5", "cp866": "ibm866", "cp855": "ibm855", "mac-roman": "macintosh", "mac-cyrillic": "x-mac-cyrillic",
    "iso2022_jp": "iso-2022-jp", "iso2022_jp_2": "iso-2022-jp", "iso2022_kr": "iso-2022-kr", "hz": "hz-gb-2312",
} | {f"cp125{n}": f"windows-125{n}" for n in range(9)} | {f"iso8859-{n}": f"iso-8859-{n}" for n in range(1, 17)}  # fmt: skip
_NOT_TEXT = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"}
_WIDE = {"utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"}
_EAST_ASIAN = {"gb18030", "cp932", "euc_jp", "cp949", "big5hkscs"}
# Windows' encodings use the control characters of ISO's for quotes and dashes; no page means control characters.
_SIBLINGS = {"iso8859-2": "cp1250", "iso8859-5": "cp1251", "iso8859-7": "cp1253", "iso8859-15": "cp1252"}
_CONTROLS = re.compile(rb"[\x80-\x9f]")
_HIGH = bytes(range(128, 256))
_CHARSET = re.compile(r"charset\s*=\s*(?:[\"']\s*)?([A-Za-z0-9_.:\-]+)", re.I)
_PROLOG = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:\-]+)[\"']", re.I)
_META = re.compile(rb"<meta\b([^>]{0,1000}?)charset\s*=\s*(?:[\"']\s*)?([A-Za-z0-9_.:\-]+)([^>]{0,1000})", re.I)
# Whose content is no declaration, such as <meta name=keywords content="charset=x">, unless the charset is an attribute itself.
_NAMED = re.compile(rb"(?:^|[\s\"'/])(name(?!\s*=\s*[\"']?content-type)|property|itemprop|http-equiv)\s*=", re.I)
_IN_CONTENT = re.compile(rb"content\s*=\s*(?:\"[^\"]*|'[^']*|[^\s\"']*)\Z", re.I)
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text of a page in UTF-8, for most pages their own bytes, and its encoding. `how` it was chosen is "bom", "utf-8",
    "header", "meta", "detected" or "default"."""

    utf8: bytes
    encoding: str
    declared: str | None
    """The label in the HTTP header, else in the page, in lower case."""
    how: str

    @property
    def text(self) -> str:
        """The text, decoded anew on each access."""
        return self.utf8.decode()


def decode(body: bytes, http_content_type: str | None = None) -> Decoded:
    """Text of a page's bytes. Never raises: bytes that cannot be decoded become U+FFFD. NUL and lone surrogates are removed.

    In this order: a byte-order mark; UTF-16 and UTF-32 by their zeros, or as the header says; UTF-8 if the bytes are (nearly)
    valid, whatever is declared, or declared and valid in part; the declarations of the header and of the page if the bytes
    decode; detection.
    """
    header, meta = _in_header(http_content_type), _in_page(body)
    declared = header or meta
    for mark, marked in _BOMS:
        if body.startswith(mark):
            return _result(body[len(mark) :], marked, declared, "bom")
    if codec := _wide(body):
        return _result(body, codec, declared, "detected")
    if header_codec := _wide_header(body, header):
        return _result(body, header_codec, declared, "header")
    labels = [(codec, how) for label, how in ((header, "header"), (meta, "meta")) if label and (codec := _codec(label))]
    if body.isascii():
        if escaped := _seven_bit(body):
            return _result(body, escaped, declared, "detected")
        labels = [(codec, how) for codec, how in labels if codec not in _WIDE]
        return _result(body, *((labels[0][0], declared, labels[0][1]) if labels else ("utf-8", declared, "default")))
    how = next((how for codec, how in labels if codec == "utf-8"), "utf-8")
    if _is_utf8(body):
        return Decoded(_without_nul(body), "utf-8", declared, how)
    high = len(body) - len(body.translate(None, _HIGH))
    declares_utf8 = any(codec == "utf-8" for codec, _ in labels)
    if _broken(body, "utf-8", high) <= _TOLERATED / 4 or (declares_utf8 and _some_utf8(body, high)):
        return _result(body, "utf-8", declared, how)
    for codec, how in labels:
        if codec not in _WIDE and _broken(body, codec, high) <= _TOLERATED:
            if codec == "cp1252" and (other := _hidden_east_asian(body, high)):
                return _result(body, other, declared, "detected")
            return _result(body, codec, declared, how)
    detected = _detected(body)
    if detected and _broken(body, detected, high) <= 5 * _TOLERATED:
        return _result(body, detected, declared, "detected")
    if labels and labels[0][0] not in _WIDE:
        return _result(body, labels[0][0], declared, labels[0][1])
    return _result(body, detected or "cp1252", declared, "detected" if detected else "default")


def is_wide(body: bytes, http_content_type: str | None) -> bool:
    """Whether a body is UTF-16 or UTF-32, whose bytes look like control characters."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)) or _wide(body):
        return True
    return _wide_header(body, _in_header(http_content_type)) is not None


def clean(text: str) -> str:
    """The text without NUL and lone surrogates, which UTF-8 columns and C strings cannot hold."""
    if text.isascii():  # Python knows it without searching
        return text.replace("\0", "")
    try:
        utf8 = text.encode()  # many times faster than a search, and nearly always valid
    except UnicodeEncodeError:
        return _SURROGATES.sub("", text).replace("\0", "")
    return (
        text.replace("\0", "") if b"\0" in utf8 else text
    )  # in the string itself, wide characters contain zero bytes, which slow a search


def _result(body: bytes, codec: str, declared: str | None, how: str) -> Decoded:
    if codec == "euc_jp" and "\ufffd" in body.decode(codec, "replace"):
        codec = "euc_jis_2004"  # includes NEC's row 13 (circled digits), which browsers read as euc-jp
    utf8 = body if codec == "utf-8" and _is_utf8(body) else clean(body.decode(codec, "replace")).encode()
    return Decoded(_without_nul(utf8), _NAMES.get(codec, codec), declared, how)


def _is_utf8(body: bytes) -> bool:
    """Whether all bytes are valid UTF-8; Arrow checks this in two fifths of the time that Python takes to decode them."""
    ends = pa.py_buffer(struct.pack("=qq", 0, len(body)))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(body)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _without_nul(utf8: bytes) -> bytes:
    return utf8.replace(b"\0", b"") if b"\0" in utf8 else utf8  # searching is much faster than replacing


def _in_header(content_type: str | None) -> str | None:
    labels = _CHARSET.findall(content_type or "")
    return labels[-1].lower() if labels else None  # of several declared types the last counts


def _in_page(body: bytes) -> str | None:
    head = body[:_PRESCAN]
    if b"\0" in head[:64]:
        head = head.replace(b"\0", b"")
    if match := _PROLOG.match(head.removeprefix(codecs.BOM_UTF8)):
        return match[1].decode("ascii").lower()
    return _in_meta(head[:1024], False) or _in_meta(head, True)


def _in_meta(head: bytes, is_whole: bool) -> str | None:
    """The label in a meta element; where the head goes on, only that of an element which ends before."""
    head = _without_comments(head)
    small = head.lower()
    at = small.find(b"<meta")
    while at >= 0:
        has_label = small.find(b"charset", at, small.find(b">", at)) >= 0
        match = _META.match(head, at) if has_label else None  # which takes far longer
        if match and (is_whole or match.end() < len(head)):
            before, label, behind = match.groups()
            names = {name.lower() for name in _NAMED.findall(before + behind)}
            if not names or b"http-equiv" in names or not _IN_CONTENT.search(before):
                return bytes(label).decode("ascii").lower()
        at = small.find(b"<meta", match.end() if match else at + 1)
    return None


def _without_comments(head: bytes) -> bytes:
    parts = []
    end = 0
    while (begin := head.find(b"<!--", end)) >= 0:
        parts.append(head[end:begin])
        end = head.find(b"-->", begin + 4) + 3
        if end < 3:
            return b"".join(parts)
    return b"".join((*parts, head[end:])) if parts else head


def check_encoding(label: str) -> None:
    """ValueError for a label that is not an encoding of pages."""
    if _codec(label.strip().lower()) is None:
        near = did_you_mean(label, {*_LABELS, *_NAMES.values(), "utf8", "utf-8"})
        raise ValueError(f"encoding: {label!r} is not an encoding of pages{near}")


def _codec(label: str) -> str | None:
    """Python's codec for a label; None for an unknown label, or one that is not a text encoding for pages."""
    try:
        info = codecs.lookup(_LABELS.get(label, label))
    except (LookupError, ValueError):
        return None
    name = _READ_AS.get(info.name, info.name)
    if name in _NOT_TEXT or not getattr(info, "_is_text_encoding", True):
        return None
    if name not in _WIDE and b"<a>".decode(name, "replace") != "<a>":
        return None  # EBCDIC: a declaration in such a page could not have been read
    return name


def _broken(body: bytes, codec: str, high: int) -> float:
    """U+FFFD per non-ASCII byte when decoded with this codec; 0.0 if all bytes are valid."""
    try:
        body.decode(codec)
    except UnicodeDecodeError:
        text = body.decode(codec, "replace")
        cut_at_end = text.endswith("\ufffd") and codec not in ("cp1252", "cp874")
        return (text.count("\ufffd") - cut_at_end) / high
    return 0.0


def _wide(body: bytes) -> str | None:
    """The codec of UTF-16 or UTF-32 without a byte-order mark: ASCII, such as markup and spaces, has zeros at fixed offsets."""
    sample = body[: min(len(body), 4096) // 4 * 4]
    if len(sample) < 16 or sample.count(0) < len(sample) // 20:
        return None
    lanes = [sample[lane::4].count(0) * 4 / len(sample) for lane in range(4)]
    even, odd = lanes[0] + lanes[2], lanes[1] + lanes[3]
    if lanes[0] > 0.95 and lanes[1] > 0.9:  # code points end at 0x10FFFF, and few are above 0xFFFF
        codec = "utf-32-be"
    elif lanes[3] > 0.95 and lanes[2] > 0.9:
        codec = "utf-32-le"
    else:
        codec = "utf-16-le" if odd > 4 * even else "utf-16-be" if even > 4 * odd else ""
    return codec if codec and "\ufffd" not in sample.decode(codec, "replace")[:-1] else None


def _wide_header(body: bytes, label: str | None) -> str | None:
    """The codec if a header's label is UTF-16 or UTF-32 and the body can be it, even with few zeros, as Chinese has."""
    codec = _codec(label) if label else None
    if codec not in _WIDE:
        return None
    sample = body[: min(len(body), 4096) // 4 * 4].decode(codec, "replace")[:-1]
    is_text = "\ufffd" not in sample and any(character <= "\x7f" for character in sample)
    return codec if is_text else None


def _some_utf8(body: bytes, high: int) -> bool:
    """Whether a page that is declared as UTF-8 is, with foreign bytes in it. On 253 texts in 29
    other encodings, valid characters above ASCII are at most 0.43 of the broken ones (in EUC-JP)."""
    text = body.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    valid = len(text) - (len(body) - high) - broken
    return valid >= broken


def _seven_bit(body: bytes) -> str | None:
    """The codec of an encoding that uses only ASCII bytes: ISO-2022 by its escapes, HZ by its shifts."""
    if b"\x1b" in body:  # searching for one byte is many times faster than for two
        if b"\x1b$)C" in body:
            return "iso2022_kr"
        if b"\x1b$" in body or b"\x1b(J" in body:
            return "iso2022_jp_2"
    return (
        "hz"
        if b"~" in body and b"~{" in body and b"~}" in body and "\ufffd" not in body.decode("hz", "replace")
        else None
    )


def _detected(body: bytes) -> str | None:
    from resiliparse.parse.encoding import detect_encoding  # few pages need it

    label = detect_encoding(body[:_DETECT], html5_compatible=False)
    if label and label.lower() in ("iso8859-16", "iso-8859-16"):
        return "cp1250"  # the detector's guess for Romanian, which the web writes in windows-1250
    codec = _codec(label.lower()) if label else None
    if codec in _SIBLINGS and _CONTROLS.search(body, 0, _DETECT):
        return _SIBLINGS[codec]
    return codec


def _hidden_east_asian(body: bytes, high: int) -> str | None:
    """The East Asian encoding of a page that a server declares as iso-8859-1, as many do by default.

    Non-ASCII letters of Western languages are rare and seldom adjacent, so a page with many high bytes that are valid Chinese,
    Japanese or Korean is in that language.
    """
    if high < 40 or high * 20 < len(body):
        return None
    detected = _detected(body)
    return detected if detected in _EAST_ASIAN and _broken(body, detected, high) == 0.0 else None
