"""Bounds for rules, from documents known to be good and documents known to be bad."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config import Config
from pipeline.core.ledger import row_groups
from pipeline.core.step import Step
from pipeline.errors import UserError
from pipeline.filters.language import LanguageIdentifier
from pipeline.filters.signals import measure as signals
from pipeline.filters.signals import stored_signals
from pipeline.filters.thresholds import FloatArray, best_cut, histograms
from pipeline.run.run import Run
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality import QUALITY
from pipeline.stages.scores import SCORES, check_scores
from pipeline.tools.text_sources import any_passages, read_texts

WORTH = 0.05
"""Bounds of a smaller separation are left out of the lines to paste."""

ALTERNATIVE = {"min": "above", "max": "below"}
"""A rule takes one of each pair."""
LENGTHS = re.compile(r"(\w+_)?(characters|lines|paragraphs|sentences|words|word_count)")
"""Signals that say how long a text is, of any family; stop words are none."""

Values = dict[str, FloatArray]
"""Signal -> its value for each document; NaN where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedBound:
    """A bound, and what it drops."""

    side: str
    """"min" or "max"."""
    bound: float
    good: float
    """Share of the good documents that it drops; those without a value are not dropped."""
    bad: float
    """Share of the bad documents that it drops."""
    separation: float
    """bad - good."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SuggestedRule:
    """A signal: its best bounds, and its densities over the same bins."""

    signal: str
    cuts: tuple[SuggestedBound, ...]
    """At most one "min" and one "max", the larger separation first."""
    edges: FloatArray
    """Of the bins: one more than there are bins."""
    good: FloatArray
    """Density of the good documents, by bin."""
    bad: FloatArray

    @property
    def separation(self) -> float:
        """Of the best bound; 0 without any."""
        return self.cuts[0].separation if self.cuts else 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suggestions:
    """The best bounds of every signal."""

    good: int
    """Good documents measured."""
    bad: int
    """Bad documents measured."""
    not_compared: tuple[str, ...] = ()
    """Signals of length, left out because plain text is cut into passages of one length."""
    signals: tuple[SuggestedRule, ...]
    """The largest separation first."""

    def lines_to_paste(self) -> list[str]:
        """The bounds of a separation of at least `WORTH`, as lines of [quality].

        A bound switches off its alternative (`min` that of `above`), which a config that has this one as its base may set.
        """
        lines = []
        for rule in self.signals:
            cuts = [cut for cut in rule.cuts if cut.separation >= WORTH]
            by_side = {cut.side: cut.bound for cut in cuts}
            if by_side.get("min", -math.inf) > by_side.get("max", math.inf):
                cuts = cuts[:1]  # together they would drop everything
            if cuts:
                bounds = ", ".join(f"{cut.side} = {cut.bound!r}, {ALTERNATIVE[cut.side]} = false" for cut in cuts)
                shares = "; ".join(f"{cut.bad:.1%} of bad, {cut.good:.1%} of good" for cut in cuts)
                lines.append(f"{rule.signal} = {{ {bounds} }}   # drops {shares}")
        return lines


def suggest(
    run: Run,
    good: Sequence[str],
    bad: Sequence[str],
    *,
    language: str | None,
    documents: int,
    max_good_dropped: float,
) -> Suggestions:
    """Measure both sides by the run's signals and scores, and find the best bounds of each.

    Without `bad` that side is the run's own documents, as they came to the quality stage. Of each side at most 2 x
    `documents` are held, evenly chosen; 8 bytes for each document and signal. A bound drops at most `max_good_dropped`, a
    share, of the good documents. Signals of length are left out where a side is plain text, which is cut into passages.
    UserError where a side has no documents.
    """
    check_scores(run.config)
    good_values = _thinned(_measured(run.config, read_texts(good, language=language)), documents)
    bad_batches = _measured(run.config, read_texts(bad, language=language)) if bad else _ledger(run, language)
    bad_values = _thinned(bad_batches, documents)
    for values, name in ((good_values, "good"), (bad_values, "bad")):
        if not len(values["words"]):
            raise UserError(f"suggest: no {name} documents" + (f" in {language}" if language else ""))
    lengths = [name for name in good_values if LENGTHS.fullmatch(name) and not name.endswith("stop_words")]
    artefacts = lengths if any_passages([*good, *bad]) else []
    rules = [
        _rule(name, good_values[name], bad_values[name], max_good_dropped)
        for name in good_values
        if name not in artefacts
    ]
    rules.sort(key=lambda rule: (-rule.separation, rule.signal))
    return Suggestions(
        good=len(good_values["words"]),
        bad=len(bad_values["words"]),
        not_compared=tuple(artefacts),
        signals=tuple(rules),
    )


def _rule(signal: str, good: FloatArray, bad: FloatArray, max_good_dropped: float) -> SuggestedRule:
    cuts = [cut for side in ("min", "max") if (cut := best_cut(good, bad, side, max_good_dropped))]
    bounds = [
        SuggestedBound(side=cut.side, bound=cut.bound, good=cut.good, bad=cut.bad, separation=cut.separation)
        for cut in sorted(cuts, key=lambda cut: -cut.separation)
    ]
    densities = histograms(good, bad)
    return SuggestedRule(
        signal=signal, cuts=tuple(bounds), edges=densities.edges, good=densities.good, bad=densities.bad
    )


def _measured(config: Config, arrays: Iterable[pa.Array]) -> Iterator[Values]:
    """Every signal and score of texts."""
    from pipeline.filters.models.scorers import open_scorers

    scorers = open_scorers(config.scores)
    identifier = LanguageIdentifier() if scorers else None
    plugins = config.plugged.signals
    names = stored_signals(config.families, plugins)
    for array in arrays:
        values = {name: _numbers(column) for name, column in signals(array, names, plugins=plugins).items()}
        if identifier:
            labels, _ = identifier.predict_columns(array)
            values |= {name: scorer(array, labels) for name, scorer in scorers.items()}
        yield values


def _ledger(run: Run, language: str | None) -> Iterator[Values]:
    """Every signal and score of the run's documents, from the ledger."""
    sources: dict[Step, list[str]] = {QUALITY: list(stored_signals(run.config.families, run.config.plugged.signals))}
    if run.config.scores:
        sources[SCORES] = list(run.config.scores)
    for part in run.parts:
        for step in sources:
            run.require(step, part, "run it again, or give --bad")
        groups = [row_groups(run.file(step, part), columns) for step, columns in sources.items()]
        for labels, *tables in zip(row_groups(run.file(LANGUAGE, part), ["language"]), *groups, strict=True):
            values = {name: _numbers(table[name].combine_chunks()) for table in tables for name in table.column_names}
            chosen = tables[0]["words"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
            if language:
                chosen = chosen & np.array([label == language for label in labels["language"].to_pylist()], np.bool_)
            yield {name: column[chosen] for name, column in values.items()}


def _numbers(column: pa.Array) -> FloatArray:
    return np.asarray(column.fill_null(math.nan).to_numpy(zero_copy_only=False), np.float64)


def _thinned(batches: Iterator[Values], documents: int) -> Values:
    """Every document, or, where there are more than 2 x `documents`, every second, fourth, eighth ... of them."""
    held: list[Values] = []
    stride, seen, count = 1, 0, 0
    for batch in batches:
        size = len(batch["words"])
        chosen = np.arange(-seen % stride, size, stride)
        seen += size
        held.append({name: values[chosen] for name, values in batch.items()})
        count += len(chosen)
        while count > 2 * documents:
            held = [{name: values[::2] for name, values in _joined(held).items()}]
            stride *= 2
            count = len(held[0]["words"])
    return _joined(held)


def _joined(batches: Sequence[Values]) -> Values:
    if not batches:
        return {"words": np.zeros(0)}
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
