"""All quality signals, by name.

To add one, write a function in the module it belongs to:

    def question_ratio(docs: Batch) -> FloatArray:
        \"\"\"Question marks per sentence; NaN without sentences.\"\"\"
        return ratio(docs.count("?"), docs.words.sentences)

put its name into that module's SIGNALS, and use it in a configuration: `question_ratio = { max = 0.5 }`. The function's
name is the signal's name everywhere; its docstring says what it counts, and its first line is shown to users.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError, did_you_mean
from pipeline.filters import basic, c4, fineweb, gopher, pii
from pipeline.filters.batch import Batch
from pipeline.filters.families import datatrove, dclm, dolma, olmo, redpajama, stopwords, text
from pipeline.filters.rules import FAMILIES
from pipeline.filters.signal_code import code_of
from pipeline.filters.verdicts import SignalFunction

_MODULES = (basic, gopher, c4, fineweb, pii, datatrove, dolma, dclm, redpajama, olmo, text, stopwords)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A named measure of a document."""

    name: str
    function: SignalFunction
    doc: str  # one line
    module: str  # "gopher"
    code: str
    """A hash of what it computes (pipeline.filters.signal_code)."""


@cache
def _signals() -> dict[str, Signal]:
    signals: dict[str, Signal] = {}
    for module in _MODULES:
        short = module.__name__.rpartition(".")[2]
        for function in module.SIGNALS:
            name = function.__name__
            if name in signals:
                raise ValueError(f"the signal {name} is defined in {signals[name].module} and again in {short}")
            doc = (function.__doc__ or "").strip().partition("\n")[0]
            code = code_of(function)
            signals[name] = Signal(name=name, function=function, doc=doc, module=short, code=code)
    return signals


def all_signals() -> dict[str, Signal]:
    """Every signal there is, in the order of its module and its place there."""
    return dict(_signals())


def stored_signals(families: Sequence[str] = ()) -> tuple[str, ...]:
    """The names of the signals that a run measures: all that belong to no family, and those of `families`."""
    return tuple(
        name for name, signal in _signals().items() if signal.module not in FAMILIES or signal.module in families
    )


def signals_key(families: Sequence[str] = ()) -> list[list[str]]:
    """What a step that stores these signals depends on: [name, code] of each, in the order of its columns.

    A signal that is added, renamed, moved or changed gives another key; a changed docstring does not.
    """
    signals = _signals()
    return [[name, signals[name].code] for name in stored_signals(families)]


def measure(
    array: pa.Array | pa.ChunkedArray, names: Sequence[str] | None = None, languages: pa.Array | None = None
) -> dict[str, pa.Array]:
    """Measure documents: a float64 array for each of `names` (default: `stored_signals()`), as long as `array`.

    array: string or large_string. languages: a label a document, for the signals that look at it.
    Null where the document is null; NaN where the signal is undefined for it.
    """
    signals = _signals()
    wanted = stored_signals() if names is None else names
    for name in wanted:
        if name not in signals:
            raise UserError(f"{name}: unknown signal{did_you_mean(name, signals)}; known: {', '.join(sorted(signals))}")
    batch = Batch.from_arrow(array, languages)
    null = np.asarray(batch.array.is_null()) if array.null_count else None
    return {name: pa.array(signals[name].function(batch), mask=null) for name in wanted}


def warm_up(families: Sequence[str] = ()) -> None:
    """Compile every kernel that these signals need, or load it from Numba's cache; workers need not compile it then."""
    measure(pa.array(["Warm up. " * 8]), stored_signals(families))
