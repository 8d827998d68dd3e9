r"""Formulas that a page's script would find in its text, in dollars for Markdown: \(x\) becomes $x$, \[x\] becomes $$x$$.

The delimiters are the defaults of MathJax and KaTeX, where the page names one of them, and those that it sets itself; and on
any page WordPress's `$latex x$`, `[latex]x[/latex]` and `[tex]x[/tex]`. Code and formulas in dollars stay as they are. So does
the dollar sign of a price: it is not escaped, as nothing in the text is. Plain text is left as it was written.
"""

import re
from typing import NamedTuple

_NAMES = (b"MathJax", b"mathjax", b"katex", b"KaTeX")
"""One of these is in a page whose script looks for formulas, …"""
_CONFIGURES = (b"inlineMath", b"renderMathInElement")
"""… and of these, near its beginning, if it tells the script what they begin with."""
_HEAD = 200_000
"""Bytes of a page in which its script is configured; searching all of it takes 8 % of the time of extraction."""
_STRING = rb"(?:\"([^\"\n]{1,40})\"|'([^'\n]{1,40})')"
_CONFIG = re.compile(rb"\b(inlineMath|displayMath)[\"']?\s*:\s*\[")
# One way to read white space, and only from its beginning: time must not grow with its square.
_STRING_PAIR = re.compile(rb"(?<!\s)\s*(?:,\s*)?\[\s*" + _STRING + rb"\s*,\s*" + _STRING + rb"\s*\]")
_KATEX = re.compile(
    rb"\bleft[\"']?\s*:\s*"
    + _STRING
    + rb"\s*,\s*[\"']?right[\"']?\s*:\s*"
    + _STRING
    + rb"(?:\s*,\s*[\"']?display[\"']?\s*:\s*(true))?"
)
_ESCAPED = re.compile(r"\\(.)")
_ENVIRONMENTS = "equation align alignat gather multline eqnarray flalign displaymath math".split()
_FENCE = re.compile(r"^[> ]*(`{3,})[^`\n]*$", re.M)
_LONGEST = 5000
"""Most characters of a formula."""
_MOST = 20
"""Most delimiters that a page sets."""


class Delimiter(NamedTuple):
    """What a formula begins and ends with."""

    left: str
    right: str
    display: bool
    inside: bool = False
    """Whether the delimiters are part of the TeX, as those of an environment."""


_EVERYWHERE = [
    Delimiter("$latex ", "$", False),
    *(Delimiter(f"[{name}]", f"[/{name}]", False) for name in ("latex", "tex", "math")),
]
_DEFAULT_BEGINNINGS = ("\\(", "\\[", "\\begin{")
_DEFAULTS = [
    Delimiter("\\(", "\\)", False),
    Delimiter("\\[", "\\]", True),
    *(
        Delimiter(f"\\begin{{{name}{star}}}", f"\\end{{{name}{star}}}", True, True)
        for name in _ENVIRONMENTS
        for star in ("", "*")
    ),
]


def in_dollars(text: str, html: bytes) -> str:
    """The Markdown of a page with the formulas in its text in dollars."""
    delimiters = [*_EVERYWHERE]
    if any(mark in text for mark in _DEFAULT_BEGINNINGS) and any(name in html for name in _NAMES):
        delimiters += _DEFAULTS
    if any(html.find(name, 0, _HEAD) >= 0 for name in _CONFIGURES):
        delimiters += _own(html)
    by_left = {delimiter.left: delimiter for delimiter in reversed(delimiters)}
    if not any(left in text for left in by_left):
        return text
    lefts = "|".join(re.escape(left) for left in sorted(by_left, key=len, reverse=True))
    begin = re.compile(rf"(?<![\\`])(?:(`+)|({lefts})|(\$\$?))")
    out: list[str] = []
    at = 0
    for fence in _fences(text):
        out += [_outside(text[at : fence.start], begin, by_left), text[fence.start : fence.stop]]
        at = fence.stop
    return "".join((*out, _outside(text[at:], begin, by_left)))


def _own(html: bytes) -> list[Delimiter]:
    """The delimiters that a page sets itself."""
    found: list[Delimiter] = []
    for config in _CONFIG.finditer(html):
        at = config.end()
        while len(found) < _MOST and (pair := _STRING_PAIR.match(html, at)) is not None:
            left, right = _string(pair[1] or pair[2]), _string(pair[3] or pair[4])
            found.append(Delimiter(left, right, config[1] == b"displayMath"))
            at = pair.end()
    for pair in _KATEX.finditer(html):
        if len(found) < _MOST:
            found.append(Delimiter(_string(pair[1] or pair[2]), _string(pair[3] or pair[4]), pair[5] is not None))
    return [one for one in found if one.left.strip() and one.right.strip() and one.left not in ("$", "$$", "`")]


def _string(literal: bytes) -> str:
    """The characters of a string in JavaScript."""
    return _ESCAPED.sub(r"\1", literal.decode())


def _fences(text: str) -> list[slice]:
    """The fenced code of a text."""
    found: list[slice] = []
    start, ticks = -1, ""
    for line in _FENCE.finditer(text):
        if start < 0:
            start, ticks = line.start(), line[1]
        elif line[1] == ticks:
            found.append(slice(start, line.end()))
            start = -1
    return found


def _outside(text: str, begin: re.Pattern[str], by_left: dict[str, Delimiter]) -> str:
    """A text without fenced code, its formulas in dollars."""
    out: list[str] = []
    done = at = 0
    ends: dict[str, int] = {}  # where the next of each delimiter is, so that none is searched for twice

    def find(right: str, start: int) -> int:
        if ends.get(right, -1) < start:
            found = text.find(right, start)
            ends[right] = found if found >= 0 else len(text)
        return ends[right]

    while (found := begin.search(text, at)) is not None:
        at = found.end()
        ticks, left, dollars = found.groups()
        delimiter = by_left.get(left) if left else None
        end = find(delimiter.right if delimiter else ticks or dollars, at)
        if end == len(text) or end > min(find("\n\n", at), at + _LONGEST):
            continue
        tex = text[at:end].replace("  \n", "\n")  # without Markdown's marks of line breaks
        if delimiter is None:
            at = end + len(found[0]) if ticks or dollars == "$$" else at
        elif tex.strip() and "$" not in tex and "`" not in tex:
            mark = "$$" if delimiter.display else "$"
            tex = f"{left}{tex}{delimiter.right}" if delimiter.inside else tex.strip()
            out += [text[done : found.start()], mark, tex, mark]
            done = at = end + len(delimiter.right)
    return "".join((*out, text[done:]))
