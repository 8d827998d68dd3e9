"""What a body is to be read as: by its declared media type as browsers read it, else by its first bytes."""

import re

from pipeline.extract.pages.charset import is_wide

HTML_TYPES = {"text/html", "application/xhtml+xml", "text/plain"}
"""Types whose bodies are read."""
_VAGUE_TYPES = {"application/octet-stream", "unknown/unknown", "application/unknown", "content/unknown"}
_QUOTED = re.compile(r'"[^"]*"')
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
# A page without a type, or with a vague one, is HTML if it starts like this (WHATWG MIME Sniffing, section 7.1). One comment
# stands for any number: from the first <!-- to any -->. A repeated group could divide comments in exponentially many ways.
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style"
    rb"|title|b|body|br|p|meta|link)[\s>/]",
    re.I | re.S,
)
# First bytes of what servers call text/html by mistake: compressed files, images, fonts, sound, films, programs, documents,
# data. Those that could begin a text go on to bytes that could not.
_BINARY_START = re.compile(
    rb"\x1f[\x8b\x9d]|\x28\xb5\x2f\xfd|BZh[1-9]1AY|\xfd7zXZ\0|\x04\x22\x4d\x18|\x5d\0\0|LZIP\x01|PK\x03\x04|Rar!|7z\xbc\xaf|MSCF\0"
    rb"|.{257}ustar[\0 ]|%PDF-|%!PS-|\xc5\xd0\xd3\xc6|\{\\rtf1|\xd0\xcf\x11\xe0|AT&TFORM|ITSF\x03"
    rb"|\x89PNG|GIF8|\xff\xd8\xff|BM.{4}\0\0\0\0|II\*\0|MM\0\*|\0\0[\x01\x02]\0[\x01-\x20]\0|8BPS\0\x01|gimp xcf|\0\0\0\x0cjP  "
    rb"|RIFF|\0\0\0.ftyp|\x1aE\xdf\xa3|FLV\x01|\x30\x26\xb2\x75|\0\0\x01[\xb3\xba]|OggS|ID3[\x02-\x04]|fLaC\0|MThd\0|#!AMR\n"
    rb"|\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xbf]|wOF[F2]|\0\x01\0\0|OTTO|ttcf|.{8}[\0\x01\x02]\0[\x01\x02]\0.{22}LP|\x80\x01.{4}%!PS"
    rb"|\0asm|\xca\xfe\xba\xbe|\x7fELF|[FC]WS[\x01-\x08\x0e-\x1f]|MZ.\0|dex\n0|!<arch>\n|\xed\xab\xee\xdb"
    rb"|SQLite format 3\0|PAR1|ARROW1\0|\x89HDF|bplist00",
    re.S,
)
# Without NUL, which browsers leave out, and without the escape and the two shifts of ISO-2022 encodings.
_CONTROLS = bytes({*range(1, 32)} - {*b"\t\n\f\r\x0e\x0f\x1b"})
_SAMPLE = 8192
# Text has hardly any control characters; compressed data has 24 in 256 bytes.
_MOST_CONTROLS = 0.02


def media_type(content_type: str | None, body: bytes) -> str:
    """The media type to read a body as, in lower case: the declared one or, if that is missing or vague, one from its start.

    Of several declared types the last valid one counts, and what is no media type is ignored, as in browsers (WHATWG Fetch,
    "extract a MIME type"). A start that is markup means "text/html", other text "text/plain"; for all else the declared type
    remains. Empty for a body that is declared as text and is not.
    """
    declared = ""
    for entry in _QUOTED.sub('""', content_type or "").split(","):
        essence = entry.partition(";")[0].strip().lower()
        if _MEDIA_TYPE.fullmatch(essence) and essence != "*/*":
            declared = essence
    if declared and declared not in _VAGUE_TYPES:
        return "" if declared in HTML_TYPES and is_binary(body, content_type) else declared
    head = body[:1024]
    if _HTML_START.match(head):
        return "text/html"
    binary = head.translate(None, bytes(range(32, 256)) + b"\t\n\r\f\x1b")
    return declared if binary or not head else "text/plain"


def is_binary(body: bytes, content_type: str | None = None) -> bool:
    """Whether a body is no text in any encoding: it starts like a known kind of file, or has many control characters."""
    sample = body[:_SAMPLE]
    if _BINARY_START.match(sample) or _BINARY_START.match(sample.lstrip(b"\r\n \t\xef\xbb\xbf")):
        return True
    if b"\0" in sample:
        sample = sample.replace(b"\0", b"")
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls > _MOST_CONTROLS * len(sample) and not is_wide(body, content_type)
