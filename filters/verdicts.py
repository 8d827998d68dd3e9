"""From texts to verdicts in one call, without a run: `evaluate` by any rules, and what each paper's `evaluate` does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arguments import kind_of, not_one
from pipeline.errors import UserError
from pipeline.filters.batch import Batch, FloatArray, SignalFunction
from pipeline.filters.decisions import decide
from pipeline.filters.kernels.arrays import Texts
from pipeline.filters.rules import BOUNDS, Rule, check_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """One entry per document, in the order of the texts."""

    kept: npt.NDArray[np.bool_]  # a null text is not kept
    reasons: list[list[str]]  # every bound it fails ("words.min"); empty if kept
    signals: dict[str, FloatArray]  # the values the rules used; NaN if undefined for the text, or if it is null


def evaluate(texts: Texts, rules: Sequence[Rule]) -> Verdicts:
    """Judge texts by rules on any signals: those of several papers together, `GOPHER_QUALITY + fineweb.RULES`, or your own.

    UserError for an unknown signal. Texts have no language labels here: rules for some languages apply to all of them.
    """
    from pipeline.filters.signals import all_signals  # whose modules use this one

    return judge(texts, rules, (signal.function for signal in all_signals().values()))


def judge(texts: Texts, rules: Sequence[Rule], functions: Iterable[SignalFunction]) -> Verdicts:
    """Measure the rules' signals, looked up in `functions` by name, and decide. UserError for a signal not among them,
    ValueError for a rule that compares a run's documents, such as `top`."""
    from pipeline.filters.signals import all_signals  # whose modules use this one

    not_one(rules, "rules", "rules", "rule")
    for rule in rules:
        if not isinstance(rule, Rule):
            raise TypeError(f"rules must be Rule(signal=…, min=…, …), not {kind_of(rule)}")
        for name, _ in rule.limits():
            if name not in BOUNDS:
                raise ValueError(
                    f"{rule.signal}.{name}: needs all documents of a run; give a bound: {', '.join(BOUNDS)}"
                )
    known = {function.__name__: function for function in functions}
    for rule in rules:
        if rule.signal not in known and rule.signal in all_signals():
            raise UserError(f"{rule.signal}: unknown signal here; pipeline.evaluate(texts, rules) takes all")
    check_signals(rules, known)
    batch = Batch.from_arrow(texts)
    is_null = np.asarray(batch.array.is_null())
    signals = {rule.signal: known[rule.signal](batch) for rule in rules}
    if not rules:
        return Verdicts(kept=~is_null, reasons=[[] for _ in range(len(batch))], signals={})
    for values in signals.values():
        values[is_null] = np.nan
    columns = {name: pa.array(values, mask=is_null) for name, values in signals.items()}
    reasons = [failed or [] for failed in decide(rules, columns).to_pylist()]
    kept = ~is_null & np.array([not failed for failed in reasons], dtype=bool)
    return Verdicts(kept=kept, reasons=reasons, signals=signals)
