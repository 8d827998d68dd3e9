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
# First bytes of what servers call text/html by mistake: compressed files, images, fonts, sound, programs, documents.
_BINARY_START = re.compile(
    rb"\x1f\x8b|\x28\xb5\x2f\xfd|BZh[1-9]1AY|\xfd7zXZ\0|\x04\x22\x4d\x18|PK\x03\x04|Rar!|7z\xbc\xaf"
    rb"|%PDF-|\xd0\xcf\x11\xe0|\x89PNG|GIF8|\xff\xd8\xff|RIFF|\x00\x00\x00.ftyp|\x1aE\xdf\xa3|OggS|ID3[\x02-\x04]"
    rb"|wOF[F2]|\x00\x01\x00\x00|OTTO|ttcf|\x00asm|\xca\xfe\xba\xbe|\x7fELF|[FC]WS[\x01-\x08\x0e-\x1f]",
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
    sample = body[:_SAMPLE].lstrip(b"\r\n")
    if _BINARY_START.match(sample):
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls > _MOST_CONTROLS * len(sample) and not is_wide(body, content_type)
