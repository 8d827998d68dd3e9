"""Rules: a signal and the range of it that is kept. Deciding is comparing columns, so a new threshold measures nothing.

    words = { min = 50, max = 100_000 }          # both bounds are kept
    line_punct_ratio = { above = 0.12 }          # 0.12 itself is dropped
    stop_words = { min = 2, languages = ["en"] } # leaves documents in other languages alone

A failed bound is named `signal.bound` ("words.min"). NaN, a signal that is undefined for a document, fails no bound.
This module is light: it loads neither Numba nor a kernel.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import UserError, did_you_mean

_BOUNDS = ("min", "max", "above", "below")
_KEYS = (*_BOUNDS, "languages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Keep a document whose `signal` lies in a range; a bound that is None is off.

    min, max: the bound itself is kept. above, below: the bound itself is dropped.
    languages: labels the rule applies to; None: all. Where documents carry no labels at all, it applies to all of them.
    Raises UserError, naming the signal, when the range is none.
    """

    signal: str
    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None
    languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for bound in _BOUNDS:
            value = getattr(self, bound)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value != value):
                raise UserError(f"{self.signal}.{bound}: a number is needed, not {value!r}")
        if self.languages is not None and (
            isinstance(self.languages, str)
            or not self.languages
            or not all(isinstance(label, str) for label in self.languages)
        ):
            raise UserError(
                f'{self.signal}.languages: a list of labels is needed (["en", "de"]), not {self.languages!r}'
            )
        if not self.bounds():
            raise UserError(f"{self.signal}: a bound is needed: {', '.join(_BOUNDS)}")
        for one, other in (("min", "above"), ("max", "below")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise UserError(f"{self.signal}: give {one} or {other}, not both")
        low = self.min if self.above is None else self.above
        high = self.max if self.below is None else self.below
        open_ended = self.above is not None or self.below is not None
        if low is not None and high is not None and (low > high or (low == high and open_ended)):
            raise UserError(f"{self.signal}: the range from {low:g} to {high:g} is empty")

    def bounds(self) -> tuple[tuple[str, float], ...]:
        """The bounds that are on, as (bound, value): (("min", 50.0), ("max", 100000.0))."""
        return tuple((bound, float(value)) for bound in _BOUNDS if (value := getattr(self, bound)) is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The reasons this rule can give: ("words.min", "words.max")."""
        return tuple(f"{self.signal}.{bound}" for bound, _ in self.bounds())


class OnSignal(Protocol):
    """Any kind of rule: on a signal."""

    @property
    def signal(self) -> str:
        """The signal's name."""


def parse_rule(signal: str, table: Mapping[str, Any]) -> Rule:
    """The rule that a configuration's `signal = { … }` says; UserError names an unknown key and the known ones."""
    if not isinstance(table, Mapping):
        raise UserError(f"{signal}: a table is needed, such as {{ min = 1 }}; its keys: {', '.join(_KEYS)}")
    for key in table:
        if key not in _KEYS:
            raise UserError(f"{signal}.{key}: unknown key{did_you_mean(str(key), _KEYS)}; accepted: {', '.join(_KEYS)}")
    languages = table.get("languages")
    if isinstance(languages, list):
        languages = tuple(languages)
    return Rule(signal=signal, languages=languages, **{bound: table.get(bound) for bound in _BOUNDS})


def check_signals(rules: Iterable[OnSignal], known: Iterable[str]) -> None:
    """UserError for the first rule on a signal that does not exist: such a rule would never fire."""
    names = sorted(known)
    for rule in rules:
        if rule.signal not in names:
            hint = did_you_mean(rule.signal, names)
            raise UserError(f"{rule.signal}: unknown signal{hint}; known: {', '.join(names)}")


def decide(
    rules: Sequence[Rule],
    signals: Mapping[str, pa.Array],
    languages: pa.Array | None = None,
    others: Sequence[tuple[str, npt.NDArray[np.bool_]]] = (),
) -> pa.ListArray:
    """For each document the names of all bounds it fails, in the rules' order: list<string>, an empty list for kept.

    signals: a float64 array for each rule's signal, all of one length. languages: a label a document (null: unknown, so
    no rule with languages applies). others: further reasons, and which documents they hold for.
    A document whose signals are null gets a null list. UserError: unknown signal.
    """
    check_signals(rules, signals)
    if not signals:
        raise ValueError("the number of documents is not known without any signal")
    documents = len(next(iter(signals.values())))
    null = np.zeros(documents, bool)
    names: list[str] = []
    failures: list[npt.NDArray[np.bool_]] = []
    for rule in rules:
        column = signals[rule.signal]
        null |= np.asarray(column.is_null())
        values = column.fill_null(math.nan).to_numpy(zero_copy_only=False)
        applies = labelled(languages, rule.languages)
        for bound, limit in rule.bounds():
            names.append(f"{rule.signal}.{bound}")
            failures.append(_FAILS[bound](values, limit) & applies)
    for name, fails in others:
        names.append(name)
        failures.append(fails)
    failed = np.array(failures, dtype=bool).reshape(len(names), documents).T
    failed = failed & ~null[:, None]
    offsets = np.zeros(documents + 1, np.int32)
    np.cumsum(failed.sum(axis=1), out=offsets[1:])
    which = pa.array(np.nonzero(failed)[1], pa.int32())
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(names, pa.string()).take(which), mask=pa.array(null) if null.any() else None
    )


_FAILS = {"min": np.less, "max": np.greater, "above": np.less_equal, "below": np.greater_equal}


def labelled(languages: pa.Array | None, wanted: tuple[str, ...] | None) -> npt.NDArray[np.bool_] | np.bool_:
    """The documents in one of the wanted languages; all of them where no languages are wanted, or none are known."""
    if languages is None or wanted is None:
        return np.True_
    labels = np.asarray(languages.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)
    return np.isin(labels, np.array(wanted, dtype=object)) if len(labels) else np.zeros(0, bool)
