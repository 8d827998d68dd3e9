"""Formulas as TeX: what a page says of them itself (annotations, alternative texts), else its MathML written as TeX."""

import re
from html import escape, unescape

_LONGEST = 20_000
"""Most bytes of a formula in MathML that is written as TeX; a longer one, or a deeper one, gives its characters only."""
_DEEPEST = 60

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
_TOKEN = re.compile(r"<(/?)(?:[a-z]+:)?([a-z-]+)(?![a-z-])[^<>]*?(/?)>|([^<]+)", re.I)
_FUNCTIONS = frozenset(
    "arccos arcsin arctan cos cosh cot det dim exp gcd inf lim ln log max min mod sec sin sinh sup tan tanh".split()
)
_ACCENTS = {
    "^": "hat",
    "ˆ": "hat",
    "¯": "bar",
    "‾": "bar",
    "~": "tilde",
    "˜": "tilde",
    "→": "vec",
    "⃗": "vec",
    "˙": "dot",
    "¨": "ddot",
}
_INVISIBLE = dict.fromkeys((0x200B, 0x2061, 0x2062, 0x2063, 0x2064))


def attribute(tag: bytes, name: str) -> bytes | None:
    """The value of an attribute, as it is escaped in the page; None if the tag does not have it."""
    found = re.search((r"(?<![\w-])" + _ATTRIBUTE % name).encode(), tag, re.I)
    return next((value for value in found.groups() if value is not None), b"") if found else None


def of_tex(tex: str, *, display: bool, markdown: bool) -> bytes:
    """A formula's TeX as markup for the parser, in dollars for Markdown; nothing if there is none."""
    tex = tex.strip()
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
        tex = _written(math[opening.end() if opening else 0 :].decode())
    return of_tex(tex, display=block, markdown=markdown)


def _written(markup: str) -> str:
    """MathML as TeX."""
    if len(markup) > _LONGEST:
        return " ".join(unescape("".join(m[4] or "" for m in _TOKEN.finditer(markup))).split())
    open_: list[tuple[str, list[str]]] = [("math", [])]
    for end, name, closed, text in _TOKEN.findall(markup):
        name = name.lower()
        if text:
            text = " ".join(unescape(text).translate(_INVISIBLE).split())
            if text:
                open_[-1][1].append(text)
        elif closed:
            open_[-1][1].append("")
        elif not end:
            if len(open_) > _DEEPEST:
                return " ".join(unescape("".join(m[4] or "" for m in _TOKEN.finditer(markup))).split())
            open_.append((name, []))
        elif any(name == above for above, _ in open_[1:]):
            while True:
                above, parts = open_.pop()
                open_[-1][1].append(_element(above, parts))
                if above == name:
                    break
    while len(open_) > 1:
        above, parts = open_.pop()
        open_[-1][1].append(_element(above, parts))
    return _joined(open_[0][1])


def _joined(parts: list[str]) -> str:
    """Parts side by side, with a space behind a command that a letter follows."""
    out = ""
    for part in parts:
        if out and part[:1].isalpha() and re.search(r"\\[a-z]+$", out[-8:]):
            out += " "
        out += part
    return out


def _group(part: str) -> str:
    return part if len(part) == 1 else f"{{{part}}}"


def _element(name: str, parts: list[str]) -> str:
    """An element of MathML from what its children became."""
    first, second, third = (*parts, "", "", "")[:3]
    match name:
        case "annotation" | "annotation-xml" | "mphantom" | "none" | "mprescripts":
            return ""
        case "semantics":
            return first
        case "mi":
            text = "".join(parts)
            return f"\\{text}" if text in _FUNCTIONS else text
        case "mtext":
            text = " ".join(parts)
            return f"\\text{{{text}}}" if " " in text or len(text) > 1 else text
        case "mfrac":
            return f"\\frac{{{first}}}{{{second}}}"
        case "msqrt":
            return f"\\sqrt{{{_joined(parts)}}}"
        case "mroot":
            return f"\\sqrt[{second}]{{{first}}}"
        case "msup":
            return f"{first}^{_group(second)}"
        case "msub" | "munder":
            return f"{first}_{_group(second)}"
        case "mover":
            return f"\\{_ACCENTS[second]}{{{first}}}" if second in _ACCENTS else f"{first}^{_group(second)}"
        case "msubsup" | "munderover":
            return f"{first}_{_group(second)}^{_group(third)}"
        case "mfenced":
            return f"({','.join(parts)})"
        case "mtd":
            return _joined(parts)
        case "mtr":
            return " & ".join(parts)
        case "mtable":
            return "\\begin{matrix}" + " \\\\ ".join(parts) + "\\end{matrix}"
        case _:
            return _joined(parts)
