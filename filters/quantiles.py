"""Decisions beyond fixed bounds: a share of the run's documents, and sampling by a score.

    quality_score = { top = 0.1 }                      # the best tenth (DCLM, Li et al. 2024, section 4.4)
    perplexity    = { bottom = 0.3, by = "language" }  # CCNet's head; 0.6: head and middle (Wenzek et al. 2020, section 3.3)
    quality_score = { pareto = 9 }                     # GPT-3's sampling (Brown et al. 2020, appendix A)

Of n documents, `top` keeps the ceil(share * n) highest and `bottom` the floor(share * n) lowest, but at least one; so bottom
0.3 and top 0.7 divide the documents. Both also keep all documents that tie with the last one kept. Only documents that reach
the quality stage and have a value count. The bound is exact: it is found by radix selection on the 64-bit numbers, eleven
bits at a time, in six passes over the columns, whatever their size. A document whose value is undefined (NaN) is kept, as
by every rule.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filters.decisions import labelled
from pipeline.filters.rules import Rule

FloatArray = npt.NDArray[np.float64]
_DIGITS = ((53, 11), (42, 11), (31, 11), (20, 11), (9, 11), (0, 9))  # (shift, bits), the highest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The bound that a share amounts to: the value of the last document kept."""

    rule: str
    """Such as "quality_score.top"."""
    language: str | None
    value: float
    documents: int


@dataclass(slots=True)
class _Search:
    """The search for one bound: the number of documents, the bound's rank among them (0: the smallest), its bits so far."""

    documents: int = 0
    rank: int = -1
    prefix: int = 0
    counts: Any = field(default_factory=lambda: np.zeros(2048, np.int64))


Columns = tuple[Mapping[str, FloatArray], pa.Array]
"""Values by signal (NaN: undefined), and each document's language."""


def find_bounds(rules: Sequence[Rule], read: Callable[[], Iterable[Columns]]) -> list[Bound]:
    """The bounds of all shares, in the order of rules and languages. `read` reads the run's columns; it is called six times."""
    shares = [(rule, side, share) for rule in rules for side, share in rule.shares()]
    searches: list[dict[str | None, _Search]] = [{} for _ in shares]
    for pass_number, (shift, bits) in enumerate(_DIGITS):
        for values, labels in read():
            for (rule, _, _), groups in zip(shares, searches, strict=True):
                for language, numbers in _groups(rule, values[rule.signal], labels):
                    search = groups.setdefault(language, _Search())
                    if pass_number:
                        numbers = numbers[numbers >> np.uint64(shift + bits) == np.uint64(search.prefix)]
                    digits = (numbers >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
                    search.counts += np.bincount(digits.astype(np.int64), minlength=2048)
        for (_, side, share), groups in zip(shares, searches, strict=True):
            for search in groups.values():
                _next_digit(search, side, share, bits)
    return [
        Bound(
            rule=f"{rule.signal}.{side}",
            language=language,
            value=_from_ordered(search.prefix),
            documents=search.documents,
        )
        for (rule, side, _), groups in zip(shares, searches, strict=True)
        for language, search in sorted(groups.items(), key=lambda entry: str(entry[0]))
        if search.documents
    ]


def _groups(rule: Rule, values: FloatArray, labels: pa.Array) -> Iterator[tuple[str | None, npt.NDArray[np.uint64]]]:
    """The values that a rule's shares are taken of, by language if the rule says so, as integers in the same order."""
    usable = ~np.isnan(values) & labelled(labels, rule.languages)
    if rule.by is None:
        yield None, _ordered(values[usable])
        return
    coded = labels.cast(pa.string()).dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for code, name in enumerate(coded.dictionary.to_pylist()):
        if (members := usable & (codes == code)).any():
            yield name, _ordered(values[members])


def _ordered(values: FloatArray) -> npt.NDArray[np.uint64]:
    """Integers in the same order as the values."""
    bits = (values + 0.0).view(np.uint64)  # -0.0 is 0.0
    return np.asarray(np.where(bits >> np.uint64(63), ~bits, bits | np.uint64(1 << 63)))


def _from_ordered(number: int) -> float:
    bits = number & ~(1 << 63) if number >> 63 else ~number & (1 << 64) - 1
    return float(np.array(bits, np.uint64).view(np.float64))


def _next_digit(search: _Search, side: str, share: float, bits: int) -> None:
    if search.rank < 0:
        search.documents = int(search.counts.sum())
        exact = round(share * search.documents, 9)
        search.rank = search.documents - math.ceil(exact) if side == "top" else max(math.floor(exact), 1) - 1
    below = np.cumsum(search.counts)
    digit = int(np.searchsorted(below, search.rank, side="right"))
    search.rank -= int(below[digit - 1]) if digit else 0
    search.prefix = search.prefix << bits | digit
    search.counts = np.zeros(2048, np.int64)


def failures(
    rules: Sequence[Rule],
    bounds: Sequence[Bound],
    values: Mapping[str, FloatArray],
    labels: pa.Array,
    ids: pa.Array,
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which documents fail which bound: "quality_score.top" -> mask, in the order of the rules."""
    masks = {}
    for rule in rules:
        applies = labelled(labels, rule.languages)
        column = values[rule.signal]
        for side, _ in rule.shares():
            limit = _limits([bound for bound in bounds if bound.rule == f"{rule.signal}.{side}"], labels)
            with np.errstate(invalid="ignore"):
                fails = column < limit if side == "top" else column > limit
            masks[f"{rule.signal}.{side}"] = fails & applies
        if rule.pareto is not None:
            draws = pareto_draws(ids, rule.pareto, rule.seed)
            masks[f"{rule.signal}.pareto"] = (draws <= 1 - column) & applies
    return masks


def _limits(bounds: Sequence[Bound], labels: pa.Array) -> FloatArray:
    """Each document's bound; NaN without one."""
    limits = np.full(len(labels), np.nan)
    for bound in bounds:
        members = np.True_ if bound.language is None else labelled(labels, (bound.language,))
        limits[members if bound.language is not None else slice(None)] = bound.value
    return limits


def pareto_draws(ids: pa.Array, alpha: float, seed: int) -> FloatArray:
    """One draw per document from the distribution of numpy.random.pareto: a function of its id and the seed."""
    salt = str(seed).encode()
    hashes = [hashlib.blake2b((name or "").encode(), digest_size=8, key=salt).digest() for name in ids.to_pylist()]
    numbers = np.frombuffer(b"".join(hashes), "<u8").astype(np.float64)
    return np.asarray(((numbers + 1) / 2.0**64) ** (-1 / alpha) - 1)
