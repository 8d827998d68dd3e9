r"""LaTeX in a text: its formulas, found and taken out, and which commands are common.

A formula stands in $x$, $$x$$, \(x\), \[x\] or an environment of mathematics. A dollar sign before white space begins none, and
one behind white space or before a digit ends none (Pandoc's rule), so that prices are no formulas; neither is a single word.
Plain text of our extractor has no dollars: there a formula is known by its commands.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arguments import text_array
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.kernels.normalize import normalize as normalize_words

_ENVIRONMENTS = r"(?:equation|align|alignat|gather|multline|eqnarray|flalign|displaymath|math)\*?"
# Each way ends at the next beginning of its kind, so that no text is searched twice.
_FORMULA = re.compile(
    r"(?<!\\)\$\$(?P<display>[^$]{1,5000})\$\$"
    r"|(?<![\\$])\$(?![\s$])(?P<inline>[^$\n]{1,1000})(?<![\s\\])\$(?![\d$])"
    r"|(?<!\\)\\\((?P<round>(?:[^\\]|\\(?![()])){1,1000})\\\)"
    r"|(?<!\\)\\\[(?P<square>(?:[^\\]|\\\\|\\(?![\[\]])){1,5000})\\\]"
    rf"|\\begin\{{(?P<name>{_ENVIRONMENTS})\}}(?:[^\\]|\\(?!begin\{{{_ENVIRONMENTS}\}}|end\{{)|\\end\{{(?!{_ENVIRONMENTS}\}}))"
    r"{0,5000}\\end\{(?P=name)\}"
)
_INSIDE = ("display", "inline", "round", "square")
_OPERATOR = re.compile(r"[\^_=<>+]")
_SYMBOL = re.compile(r"[^\W_]{1,2}'*")
_NOT_IN_FORMULAS = re.compile(r"[^\W\d_]{4}|[`|]|\*\*|\n\n")
"""Words, code, cells and marks of Markdown: formulas without a command have none of them."""
_COMMAND = re.compile(r"\\([A-Za-z]{2,20})(?![A-Za-z])")
_COMMAND_AND_ARGUMENTS = re.compile(r"(?:\\[A-Za-z]{2,20}(?![A-Za-z])|[_^])(?:\{[^{}]{0,200}\})*")
COMMON = frozenset(
    """
    alpha approx binom bmod cap cdot cdots chi circ cong cup delta Delta displaystyle ell epsilon equiv eta forall frac gamma
    Gamma ge geq hbar infty int kappa lambda Lambda langle ldots le leftarrow leq lim ln mapsto mathbb mathbf mathcal mathfrak
    mathrm mu nabla ne neq nu omega Omega operatorname oplus otimes overline partial perp phi Phi pi Pi pm prod propto psi Psi
    quad rangle rho Rightarrow rightarrow setminus sigma Sigma sqrt subset subseteq tau tfrac theta Theta varepsilon varphi vec
    wedge xi zeta
    """.split()  # noqa: SIM905
)
"""Commands of formulas that are no names of folders: a text with one of them has LaTeX."""
MOST = 100
"""How many of a corpus's commands tell a text of mathematics (OpenWebMath, Paster et al. 2023)."""


def formulas(text: str) -> Iterator[re.Match[str]]:
    """The formulas of a text in dollars, brackets or environments."""
    if "$" not in text and "\\" not in text:
        return
    for found in _FORMULA.finditer(text):
        if found["name"] or _is_formula(next(inside for inside in found.group(*_INSIDE) if inside is not None)):
            yield found


def _is_formula(inside: str) -> bool:
    if "`" in inside or "\n\n" in inside:
        return False
    if _COMMAND.search(inside) or _SYMBOL.fullmatch(inside.strip()):
        return True
    return _OPERATOR.search(inside) is not None and _NOT_IN_FORMULAS.search(inside) is None


def common_commands(text: str) -> int:
    """How many of a text's commands are common ones."""
    return sum(name in COMMON for name in _COMMAND.findall(text)) if "\\" in text else 0


def has_latex(texts: Texts) -> npt.NDArray[np.bool_]:
    """Whether each text has a formula or a common command, bool (n,)."""
    rows = text_array(texts).to_pylist()
    return np.array(
        [text is not None and (common_commands(text) > 0 or next(formulas(text), None) is not None) for text in rows],
        np.bool_,
    )


def without_latex(text: str) -> str:
    """A text without its formulas and commands, a space for each."""
    out, at = [], 0
    for found in formulas(text):
        out.append(text[at : found.start()])
        at = found.end()
    out.append(text[at:])
    rest = " ".join(out)
    return _COMMAND_AND_ARGUMENTS.sub(" ", rest) if common_commands(rest) else rest


def commands(text: str) -> set[str]:
    """The names of the commands in a text's formulas; in all of it where only a common command shows that it has formulas."""
    found = [formula[0] for formula in formulas(text)]
    if not found and not common_commands(text):
        return set()
    return set(_COMMAND.findall(" ".join(found) if found else text))


def commonest_commands(texts: Iterable[pa.Array]) -> list[str]:
    """The MOST commands that most texts have, the commonest first."""
    counts = Counter[str]()
    for array in texts:
        for text in array.to_pylist():
            counts.update(commands(text or ""))
    return [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST]]


def with_commands(texts: Iterable[pa.Array], names: Iterable[str], wanted: bool) -> Iterator[pa.Array]:
    """The texts that have one of the commands, or those that have no LaTeX at all."""
    known = frozenset(names)
    for array in texts:
        rows = array.to_pylist()
        has = np.array([not known.isdisjoint(commands(text or "")) for text in rows], np.bool_)
        yield array.filter(pa.array(has if wanted else ~has & ~has_latex(rows)))


def normalize(texts: Texts, normalization: str, *, keep_lines: bool = False) -> pa.Array:
    """As `normalize` of filters/kernels/normalize.py; for "no_latex" the texts without LaTeX."""
    if normalization == "no_latex":
        rows = text_array(texts).to_pylist()
        texts = pa.array([None if text is None else without_latex(text) for text in rows], pa.large_string())
    return normalize_words(texts, normalization, keep_lines=keep_lines)
