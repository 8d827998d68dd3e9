"""The scripts of a page that hold data."""

import re
from collections.abc import Iterator

_START = re.compile(rb"<[sS][cC][rR][iI][pP][tT]\b([^<>]*)>")
_END = re.compile(rb"</[sS][cC][rR][iI][pP][tT]")
_BACK = 500
"""Most bytes of a tag before the type that it is found by."""


def scripts_of(html: bytes, kind: bytes) -> Iterator[bytes]:
    """The contents of the scripts in whose tags `kind` stands, such as "application/ld+json"."""
    behind = 0
    while (at := html.find(kind, behind)) >= 0:
        begin, behind = html.rfind(b"<", max(behind, at - _BACK), at), at + len(kind)
        if begin < 0 or not (tag := _START.match(html, begin)) or tag.end() < behind:
            continue
        end = _END.search(html, tag.end())
        if end is None:
            return
        behind = end.end()
        yield html[tag.end() : end.start()]


def every_script(html: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Attributes and content of each script."""
    at = 0
    while (tag := _START.search(html, at)) and (end := _END.search(html, tag.end())):
        at = end.end()
        yield tag[1], html[tag.end() : end.start()]
