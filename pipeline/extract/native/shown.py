"""What browsers show in ways of their own, rewritten as plain markup for the parser.

Formulas become their TeX; a declarative shadow root, an iframe's `srcdoc`, the text of a drawing and, in XHTML, CDATA become
part of the page. The parser reports pages that have such things (`Parsed.special`); all others are not read here. Linear in
the page's size: an end that does not exist is searched for once.
"""

import re
from html import escape, unescape

from pipeline.extract.native.formulas import attribute, of_address, of_mathml, of_tex

# What starts something that is skipped as a whole, or rewritten.
_START = re.compile(
    rb"<(?:(!--)|!\[(CDATA)\[|(script|style|textarea|title|xmp|noframes|noembed|select|math|mjx-math|svg|iframe|img|/?template)\b)",
    re.I,
)
_QUOTE_OR_END = re.compile(rb"[\"'>]")
_TEX_IMAGE = re.compile(rb"(?<![a-z])(?:math|tex|latex|mwe|katex|mathjax|equation|ql-img)(?![a-z])", re.I)
_SHADOW_ROOT = re.compile(rb"\sshadowrootmode\b", re.I)
_HIDDEN = re.compile(rb"display\s*:\s*none|\shidden\b", re.I)
# Formulas that scripts have drawn, beside their sources in the page.
_DRAWN = re.compile(
    rb"<(span|div)\b[^<>]{0,300}?\bclass\s*=\s*[\"']?(?:[^<>\"']{0,100}\s)?(?:MathJax(?:_Display|_Preview|_SVG|_SVG_Display|_CHTML)?"
    rb"|MJXc-display|mjx-chtml)(?=[\s\"'>])[^<>]*>"
)
_KATEX = re.compile(rb"<(span)\b[^<>]{0,300}?\bclass\s*=\s*[\"']?katex-html(?=[\s\"'>])[^<>]*>")
_WIKI = re.compile(rb"(?<!\s)\s*</span>\s*(?:<meta[^<>]{0,300}>\s*)?<img\b[^<>]{0,1000}mwe-math-fallback", re.I)
_DISPLAYED = re.compile(rb"\sdisplay\s*=\s*[\"']?(?:true|block)")
_NOT_DRAWN = re.compile(
    rb"<(/?)(?:defs|symbol|title|desc|style|script|metadata|clippath|mask|pattern|marker)\b[^<>]*?(/?)>", re.I
)
_DRAWN_TEXT = re.compile(rb"<(/?)(text|foreignobject)\b[^<>]*?(/?)>", re.I)
_ANY_TAG = re.compile(rb"<[^<>]*>")


def as_shown(html: bytes, markdown: bool, depth: int = 0) -> bytes:
    """The page with what it shows in ways of its own as plain markup, formulas in dollars for Markdown."""
    if b"math/" in html:
        html = _without(html, _DRAWN)
    if b"katex-mathml" in html:
        html = _without(html, _KATEX)
    assisted = b"<mjx-assistive-mml" in html
    xml = html.lstrip()[:5] == b"<?xml"
    ends = _Ends(html)
    out: list[bytes] = []
    done = at = 0
    shadow: list[bool] = []  # of each open template, whether it is a shadow root
    plain = inert = 0  # how many of them are not, and where the outermost of these begins
    while (start := _START.search(html, at)) is not None:
        comment, cdata, name = start.groups()
        name = (name or b"").lower()
        begin, at = start.start(), start.end()
        instead: bytes | None = None
        if comment:
            at = max(at, ends.behind(b"-->", at))
        elif cdata:
            end = ends.behind(b"]]>", at)
            if xml and end >= 0:
                instead, at = escape(html[at : end - 3].decode(), quote=False).encode(), end
        elif name == b"template" or name == b"/template":
            at = ends.of_tag(at)
            if name == b"/template":
                if shadow:
                    is_root = shadow.pop()
                    plain -= not is_root
                    if is_root:
                        instead = b"</shadow>"
                    elif plain == 0:
                        begin, instead = inert, b""
            elif plain == 0 and _SHADOW_ROOT.search(html, begin, at):
                shadow.append(True)
                instead = b"<shadow>"
            else:
                inert = inert if plain else begin
                plain += 1
                shadow.append(False)
        elif name == b"img":
            at = ends.of_tag(at)
            tag = html[begin:at]
            stated = attribute(tag, "alt") if _TEX_IMAGE.search(attribute(tag, "class") or b"") else None
            tex = unescape(stated.decode()) if stated else of_address(attribute(tag, "src") or b"")
            if tex and not plain:
                instead = of_tex(tex, display=False, markdown=markdown)
        else:
            inside = ends.of_tag(at)
            tag = html[begin:inside]
            end = ends.of_element(name, inside)
            if end < 0:
                at = inside
                continue
            at = ends.of_tag(end)
            if name == b"math":
                instead = b"" if _WIKI.match(html, at) else of_mathml(html[begin:at], markdown)
            elif name == b"mjx-math":  # MathJax 4's drawing, if MathML for readers is not beside it
                if not assisted and (stated := attribute(tag, "data-latex")):
                    container = html[html.rfind(b"<mjx-container", max(0, begin - 500), begin) : begin]
                    display = _DISPLAYED.search(container) is not None
                    instead = of_tex(unescape(stated.decode()), display=display, markdown=markdown)
            elif name == b"script":
                kind = (attribute(tag, "type") or b"").lower()
                if kind.startswith(b"math/mml"):
                    instead = of_mathml(html[inside:end], markdown)
                elif kind.startswith((b"math/tex", b"math/asciimath")):
                    source = html[inside:end].decode().removeprefix("% <![CDATA[").removesuffix("%]]>")
                    instead = of_tex(unescape(source), display=b"display" in kind, markdown=markdown)
            elif name == b"svg" and not _HIDDEN.search(tag):
                instead = _drawing(html[inside:end])
            elif name == b"iframe" and not _HIDDEN.search(tag) and (source_page := attribute(tag, "srcdoc")):
                page = re.sub(
                    rb"<title\b[^<>]*>[^<]*</title\s*>", b"", unescape(source_page.decode()).encode(), flags=re.I
                )
                instead = b"<div>" + (as_shown(page, markdown, depth + 1) if depth < 2 else page) + b"</div>"
            if plain:
                instead = None
        if instead is not None:
            if begin >= done:
                out += [html[done:begin], instead]
            done = at
    return b"".join((*out, html[done:])) if out else html


class _Ends:
    """Ends of tags and elements in a page; one that does not exist is searched for once."""

    def __init__(self, html: bytes) -> None:
        self.html = html
        self.never: set[bytes] = set()

    def behind(self, mark: bytes, at: int) -> int:
        """Position behind the next `mark`; -1 if there is none."""
        found = -1 if mark in self.never else self.html.find(mark, at)
        if found < 0:
            self.never.add(mark)
            return -1
        return found + len(mark)

    def of_tag(self, at: int) -> int:
        """Position behind the tag whose attributes begin at `at`."""
        while (found := _QUOTE_OR_END.search(self.html, at)) is not None:
            at = found.end()
            if found[0] == b">":
                return at
            at = max(at, self.behind(found[0], at))
        return len(self.html)

    def of_element(self, name: bytes, at: int) -> int:
        """Position of the end tag of an element whose content begins at `at`; -1 if there is none."""
        if name in self.never:
            return -1
        depth = 1
        for tag in re.compile(rb"<(/?)" + name + rb"\b", re.I).finditer(self.html, at):
            depth += 0 if not tag[1] and name != b"svg" else -1 if tag[1] else 1
            if depth == 0:
                return tag.start()
        self.never.add(name)
        return -1


def _without(html: bytes, opening: re.Pattern[bytes]) -> bytes:
    """The page without the elements whose start tags match."""
    out: list[bytes] = []
    at = 0
    while (start := opening.search(html, at)) is not None:
        depth, end = 1, -1
        for tag in re.compile(rb"<(/?)" + start[1] + rb"\b[^<>]*>", re.I).finditer(html, start.end()):
            depth += -1 if tag[1] else 1
            if depth == 0:
                end = tag.end()
                break
        if end < 0:
            break
        out.append(html[at : start.start()])
        at = end
    return b"".join((*out, html[at:]))


def _drawing(svg: bytes) -> bytes | None:
    """The texts of a drawing, each on a line of its own if there are several; None if it has none."""
    seen: list[bytes] = []
    depth = at = 0
    for tag in _NOT_DRAWN.finditer(svg):
        if depth == 0:
            seen.append(svg[at : tag.start()])
        if not tag[2]:
            depth = max(0, depth + (-1 if tag[1] else 1))
        at = tag.end()
    if depth == 0:
        seen.append(svg[at:])
    drawn = b"".join(seen)
    texts: list[bytes] = []
    inside: bytes | None = None
    for tag in _DRAWN_TEXT.finditer(drawn):
        if tag[3]:
            continue
        name = tag[2].lower()
        if not tag[1] and inside is None:
            inside, at = name, tag.end()
        elif tag[1] and inside == name:
            text = drawn[at : tag.start()]
            texts.append(b" ".join(_ANY_TAG.sub(b" ", text).split()) if inside == b"text" else text)
            inside = None
    texts = [text for text in texts if text.strip()]
    if not texts:
        return None
    if len(texts) == 1:
        return b" <drawing>" + texts[0] + b"</drawing> "
    return b"".join(b"<div>" + text + b"</div>" for text in texts)
