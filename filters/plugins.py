"""Signals and edits from a user's own files: `plugins = ["my_filters.py"]` at the top of a config.

A plugin is a Python file that defines `SIGNALS`, exactly as pipeline/filters/basic.py does, or `EDITS`, or both:

    def strip_footer(text: str) -> str:
        \"\"\"Everything from "All rights reserved" on.\"\"\"
        return text.partition("All rights reserved")[0]

    EDITS = (strip_footer,)

A run measures all signals of its plugins. Edits are switched on by name, and are applied in that order, after the line
edits: `[edit] functions = ["strip_footer"]`.

A plugin is identified by its path and the digest of its content. Only the content is part of the keys: a new path changes
nothing, new content reruns the steps that measure signals or edit. Files that the plugin imports are not checked. Each
process loads a plugin once, so it works in spawned workers too. This module is light.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, wraps
from pathlib import Path
from traceback import extract_tb, format_exc
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arguments import kind_of, not_one
from pipeline.errors import DocumentError, UserError, did_you_mean, from_here
from pipeline.filters.options import is_taken
from pipeline.filters.signal_code import defined_at

if TYPE_CHECKING:
    from pipeline.filters.signals import Signal

EditFunction = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFile:
    """A plugin: its path, and the BLAKE2b of its content in hex."""

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
                known = f"known: {', '.join(self.edits)}" if self.edits else "no plugin defines EDITS"
                raise UserError(f"functions: no edit {name!r}{did_you_mean(name, self.edits)}; {known}")
            if names.count(name) > 1:
                raise UserError(f"functions: {name!r} is named twice")
        return {name: self.edits[name] for name in names}


def locate(paths: Sequence[str]) -> tuple[PluginFile, ...]:
    """The plugins at these paths; UserError for one that cannot be read."""
    not_one(paths, "paths", "paths", "path")
    return tuple(PluginFile(path=path, digest=_digest(_content(path))) for path in paths)


def load(files: Sequence[PluginFile]) -> Plugins:
    """Load plugins. UserError, naming the file, for one that fails, has changed, or uses a name that is taken."""
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
            edits[function.__name__] = _guarded(
                function, f"plugins: {file.path}: the edit {function.__name__}", file.path
            )
        if hasattr(module, "SIGNALS"):
            _check_languages(module, file.path)
            for signal in signals_in(module, None, file.digest):
                guarded = _guarded(signal.function, f"plugins: {file.path}: the signal {signal.name}", file.path)
                signals[signal.name] = replace(signal, function=guarded)
    return Plugins(signals=signals, edits=edits)


def _guarded(function: Callable[[Any], Any], what: str, path: str) -> Callable[[Any], Any]:
    """A function of a plugin whose own errors are the user's: DocumentError with the line of the plugin, and the
    traceback for the log."""

    @wraps(function)
    def guarded(argument: Any) -> Any:
        try:
            return function(argument)
        except MemoryError:  # it drops the document
            raise
        except Exception as error:
            lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == path]
            line = lines[-1] if lines else _first_line(function)
            message = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}{_hint(error, argument)}"
            raise DocumentError(f"{what}: {message} (line {line})", format_exc()) from error

    return guarded


def _hint(error: Exception, argument: Any) -> str:
    """What helps with the usual mistakes of a signal: `argument` is the batch it was called with, or the text of an edit."""
    if isinstance(argument, str):
        return ""
    if isinstance(error, AttributeError) and error.obj is argument:
        return f"; it has {', '.join(name for name in dir(argument) if name[0] != '_')}"
    return "; docs.array has None for a document without text" if "NoneType" in str(error) else ""


def _first_line(function: Callable[..., Any]) -> int:
    """The line where a function begins; 1 of one that is not written in Python."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_firstlineno if code else 1


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
    """Add a function's name to the names that are taken."""
    name = function.__name__
    owner = "a column's name" if kind == "signal" and is_taken(name) else taken.get(name)
    if owner:
        raise UserError(f"plugins: {path}: the name of the {kind} {name} is {owner}; choose another one")
    if not name.isidentifier():
        article = "an" if kind == "edit" else "a"
        raise UserError(f"plugins: {path}: {name!r}: the name of {article} {kind} may only have letters, digits and _")
    taken[name] = f"in use in {path}"


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        hint = from_here(path) if isinstance(error, FileNotFoundError) else ""
        raise UserError(f"plugins: {path}: cannot be read: {error.strerror}{hint}") from None


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@cache
def _module(path: str, digest: str) -> ModuleType:
    content = _content(path)
    if _digest(content) != digest:
        raise UserError(f"plugins: {path}: changed during the run; run it again")
    module = ModuleType(f"plugin_{digest}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickle look a class's module up by name
    try:
        exec(compile(content, path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise UserError(f"plugins: {path}: {type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
    return module


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What edit functions did to documents: arrays with one entry per document."""

    texts: pa.Array
    """The edited texts; null for a null text."""
    lines: dict[str, npt.NDArray[np.int32]]
    """By function: how many non-blank lines it removed."""
    words: dict[str, npt.NDArray[np.int32]]
    """By function: how many words that begin with a letter or digit it removed."""
    kept_lines: npt.NDArray[np.float64]
    """Share of the text's lines that are left after all functions; 1 for a text without lines."""
    kept_words: npt.NDArray[np.float64]


def apply_edits(texts: pa.Array, functions: Mapping[str, EditFunction]) -> Applied:
    """Apply edit functions, one after another, to each document. UserError if one does not return a string."""
    edited_texts = texts.to_pylist()
    lines = {name: np.zeros(len(edited_texts), np.int32) for name in functions}
    words = {name: np.zeros(len(edited_texts), np.int32) for name in functions}
    kept_lines, kept_words = np.ones(len(edited_texts)), np.ones(len(edited_texts))
    for row, text in enumerate(edited_texts):
        if text is None:
            continue
        for name, function in functions.items():
            edited = function(text)
            if not isinstance(edited, str):
                what = kind_of(edited)
                raise UserError(f"the edit {name} returned {what}; a string is needed{defined_at(function)}")
            if edited != text:
                for count, removed, kept in ((_lines, lines, kept_lines), (_words, words, kept_words)):
                    before = count(text)
                    removed[name][row] = max(0, before - count(edited))
                    kept[row] *= 1 - removed[name][row] / before if before else 1
                text = edited
        edited_texts[row] = text
    try:
        array = pa.array(edited_texts, texts.type)
    except UnicodeEncodeError as error:  # pyarrow raises it without naming an edit
        names = ", ".join(functions)
        raise UserError(f"one of the edits {names} returned a text that UTF-8 cannot represent: {error}") from None
    return Applied(texts=array, lines=lines, words=words, kept_lines=kept_lines, kept_words=kept_words)


def _lines(text: str) -> int:
    return sum(not line.isspace() for line in text.splitlines() if line)


def _words(text: str) -> int:
    return sum(word[0].isalnum() for word in text.split())
