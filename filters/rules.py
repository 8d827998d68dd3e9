"""Rules: a signal and the range of it that is kept. Deciding compares columns, so a new threshold measures nothing again.

    words = { min = 50, max = 100_000 }          # both bounds are kept
    line_punct_ratio = { above = 0.12 }          # 0.12 itself is dropped
    stop_words = { min = 2, languages = ["en"] } # does not apply to documents in other languages
    quality_score = { top = 0.1 }                # a share of the run's documents (quantiles.py)

A failed bound is named `signal.bound` ("words.min"). NaN (the signal is undefined for a document) fails no bound.
Signals of the edited text have names that begin with EDITED ("edited.words").
This module is light: it loads neither Numba nor Arrow.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from pipeline.arguments import one_number, one_text
from pipeline.errors import UserError, known_names

EDITED = "edited."
SIGNALS_PAGE = "docs/reference/signals.md"
"""Where all signals are listed."""

BOUNDS = ("min", "max", "above", "below")
SHARES = ("top", "bottom")
LIMITS = (*BOUNDS, *SHARES, "pareto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Keep a document whose `signal` is in a range, or among the highest or lowest; a bound that is None is off.

    Raises ValueError, naming the signal, for invalid bounds, and TypeError for bounds that are not numbers.
    """

    signal: str
    """The signal's name, prefixed with EDITED for the edited text."""
    min: float | None = None
    """The lowest value that is kept."""
    max: float | None = None
    """The highest value that is kept."""
    above: float | None = None
    """The highest value that is dropped."""
    below: float | None = None
    """The lowest value that is dropped."""
    top: float | None = None
    """Keep this share of the run's documents, those with the highest values; also beside a range (filters/quantiles.py)."""
    bottom: float | None = None
    """Keep this share of the run's documents, those with the lowest values."""
    by: Literal["language"] | None = None
    """Take `top` and `bottom` as shares of each language's documents."""
    pareto: float | None = None
    """Keep documents at random, the likelier the higher the signal: the exponent of GPT-3's sampling (GPT-3: 9)."""
    seed: int = 0
    """The seed of that sampling."""
    languages: tuple[str, ...] | None = None
    """The languages the rule applies to; absent: all. If documents have no language labels, it applies to all of them."""

    def __post_init__(self) -> None:
        one_text(self.signal, "signal")
        for name in LIMITS:
            if getattr(self, name) is not None:
                one_number(getattr(self, name), f"{self.signal}.{name}")
        for name, value in self.limits():
            if math.isnan(value):
                raise ValueError(f"{self.signal}.{name}: a number is needed, not nan")
        if isinstance(self.languages, str) or self.languages == ():
            raise ValueError(
                f'{self.signal}.languages: a list of labels is needed (["en", "de"]), not {self.languages!r}'
            )
        if not self.limits():
            raise ValueError(f"{self.signal}: a bound is needed: {', '.join(LIMITS)}; false switches off a base's rule")
        for bound, alternative in (("min", "above"), ("max", "below")):
            if getattr(self, bound) is not None and getattr(self, alternative) is not None:
                raise ValueError(f"{self.signal}: give {bound} or {alternative}, not both")
        low = self.min if self.above is None else self.above
        high = self.max if self.below is None else self.below
        open_ended = self.above is not None or self.below is not None
        if low is not None and high is not None and (low > high or (low == high and open_ended)):
            raise ValueError(f"{self.signal}: the range from {low:g} to {high:g} is empty")
        for side, share in self.shares():
            if not 0 < share < 1:
                raise ValueError(f"{self.signal}.{side}: a share between 0 and 1 is needed, not {share:g}")
        if self.pareto is not None and not 0 < self.pareto < math.inf:
            raise ValueError(f"{self.signal}.pareto: a number above 0 is needed (GPT-3: 9), not {self.pareto:g}")
        if self.by and not self.shares():
            raise ValueError(f"{self.signal}.by: needs `top` or `bottom`")

    def bounds(self) -> tuple[tuple[str, float], ...]:
        """The fixed bounds that are on: (("min", 50.0), ("max", 100000.0))."""
        return tuple(limit for limit in self.limits() if limit[0] in BOUNDS)

    def shares(self) -> tuple[tuple[str, float], ...]:
        """The bounds that are shares: (("top", 0.1),)."""
        return tuple(limit for limit in self.limits() if limit[0] in SHARES)

    def limits(self) -> tuple[tuple[str, float], ...]:
        """Everything that can drop a document: bounds, shares and sampling."""
        return tuple((name, float(value)) for name in LIMITS if (value := getattr(self, name)) is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The reasons this rule can give: ("words.min", "words.max")."""
        return tuple(f"{self.signal}.{name}" for name, _ in self.limits())

    @property
    def measured(self) -> str:
        """The signal's own name, without the prefix for the edited text."""
        return self.signal.removeprefix(EDITED)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a document is dropped: "quality.words.min" is a stage, a signal and the bound that the document fails.

    A rule without a signal has its own name there, and no bound: "extract.http_status", "language.keep".
    """

    stage: str
    signal: str
    bound: str | None

    @classmethod
    def of(cls, stage: str, rule: str) -> Self:
        """The reason for the name `rule` ("words.min") in a stage's column `dropped`."""
        signal, _, bound = rule.rpartition(".")
        return cls(stage, signal, bound) if signal else cls(stage, rule, None)

    @classmethod
    def parse(cls, name: str) -> Self:
        """A reason as reports write it."""
        stage, _, rule = name.partition(".")
        return cls.of(stage, rule)

    def __str__(self) -> str:
        return ".".join(part for part in (self.stage, self.signal, self.bound) if part is not None)


def check_signals(rules: Iterable[Rule], known: Iterable[str]) -> None:
    """UserError for the first rule on an unknown signal: such a rule would never fire."""
    names = sorted(known)
    for rule in rules:
        if rule.signal not in names:
            raise UserError(f"{rule.signal}: unknown signal{known_names(rule.signal, names, SIGNALS_PAGE)}")
