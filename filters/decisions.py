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
    """For each document, the names of all fixed bounds it fails, in the rules' order: list<string>, empty if it is kept.

    signals: a float64 array for each rule's signal, all of one length. languages: one label per document (null: unknown, so
    rules with languages do not apply). others: further reasons, and which documents they apply to.
    A document whose signals are null gets a null list. UserError for an unknown signal.
    """
    check_signals(rules, signals)
    if not signals:
        raise ValueError("without any signal the number of documents is unknown")
    documents = len(next(iter(signals.values())))
    is_null = np.zeros(documents, bool)
    masks: dict[str, Mask] = {}
    for rule in rules:
        column = signals[rule.signal]
        is_null |= np.asarray(column.is_null())
        values = column.fill_null(math.nan).to_numpy(zero_copy_only=False)
        applies = labelled(languages, rule.languages)
        for bound, limit in rule.bounds():
            name = f"{rule.signal}.{bound}"
            masks[name] = masks.get(name, False) | (_FAILS[bound](values, limit) & applies)
    reasons = failing_rules(masks | dict(others or {}), documents)
    return pc.if_else(pa.array(is_null), pa.scalar(None, reasons.type), reasons) if is_null.any() else reasons


def failing_rules(masks: Mapping[str, Mask], documents: int) -> pa.ListArray:
    """For each document, the names whose mask is true, in their order: list<string>."""
    failed = np.array(list(masks.values()), bool).reshape(len(masks), documents).T
    offsets = np.zeros(documents + 1, np.int32)
    np.cumsum(failed.sum(axis=1), out=offsets[1:])
    names = pa.array(list(masks), pa.string()).take(pa.array(np.nonzero(failed)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), names)


def labelled(languages: pa.Array | None, kept_languages: tuple[str, ...] | None) -> Mask | np.bool_:
    """Mask of the documents in one of these languages; all documents if `languages` or `kept_languages` is None."""
    if languages is None or kept_languages is None:
        return np.True_
    labels = np.asarray(languages.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)
    return np.isin(labels, np.array(kept_languages, dtype=object)) if len(labels) else np.zeros(0, bool)
