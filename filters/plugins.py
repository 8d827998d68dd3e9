"""Signals and edits from files of one's own: `plugins = ["my_filters.py"]` at the top of a config.

A plugin is a Python file that defines `SIGNALS`, exactly as pipeline/filters/basic.py does, or `EDITS`, or both:

    def strip_footer(text: str) -> str:
        \"\"\"Everything from "All rights reserved" on.\"\"\"
        return text.partition("All rights reserved")[0]

    EDITS = (strip_footer,)

A run measures all signals of its plugins. Edits are switched on by name and work in this order, after the line edits:
`[edit] functions = ["strip_footer"]`.

A plugin is known by its path and the digest of its content. Only the content counts for the result: another path changes
nothing, another content redoes the steps that store signals or edit. What the file imports is not looked at. Each
process loads a plugin once, so that it works the same in workers that are started afresh. This module is light.
"""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import UserError, did_you_mean
from pipeline.filters.options import is_taken

if TYPE_CHECKING:
    from pipeline.filters.signals import Signal

EditFunction = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFile:
    """A plugin: where it lies, and the BLAKE2b of its content in hex."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins:
    """What plugins define, by name."""

    signals: Mapping[str, "Signal"] = field(default_factory=dict)
    edits: Mapping[str, EditFunction] = field(default_factory=dict)

    def functions(self, names: Sequence[str]) -> dict[str, EditFunction]:
        """The edits of these names, in this order. UserError for an unknown or repeated name."""
        for name in names:
            if name not in self.edits:
                known = f"there are: {', '.join(self.edits)}" if self.edits else "no plugin defines EDITS"
                raise UserError(f"functions: no edit {name!r}{did_you_mean(name, self.edits)}; {known}")
            if names.count(name) > 1:
                raise UserError(f"functions: {name!r} is named twice")
        return {name: self.edits[name] for name in names}


def locate(paths: Sequence[str]) -> tuple[PluginFile, ...]:
    """The plugins at these paths; UserError for one that cannot be read."""
    return tuple(PluginFile(path=path, digest=_digest(_content(path))) for path in paths)


def load(files: Sequence[PluginFile]) -> Plugins:
    """What plugins define. UserError, naming the file, for one that fails, has changed, or takes a name that is in use."""
    if not files:
        return Plugins()
    from pipeline.filters.edits import MEASURES, REASONS
    from pipeline.filters.signals import all_signals, signals_in

    taken = dict.fromkeys((*all_signals(), *MEASURES), "built in")
    taken_edits = dict.fromkeys(REASONS, "built in")
    signals: dict[str, Signal] = {}
    edits: dict[str, EditFunction] = {}
    for file in files:
        module = _module(file.path, file.digest)
        for function in _functions(module, "SIGNALS", file.path):
            _claim(function, "signal", taken, file.path)
        for function in _functions(module, "EDITS", file.path):
            _claim(function, "edit", taken_edits, file.path)
            edits[function.__name__] = function
        if hasattr(module, "SIGNALS"):
            _check_languages(module, file.path)
            signals |= {signal.name: signal for signal in signals_in(module, None, file.digest)}
    return Plugins(signals=signals, edits=edits)


def _functions(module: ModuleType, name: str, path: str) -> tuple[Callable[..., Any], ...]:
    functions = getattr(module, name, ())
    if not isinstance(functions, tuple) or not all(hasattr(function, "__name__") for function in functions):
        raise UserError(f"plugins: {path}: {name}: a tuple of functions is needed, not {functions!r}")
    if not hasattr(module, "SIGNALS") and not hasattr(module, "EDITS"):
        raise UserError(f"plugins: {path}: defines neither SIGNALS nor EDITS")
    return functions


def _check_languages(module: ModuleType, path: str) -> None:
    labels = getattr(module, "LANGUAGES", ())
    if not isinstance(labels, tuple) or not all(isinstance(label, str) for label in labels):
        raise UserError(f"plugins: {path}: LANGUAGES: a tuple of labels is needed, not {labels!r}")


def _claim(function: Callable[..., Any], kind: str, taken: dict[str, str], path: str) -> None:
    """Enter a function's name into the names that are taken."""
    name = function.__name__
    owner = "a column's name" if kind == "signal" and is_taken(name) else taken.get(name)
    if owner:
        raise UserError(f"plugins: {path}: the {kind} {name} has a name that is {owner}; give it another one")
    if not name.isidentifier():
        article = "an" if kind == "edit" else "a"
        raise UserError(f"plugins: {path}: {name!r}: the name of {article} {kind} is made of letters, digits and _")
    taken[name] = f"in use in {path}"


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"plugins: {path}: cannot be read: {error.strerror}") from None


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@cache
def _module(path: str, digest: str) -> ModuleType:
    content = _content(path)
    if _digest(content) != digest:
        raise UserError(f"plugins: {path}: has changed while the run was at work; run it again")
    module = ModuleType(f"plugin_{digest}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickle look a class's module up by name
    try:
        exec(compile(content, path, "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[module.__name__]
        raise UserError(f"plugins: {path}: {type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
    return module


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What edit functions did to documents: arrays of one entry a document."""

    texts: pa.Array
    """The edited texts; null where the given text is."""
    lines: dict[str, npt.NDArray[np.int32]]
    """By function: how many fewer lines that are not blank the text has after it."""
    words: dict[str, npt.NDArray[np.int32]]
    """By function: how many fewer words, of those that begin with a letter or digit, the text has after it."""
    kept_lines: npt.NDArray[np.float64]
    """Share of the given text's lines that all functions together left; 1 for a text without any."""
    kept_words: npt.NDArray[np.float64]


def apply_edits(texts: pa.Array, functions: Mapping[str, EditFunction]) -> Applied:
    """Apply edit functions, one after another, to each document. TypeError where one returns anything but a string."""
    rows = texts.to_pylist()
    lines = {name: np.zeros(len(rows), np.int32) for name in functions}
    words = {name: np.zeros(len(rows), np.int32) for name in functions}
    kept_lines, kept_words = np.ones(len(rows)), np.ones(len(rows))
    for place, text in enumerate(rows):
        if text is None:
            continue
        for name, function in functions.items():
            edited = function(text)
            if not isinstance(edited, str):
                raise TypeError(f"the edit {name} returned {type(edited).__name__}; a string is needed")
            if edited != text:
                for count, removed, kept in ((_lines, lines, kept_lines), (_words, words, kept_words)):
                    before = count(text)
                    removed[name][place] = max(0, before - count(edited))
                    kept[place] *= 1 - removed[name][place] / before if before else 1
                text = edited
        rows[place] = text
    try:
        edited_texts = pa.array(rows, texts.type)
    except UnicodeEncodeError as error:  # which pyarrow raises without a name
        names = ", ".join(functions)
        raise TypeError(f"one of the edits {names} returned a text that UTF-8 does not have: {error}") from None
    return Applied(texts=edited_texts, lines=lines, words=words, kept_lines=kept_lines, kept_words=kept_words)


def _lines(text: str) -> int:
    return sum(not line.isspace() for line in text.splitlines() if line)


def _words(text: str) -> int:
    return sum(word[0].isalnum() for word in text.split())
