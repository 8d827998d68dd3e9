"""Presentation MathML written as TeX: characters, scripts, fractions, roots, accents, fences and tables.

What it does not know it writes as its content. Bounded: a formula that is too long or too deep gives its characters only.
"""

import re
from html import unescape
from typing import NamedTuple

_LONGEST = 20_000
"""Most characters of a formula's markup that is written as TeX, and most elements in one another."""
_DEEPEST = 60

_TOKEN = re.compile(r"<(/?)(?:[a-z]+:)?([a-z-]+)(?![a-z-])([^<>]*?)(/?)>|([^<]+)", re.I)
_ATTRIBUTE = re.compile(
    r"(?<![\w-])(open|close|separators|mathvariant)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))", re.I
)
_COMMAND_AT_END = re.compile(r"\\[A-Za-z]+$")
_ONE_COMMAND = re.compile(r"\\[A-Za-z]+")
_FUNCTIONS = frozenset(
    "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min Pr sec"
    " sin sinh sup tan tanh".split()
)
_LIMITS = re.compile(
    r"\\(?:sum|prod|coprod|i*int|oint|big[a-z]+|lim|liminf|limsup|max|min|sup|inf|gcd|det|Pr|underbrace|overbrace)(?![A-Za-z])"
)
_COMMANDS = """
    α alpha β beta γ gamma δ delta ε varepsilon ϵ epsilon ζ zeta η eta θ theta ϑ vartheta ι iota κ kappa λ lambda μ mu µ mu ν nu
    ξ xi π pi ϖ varpi ρ rho ϱ varrho σ sigma ς varsigma τ tau υ upsilon φ varphi ϕ phi χ chi ψ psi ω omega Γ Gamma Δ Delta
    ∆ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega
    ± pm ∓ mp × times ÷ div · cdot ⋅ cdot ∘ circ ∙ bullet • bullet ⋆ star † dagger ⊕ oplus ⊖ ominus ⊗ otimes ⊙ odot
    ≤ leq ⩽ leqslant ≥ geq ⩾ geqslant ≠ neq ≈ approx ≡ equiv ∼ sim ≃ simeq ≅ cong ∝ propto ≪ ll ≫ gg ≺ prec ≻ succ
    ∈ in ∉ notin ∋ ni ⊂ subset ⊆ subseteq ⊊ subsetneq ⊃ supset ⊇ supseteq ∪ cup ∩ cap ∅ emptyset ∖ setminus
    ∀ forall ∃ exists ∄ nexists ¬ neg ∧ wedge ∨ vee ⊢ vdash ⊨ models ⊤ top ⊥ perp ∥ parallel ∣ mid ∤ nmid ∠ angle ∴ therefore
    → to ← leftarrow ↔ leftrightarrow ⇒ Rightarrow ⇐ Leftarrow ⇔ Leftrightarrow ↦ mapsto ⟶ longrightarrow ⟹ Longrightarrow
    ⟺ Longleftrightarrow ↑ uparrow ↓ downarrow ↪ hookrightarrow ⇀ rightharpoonup ⇌ rightleftharpoons
    ∞ infty ∂ partial ∇ nabla ℓ ell ℏ hbar ℵ aleph ℜ Re ℑ Im ℘ wp √ surd □ square ◻ square
    ∑ sum ∏ prod ∐ coprod ∫ int ∬ iint ∭ iiint ∮ oint ⋃ bigcup ⋂ bigcap ⋁ bigvee ⋀ bigwedge ⨁ bigoplus ⨂ bigotimes
    … ldots ⋯ cdots ⋮ vdots ⋱ ddots ⟨ langle ⟩ rangle 〈 langle 〉 rangle ⌊ lfloor ⌋ rfloor ⌈ lceil ⌉ rceil
""".split()
_OTHERS = "- - * \\| \\| ' '' ''' ^\\circ \\backslash \\sim".split()
_TEX = {
    **{ord(character): f"\\{name}" for character, name in zip(_COMMANDS[::2], _COMMANDS[1::2], strict=True)},
    **{ord(character): f"\\{character}" for character in "{}%#&$_"},
    **{ord(character): f"\\mathbb{{{letter}}}" for character, letter in zip("ℂℍℕℙℚℝℤ", "CHNPQRZ", strict=True)},
    **{ord(one): tex for one, tex in zip("−‐∗‖∥′″‴°\\~", _OTHERS, strict=True)},
    **dict.fromkeys((0x200B, 0x2061, 0x2062, 0x2063, 0x2064)),  # invisible operators
}  # fmt: skip
"""Character -> TeX, in formulas."""
_IN_TEXT = {ord(character): f"\\{character}" for character in "{}%#&$_"}
_ALPHABETS = (
    *((0x1D400, "mathbf"), (0x1D434, None), (0x1D468, "boldsymbol"), (0x1D49C, "mathcal"), (0x1D4D0, "mathcal")),
    *((0x1D504, "mathfrak"), (0x1D538, "mathbb"), (0x1D56C, "mathfrak"), (0x1D5A0, "mathsf"), (0x1D5D4, "mathsf")),
    *((0x1D608, "mathsf"), (0x1D63C, "mathsf"), (0x1D670, "mathtt")),
)
"""Unicode's alphabets for mathematics: the code point of A, and the command; a to z follow Z."""
for _start, _name in _ALPHABETS:
    for _offset, _letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"):
        _TEX[_start + _offset] = f"\\{_name}{{{_letter}}}" if _name else _letter
_VARIANTS = {
    "normal": "mathrm",
    "bold": "mathbf",
    "bold-italic": "boldsymbol",
    "double-struck": "mathbb",
    "script": "mathcal",
    "bold-script": "mathcal",
    "fraktur": "mathfrak",
    "sans-serif": "mathsf",
    "monospace": "mathtt",
}
_ACCENTS = {
    **dict.fromkeys("^ˆ\u0302", ("hat", "widehat")),
    **dict.fromkeys("¯‾ˉ\u0304\u0305_", ("bar", "overline")),
    **dict.fromkeys("~˜\u0303", ("tilde", "widetilde")),
    **dict.fromkeys("→⃗⇀", ("vec", "overrightarrow")),
    **dict.fromkeys("˙\u0307", ("dot", "dot")),
    **dict.fromkeys("¨\u0308", ("ddot", "ddot")),
    **dict.fromkeys("ˇ", ("check", "check")),
    **dict.fromkeys("˘", ("breve", "breve")),
    **dict.fromkeys("⏞︷", ("overbrace", "overbrace")),
}
"""What stands above -> the commands for one letter, and for more."""
_BELOW = {**dict.fromkeys("_¯‾̲", "underline"), **dict.fromkeys("⏟︸", "underbrace")}


class _Part(NamedTuple):
    """What an element became."""

    tex: str
    name: str
    text: str
    """Its characters as they are in the page, to know accents by."""


class _Open(NamedTuple):
    """An element whose end tag has not come."""

    name: str
    attributes: dict[str, str]
    parts: list[_Part]


def written(markup: str) -> str:
    """The content of a `math` element as TeX."""
    if len(markup) > _LONGEST:
        return _characters(markup)
    open_ = [_Open("math", {}, [])]
    for end, name, attributes, closed, text in _TOKEN.findall(markup):
        name = name.lower()
        if text:
            _add_text(open_[-1], unescape(text))
        elif closed:
            open_[-1].parts.append(_Part("", name, ""))
        elif not end:
            if len(open_) > _DEEPEST:
                return _characters(markup)
            found = {key.lower(): a or b or c for key, a, b, c in _ATTRIBUTE.findall(attributes)}
            open_.append(_Open(name, found, []))
        elif any(name == above.name for above in open_[1:]):
            while _close(open_) != name:
                pass
    while len(open_) > 1:
        _close(open_)
    return _joined(open_[0].parts)


def _characters(markup: str) -> str:
    """The characters of a formula."""
    return " ".join(unescape("".join(token[5] or "" for token in _TOKEN.finditer(markup))).split())


def _add_text(element: _Open, text: str) -> None:
    words = " ".join(text.split())
    if element.name in ("mtext", "ms"):  # white space around it does not count, a no-break space does
        words = " " * text.startswith("\xa0") + words + " " * text.endswith("\xa0")
        element.parts.append(_Part(words.translate(_IN_TEXT), "", words))
    elif words:
        characters = [_Part(character.translate(_TEX), "", "") for character in words]
        element.parts.append(_Part(_joined(characters), "", words))


def _close(open_: list[_Open]) -> str:
    """End the innermost element; returns its name."""
    element = open_.pop()
    tex = _element(element.name, element.attributes, element.parts)
    open_[-1].parts.append(_Part(tex, element.name, "".join(part.text for part in element.parts)))
    return element.name


def _joined(parts: list[_Part]) -> str:
    """Parts side by side, with a space behind a command that a letter or digit follows."""
    out: list[str] = []
    command = False
    for part in parts:
        if part.tex:
            if command and part.tex[0].isalnum():
                out.append(" ")
            out.append(part.tex)
            command = _COMMAND_AT_END.search(part.tex[-24:]) is not None
    return "".join(out)


def _group(tex: str) -> str:
    """The argument of a script."""
    return tex if len(tex) == 1 or _ONE_COMMAND.fullmatch(tex) else f"{{{tex}}}"


def _base(part: _Part) -> str:
    """What has a script, in braces where the script would be of its last part only."""
    tex, name, _ = part
    fenced = tex[:1] in ("(", "[", "|") or tex.startswith("\\{")
    several = name in ("mrow", "mstyle", "mpadded") and len(tex) > 1 and not _ONE_COMMAND.fullmatch(tex) and not fenced
    return f"{{{tex}}}" if not tex or several or name in ("msup", "msub", "msubsup") else tex


def _scripts(base: str, below: str, above: str) -> str:
    primes = above.strip("'") == ""
    return base + (f"_{_group(below)}" if below else "") + (above if primes else f"^{_group(above)}")


def _over(base: _Part, above: _Part) -> str:
    if (names := _ACCENTS.get(above.text)) is not None:
        return f"\\{names[len(base.text) > 1]}{{{base.tex}}}"
    if _LIMITS.match(base.tex):
        return _scripts(base.tex, "", above.tex)
    return f"\\overset{{{above.tex}}}{{{base.tex}}}"


def _under(base: _Part, below: _Part) -> str:
    if below.text in _BELOW:
        return f"\\{_BELOW[below.text]}{{{base.tex}}}"
    if _LIMITS.match(base.tex):
        return _scripts(base.tex, below.tex, "")
    return f"\\underset{{{below.tex}}}{{{base.tex}}}"


def _around(parts: list[_Part]) -> str:
    """A base with pairs of scripts behind it and, after `mprescripts`, before it."""
    split = next((at for at, part in enumerate(parts) if part.name == "mprescripts"), len(parts))
    behind, before = parts[1:split], parts[split + 1 :]
    tex = _base(parts[0]) if parts else ""
    for below, above in zip(behind[::2], behind[1::2], strict=False):
        tex = _scripts(tex, below.tex, above.tex)
    for below, above in zip(before[::2], before[1::2], strict=False):
        tex = _scripts("{}", below.tex, above.tex) + tex
    return tex


def _letters(text: str, tex: str, variant: str) -> str:
    if text in _FUNCTIONS:
        return f"\\{text}"
    command = _VARIANTS.get(variant)
    if command and text.isascii() and text.isalnum():
        return f"\\{command}{{{tex}}}"
    return f"\\mathrm{{{tex}}}" if len(text) > 1 and text.isascii() and text.isalpha() else tex


def _element(name: str, attributes: dict[str, str], parts: list[_Part]) -> str:
    """An element from what its children became."""
    first, second, third = (*parts, *[_Part("", "", "")] * 3)[:3]
    match name:
        case "annotation" | "annotation-xml" | "mphantom" | "none" | "mprescripts":
            return ""
        case "semantics" | "maction":
            return first.tex
        case "mi":
            text = "".join(part.text for part in parts)
            return _letters(text, _joined(parts), attributes.get("mathvariant", "").lower())
        case "mtext" | "ms":
            text = "".join(part.tex for part in parts)
            return f"\\text{{{text}}}" if len(text) > 1 else text
        case "mfrac":
            return f"\\frac{{{first.tex}}}{{{second.tex}}}"
        case "msqrt":
            return f"\\sqrt{{{_joined(parts)}}}"
        case "mroot":
            return f"\\sqrt[{second.tex}]{{{first.tex}}}"
        case "msup":
            return _scripts(_base(first), "", second.tex)
        case "msub":
            return _scripts(_base(first), second.tex, "")
        case "msubsup" | "munderover":
            return _scripts(_base(first), second.tex, third.tex)
        case "munder":
            return _under(first, second)
        case "mover":
            return _over(first, second)
        case "mmultiscripts":
            return _around(parts)
        case "mfenced":
            left, right = (attributes.get(key, mark).translate(_TEX) for key, mark in (("open", "("), ("close", ")")))
            marks = attributes.get("separators", ",").split() or [""]
            marks = [*"".join(marks)] or [""]
            inside = [part.tex + marks[min(at, len(marks) - 1)] for at, part in enumerate(parts[:-1])]
            return left + "".join(inside) + "".join(part.tex for part in parts[-1:]) + right
        case "mlabeledtr":
            return " & ".join(part.tex for part in parts[1:])
        case "mtr":
            return " & ".join(part.tex for part in parts)
        case "mtable":
            return "\\begin{matrix}" + " \\\\ ".join(part.tex for part in parts) + "\\end{matrix}"
        case _:
            return _joined(parts)
