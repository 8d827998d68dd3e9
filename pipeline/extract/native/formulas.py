"""Formulas as TeX: what a page says of them itself (annotations, alternative texts, addresses of images), else its MathML.

In Markdown a formula stands in dollars, `$x$` or, displayed by itself, `$$x$$`; in plain text its TeX stands among the words.
"""

import re
from html import escape, unescape
from urllib.parse import unquote, unquote_plus, urlsplit

from pipeline.extract.native.mathml import written

_MATH_TAG = re.compile(rb"<math\b[^<>]*>", re.I)
_ANNOTATION = re.compile(
    rb"<annotation\b[^<>]{0,300}?encoding\s*=\s*[\"']?(?:application/x-)?(?:la)?tex\b[^<>]{0,300}>([^<]*)</annotation",
    re.I,
)
_ATTRIBUTE = r"\b%s\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))"
_ALTERNATIVES = [re.compile((r"(?<![\w-])" + _ATTRIBUTE % name).encode(), re.I) for name in ("data-latex", "alttext")]
_DISPLAY = re.compile((_ATTRIBUTE % "(?:display|mode)").encode(), re.I)
_WRAPPED = [
    re.compile(pattern, re.S)
    for pattern in (
        r"\{\\(?:displaystyle|textstyle)\s(.*)\}",
        r"\$\$(.*)\$\$",
        r"\$(.*)\$",
        r"\\\((.*)\\\)",
        r"\\\[(.*)\\\]",
    )
]
_DISPLAYED = ("$$", "\\[")
_LONGEST_ADDRESS = 5000
"""Most bytes of an image's address that holds TeX."""
_KEYS = ("latex", "tex", "math", "chl")
"""The parameter of an address that is TeX, at WordPress, codecogs.com, zhihu.com, GitHub and Google."""
_RAW_QUERY = re.compile(r"(?:math|mime)tex\.cgi$|\.(?:latex|image)$")
"""Paths of servers, codecogs.com's among them, whose whole query is TeX."""
_SETTINGS = re.compile(
    r"(?<!\s)(?:\s*\\(?:inline|(?:dpi|bg|fn)(?:_|\{)\w+\}?|(?:tiny|small|large|Large|LARGE|huge)(?![a-z])))+\s*"
)
"""Settings of the picture, with which codecogs.com's TeX begins."""


def attribute(tag: bytes, name: str) -> bytes | None:
    """The value of an attribute, as it is escaped in the page; None if the tag does not have it."""
    found = re.search((r"(?<![\w-])" + _ATTRIBUTE % name).encode(), tag, re.I)
    return next((value for value in found.groups() if value is not None), b"") if found else None


def of_tex(tex: str, *, display: bool, markdown: bool) -> bytes:
    """A formula's TeX as markup for the parser, in dollars for Markdown; nothing if there is none."""
    tex = tex.strip()
    display = display or tex.startswith(_DISPLAYED)
    while (inner := next((m[1] for wrapped in _WRAPPED if (m := wrapped.fullmatch(tex))), None)) is not None:
        if "$" in inner:
            break
        tex = inner.strip()
    if not tex:
        return b""
    if markdown:
        mark = "$$" if display else "$"
        tex = f"{mark}{tex}{mark}"
    return f"<tex>{escape(tex, quote=False)}</tex>".encode()


def of_mathml(math: bytes, markdown: bool) -> bytes:
    """A `math` element, from its start tag to its end tag, as `of_tex` writes a formula."""
    opening = _MATH_TAG.match(math)
    tag = opening[0] if opening else b""
    display = _DISPLAY.search(tag)
    block = display is not None and b"block" in display[0].lower()
    annotation = _ANNOTATION.search(math)
    stated = [annotation[1]] if annotation else []
    stated += [next(v for v in found.groups() if v is not None) for p in _ALTERNATIVES if (found := p.search(tag))]
    tex = next((text for value in stated if (text := unescape(value.decode()).strip())), None)
    if tex is None:
        tex = written(math[opening.end() if opening else 0 :].decode())
    return of_tex(tex, display=block, markdown=markdown)


def of_address(address: bytes) -> str:
    """The TeX in the address of an image that a server draws; empty if it has none."""
    if len(address) > _LONGEST_ADDRESS:
        return ""
    try:
        parts = urlsplit(unescape(address.decode()).strip())
    except ValueError:
        return ""
    if _RAW_QUERY.search(parts.path) and (parts.path.endswith(".cgi") or parts.netloc.endswith("codecogs.com")):
        query = unquote(parts.query).replace("&space;", " ").replace("&plus;", "+").replace("&hash;", "#")
        settings = _SETTINGS.match(query)
        return query[settings.end() if settings else 0 :]
    values = dict(pair.partition("=")[::2] for pair in parts.query.split("&"))
    key = next((key for key in _KEYS if key in values), None)
    if key is None or (key == "chl" and values.get("cht") != "tx"):
        return ""
    return unquote_plus(values[key])
