"""From columns of numbers to reasons: which documents fail which rules."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filters.rules import Rule, check_signals

Mask = npt.NDArray[np.bool_]
_FAILS = {"min": np.less, "max": np.greater, "above": np.less_equal, "below": np.greater_equal}


def decide(
    rules: Sequence[Rule],
    signals: Mapping[str, pa.Array],
    languages: pa.Array | None = None,
    others: Mapping[str, Mask] | None = None,
) -> pa.ListArray:
    """For each document the names of all fixed bounds it fails, in the rules' order: list<string>, an empty list for kept.

    signals: a float64 array for each rule's signal, all of one length. languages: a label a document (null: unknown, so
    no rule with languages applies). others: further reasons, and which documents they hold for.
    A document whose signals are null gets a null list. UserError: unknown signal.
    """
    check_signals(rules, signals)
    if not signals:
        raise ValueError("the number of documents is not known without any signal")
    documents = len(next(iter(signals.values())))
    null = np.zeros(documents, bool)
    masks: dict[str, Mask] = {}
    for rule in rules:
        column = signals[rule.signal]
        null |= np.asarray(column.is_null())
        values = column.fill_null(math.nan).to_numpy(zero_copy_only=False)
        applies = labelled(languages, rule.languages)
        for bound, limit in rule.bounds():
            name = f"{rule.signal}.{bound}"
            masks[name] = masks.get(name, False) | (_FAILS[bound](values, limit) & applies)
    reasons = failing_rules(masks | dict(others or {}), documents)
    return pc.if_else(pa.array(null), pa.scalar(None, reasons.type), reasons) if null.any() else reasons


def failing_rules(masks: Mapping[str, Mask], documents: int) -> pa.ListArray:
    """For each document the names whose mask is true, in their order: list<string>."""
    failed = np.array(list(masks.values()), bool).reshape(len(masks), documents).T
    offsets = np.zeros(documents + 1, np.int32)
    np.cumsum(failed.sum(axis=1), out=offsets[1:])
    names = pa.array(list(masks), pa.string()).take(pa.array(np.nonzero(failed)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), names)


def labelled(languages: pa.Array | None, wanted: tuple[str, ...] | None) -> Mask | np.bool_:
    """The documents in one of the wanted languages; all of them where no languages are wanted, or none are known."""
    if languages is None or wanted is None:
        return np.True_
    labels = np.asarray(languages.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)
    return np.isin(labels, np.array(wanted, dtype=object)) if len(labels) else np.zeros(0, bool)
