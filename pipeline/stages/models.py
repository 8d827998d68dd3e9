"""What the steps over model files and evaluation texts depend on, and whether they can be done, found before any work."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config, Score
from pipeline.core.ledger import read
from pipeline.errors import UserError
from pipeline.files import digest
from pipeline.stages.evaluations import evaluation_files, open_index


def scores(config: Config) -> bool:
    """Whether models score the texts."""
    return bool(config.scores)


def score_options(config: Config) -> Any:
    """Each score with the content of its model and of what describes it, not their names."""
    found = {}
    for name, score in config.scores.items():
        files = model_files(f"scores.{name}.model", score)
        digests = [[file.name if score.kind == "words" else file.suffix, digest(file)] for file in files]
        found[name] = [score.model_dump(exclude={"model"}), digests]
    return list(found.items())  # in the order of the columns


def model_files(key: str, score: Score) -> list[Path]:
    """The files that decide what a score is; UserError where there are none."""
    path = Path(score.model)
    if score.kind == "words" and path.is_dir():
        from pipeline.filters.models.wordlists import list_files

        return list_files(path)
    if not path.is_file():
        raise UserError(f"{key}: {path}: no such file")
    described = Path(f"{path}.json")
    return [path, described] if described.is_file() else [path]


def check_scores(config: Config) -> list[str]:
    """UserError for a model that cannot be used; notes on languages that a score says nothing of."""
    from pipeline.filters.models.scorers import open_scorer

    notes = []
    for name, score in config.scores.items():
        key = f"scores.{name}.model"
        model_files(key, score)
        try:
            open_scorer(score.kind, score.model, score.label, score.spelling, score.share)
        except UserError as error:
            raise UserError(f"{key}: {error}") from None
        if score.kind == "words" and Path(score.model).is_dir():
            from pipeline.filters.models.wordlists import WordLists

            listed = WordLists.load(score.model).languages
            missing = [code for code in config.language.keep or () if code not in listed]
            if missing and len(missing) == len(config.language.keep or ()):
                raise UserError(
                    f"{key}: no list for {', '.join(missing)} (language.keep); there are {', '.join(listed)}"
                )
            if missing:
                notes.append(f"{name} has no list for {', '.join(missing)}: it is undefined there")
    return notes


def undefined_scores(config: Config, files: Iterable[Path]) -> list[str]:
    """Notes on scores that have no value for any document of these files: a rule on one would keep everything."""
    empty = list(config.scores)
    for file in files:
        table = read(file, empty)
        empty = [name for name in empty if not pc.any(pc.is_finite(table[name])).as_py()]
        if not empty:
            break
    return [f"{name} is undefined for every document: rules on it keep everything" for name in empty]


def check_languages(config: Config) -> None:
    """UserError for a language in the config that the identifier has no label for: no document would ever be in it."""
    from pipeline.filters.language import LanguageIdentifier

    named = {"language.keep": config.language.keep or ()}
    for table, rules in (("quality", config.quality), ("edited", config.edited)):
        named |= {f"{table}.{signal}.languages": bounds.languages or () for signal, bounds in rules.items()}
    if not any(named.values()):
        return
    key = "language.model"
    try:
        identifier = LanguageIdentifier(Path(config.language.model) if config.language.model else None)
        for place, labels in named.items():
            key = place
            identifier.check(labels)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None


def warm_up(step: str, config: Config) -> None:
    """Compile a step's kernels, and find out whether a model can score at all."""
    text = pa.array(["Warm up."], pa.string())
    if step == "quality.scores":
        from pipeline.filters.models.scorers import open_scorers

        for scorer in open_scorers(config.scores).values():
            scorer(text, pa.array(["en"]))
    else:
        open_index(config.decontaminate)[0].search(text)


def contamination(config: Config) -> bool:
    """Whether evaluation texts are looked for."""
    return config.contamination is not None


def item_options(config: Config) -> Any:
    """The evaluation files by their content, in the order of the config, and how they are compared."""
    options = config.decontaminate
    digests = [[Path(file).name, digest(Path(file))] for file in evaluation_files(options)]
    return [options.model_dump(include={"fields", "id", "ngram"}), digests]


def bound_options(config: Config) -> Any:
    """The rules on shares."""
    return [asdict(rule) for rule in config.relative_rules if rule.shares]
