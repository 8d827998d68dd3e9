"""The language of a page's code, as its highlighter named it in a class or attribute: for the fence in Markdown."""

import re
from collections.abc import Iterator

import numpy as np

from pipeline.extract.native.names import TAG
from pipeline.extract.native.parsed import Parsed

_PRE, _CODE, _TD = (TAG[name] for name in "pre code td".split())
_AROUND = frozenset(TAG[name] for name in "div figure table tbody tr td code section".split()) | {0}
"""What may be between the element that names the language and the code."""
_LEVELS = 7
"""How many elements above the code are looked at: Hexo's figure is five above it."""
_LONGEST_TAG = 2000
_CLASSES = re.compile(
    rb"(?<![\w-])(class|data-lang|data-language|lang)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))", re.I
)
_PREFIXED = re.compile(r"(?:lang|language|highlight-source|highlight-text|highlight|brush:?)[-:_]([a-z0-9+#._-]+)")
_NAMED = frozenset(
    """
    hljs highlight sourcecode prettyprint brush: brush syntaxhighlighter shiki chroma code-block wp-block-code codehilite
    """.split()
)
"""Classes of highlighters, beside which a class may be a language's name."""
_LANGUAGES = frozenset(
    """
    actionscript ada apache applescript arduino asm assembly awk bash basic bat batch bibtex c c# c++ clojure cmake cobol
    coffeescript console cpp cs csharp css csv cuda d dart delphi diff django docker dockerfile elixir elm erlang f# fortran
    fsharp glsl go golang graphql groovy haskell hcl html http ini java javascript jinja js json json5 jsx julia kotlin latex
    less lisp lua makefile markdown mathematica matlab md mysql nginx nim nix objc objective-c objectivec ocaml octave pascal
    perl php plsql postgresql powershell prolog properties protobuf ps1 puppet py pycon python python2 python3 r racket rb
    regex rst ruby rust sas sass scala scheme scss sh shell shell-session sql stata svelte svg swift tcl terraform tex toml ts
    tsx typescript vb vba vbnet verilog vhdl vim vue wasm xhtml xml xquery yaml yml zig zsh
    """.split()
)
_NO_LANGUAGES = frozenset(
    "none text txt plain plaintext nohighlight no-highlight default auto unknown language lang code output".split()
)
_SHORTER = {"html-basic": "html", "html-erb": "erb", "source-shell": "shell"}
_LONGEST = 20


def code_languages(page: Parsed, html: bytes) -> Iterator[tuple[int, bytes]]:
    """For each `pre` of a page parsed with marks whose language is named: (element, name in lower case)."""
    for e in np.flatnonzero(page.tag == _PRE).tolist():
        inside = e + 1 if e + 1 < len(page.tag) and page.tag[e + 1] == _CODE and page.parent[e + 1] == e else e
        language = _language(page, html, inside)
        above = e
        if language is None and inside != e:
            language = _language(page, html, e)
        for _ in range(_LEVELS):
            above = int(page.parent[above])
            if language is not None or above <= 0 or page.tag[above] not in _AROUND:
                break
            language = _language(page, html, above)
        if language:
            yield e, language.encode()


def _language(page: Parsed, html: bytes, element: int) -> str | None:
    """The language that an element names; empty if it says that there is none, None if it does not say."""
    begin = int(page.begins[element])
    end = html.find(b">", begin, begin + _LONGEST_TAG)
    found = _CLASSES.findall(html, begin, end if end >= 0 else begin + _LONGEST_TAG)
    values: dict[bytes, str] = {name.lower(): (a or b or c).decode().lower() for name, a, b, c in found}
    for name in (b"data-lang", b"data-language"):
        if values.get(name) in _NO_LANGUAGES:
            return ""
        if values.get(name) and _is_name(values[name]):
            return values[name]
    classes = values.get(b"class", "").replace("brush: ", "brush:").replace(";", " ").split()
    for one in classes:
        if (prefixed := _PREFIXED.fullmatch(one)) is not None:
            language = _SHORTER.get(prefixed[1], prefixed[1])
            if language in _NO_LANGUAGES:
                return ""
            if _is_name(language) and (language in _LANGUAGES or not one.startswith("highlight-")):
                return language
    if values.get(b"lang") in _LANGUAGES and page.tag[element] in (_PRE, _CODE):
        return values[b"lang"]
    if any(one in _NAMED for one in classes) or page.tag[element] == _CODE:
        return next((one for one in classes if one in _LANGUAGES), None)
    return None


def _is_name(word: str) -> bool:
    return len(word) <= _LONGEST and "`" not in word and word.isascii() and word[0].isalnum()
