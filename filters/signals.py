"""All quality signals, by name.

To add one, write a function in the module it belongs to:

    def question_ratio(docs: Batch) -> FloatArray:
        \"\"\"Question marks per sentence; NaN without sentences.\"\"\"
        return ratio(docs.count("?"), docs.words.sentences)

add its name to that module's SIGNALS, and use it in a config: `question_ratio = { max = 0.5 }`. The function's name is the
signal's name everywhere; its docstring says what it counts, and the first line of it is shown to users.

To add a family, write a module with SIGNALS in filters/families/. If its signals exist for some languages only, the module
lists their labels in LANGUAGES. Its signals then see the documents' labels, and a rule on one drops documents in other
languages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType, ModuleType

import numpy as np
import pyarrow as pa

from pipeline.arguments import kind_of
from pipeline.errors import UserError, did_you_mean
from pipeline.filters.batch import Batch, FloatArray, SignalFunction
from pipeline.filters.discovery import common_modules, family_names
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.signal_code import code_of, defined_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A named measure of a document."""

    name: str
    function: SignalFunction
    doc: str
    """One line."""
    code: str
    """A hash of its code (pipeline.filters.signal_code)."""
    family: str | None
    """The family it belongs to; None for a signal that is always measured."""
    languages: tuple[str, ...] | None = None
    """The labels it is defined for; None if it does not depend on the language."""


NO_SIGNALS: Mapping[str, Signal] = MappingProxyType({})


def all_signals(plugins: Mapping[str, Signal] = NO_SIGNALS) -> dict[str, Signal]:
    """All signals: the common ones, then those of each family, in the order of their modules' SIGNALS, then the plugins'.

    plugins: signals that a config's plugins define (pipeline.filters.plugins), here and in the functions below.
    """
    return {**_signals(family_names()), **plugins}


@cache
def _signals(families: tuple[str, ...]) -> dict[str, Signal]:
    modules: list[tuple[str | None, ModuleType]] = []
    modules += [(None, import_module(f"pipeline.filters.{name}")) for name in common_modules()]
    modules += [(name, import_module(f"pipeline.filters.families.{name}")) for name in families]
    signals: dict[str, Signal] = {}
    for family, module in modules:
        for signal in signals_in(module, family):
            if signal.name in signals:
                first = signals[signal.name].function.__module__
                raise ValueError(f"the signal {signal.name} is defined in {first} and again in {module.__name__}")
            signals[signal.name] = signal
    return signals


def signals_in(module: ModuleType, family: str | None, code: str | None = None) -> list[Signal]:
    """The signals that a module defines. `code`: a hash of the whole module, used in place of a hash of each function."""
    return [
        Signal(
            name=function.__name__,
            function=function,
            doc=(function.__doc__ or "").strip().partition("\n")[0],
            code=code or code_of(function),
            family=family,
            languages=getattr(module, "LANGUAGES", None),
        )
        for function in module.SIGNALS
    ]


def families_of(names: Iterable[str]) -> tuple[str, ...]:
    """The families, sorted, of the signals with these names; unknown names are ignored."""
    signals = all_signals()
    return tuple(sorted({family for name in names if name in signals and (family := signals[name].family)}))


def stored_signals(families: Sequence[str] = (), plugins: Mapping[str, Signal] = NO_SIGNALS) -> tuple[str, ...]:
    """The names of the signals that a run measures: all without a family, and those of `families`."""
    return tuple(
        name for name, signal in all_signals(plugins).items() if signal.family is None or signal.family in families
    )


def need_languages(names: Iterable[str], plugins: Mapping[str, Signal] = NO_SIGNALS) -> bool:
    """Whether any of these signals depends on a document's language."""
    signals = all_signals(plugins)
    return any(signals[name].languages is not None for name in names)


def signals_key(families: Sequence[str] = (), plugins: Mapping[str, Signal] = NO_SIGNALS) -> list[list[str]]:
    """The part of a step's key for these signals: [name, code] of each, in the order of its columns.

    Adding, renaming, moving or changing a signal gives a new key; changing a docstring does not.
    """
    signals = all_signals(plugins)
    return [[name, signals[name].code] for name in stored_signals(families, plugins)]


def measure(
    array: Texts,
    names: Sequence[str] | None = None,
    languages: pa.Array | None = None,
    plugins: Mapping[str, Signal] = NO_SIGNALS,
) -> dict[str, pa.Array]:
    """Measure documents: for each of `names` (default: `stored_signals()`) a float64 array as long as `array`.

    array: string or large_string, or strings and None. languages: one label per document, for signals that depend on it.
    A value is null if the document is null, NaN if the signal is undefined for it. UserError for an unknown name.
    """
    signals = all_signals(plugins)
    if names is None:
        names = stored_signals((), plugins)
    for name in names:
        if name not in signals:
            raise UserError(f"{name}: unknown signal{did_you_mean(name, signals)}; known: {', '.join(sorted(signals))}")
    batch = Batch.from_arrow(array, languages)
    is_null = np.asarray(batch.array.is_null()) if batch.array.null_count else None
    return {name: pa.array(_values(signals[name], batch), mask=is_null) for name in names}


def _values(signal: Signal, batch: Batch) -> FloatArray:
    """The values of a signal, as float64; UserError if they are not one number per document."""
    returned = signal.function(batch)
    try:
        values = np.asarray(returned)
        kind = f"an array of {values.dtype} with shape {values.shape}"
        is_right = values.shape == (len(batch),) and values.dtype.kind in "biuf"
    except ValueError:  # lists of different lengths
        kind, is_right = f"{kind_of(returned)} that is no array", False
    if not is_right:
        needed = f"a number for each of {len(batch):,} texts is needed, NaN for none"
        raise UserError(f"the signal {signal.name} returned {kind}; {needed}{defined_at(signal.function)}")
    return values.astype(np.float64, copy=False)


def warm_up(families: Sequence[str] = ()) -> None:
    """Compile every kernel that these signals need, or load it from Numba's cache, so that workers need not compile."""
    measure(pa.array(["Warm up. " * 8]), stored_signals(families))
