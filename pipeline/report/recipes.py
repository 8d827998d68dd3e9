"""The recipes in configs/recipes: published sets of rules, each a config file that says where its numbers are from."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.config import Config
from pipeline.config_file import load
from pipeline.config_names import recipe_file, recipe_files
from pipeline.extract.options import ExtractOptions
from pipeline.filters.options import EditOptions
from pipeline.filters.rules import Rule
from pipeline.report.meanings import signal_meanings


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSummary:
    """A recipe in one line."""

    name: str
    about: str
    """Whose rules, of which year: the first line of its file."""
    needs_model: bool
    """Whether it needs a model file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRule:
    """A rule of a recipe, in words."""

    signal: str
    """Of the edited text where it begins with "edited."."""
    keeps: str
    """Such as "≥ 50 (en)"."""
    measures: str
    """The first line of the signal's docstring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeModel:
    """A model file that a recipe needs."""

    signal: str
    """The score it gives."""
    kind: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a recipe does, with its bases laid under it."""

    name: str
    file: Path
    about: str
    """The comment at the top of the file."""
    language: str | None
    """The languages it keeps, and their score; None where it has no rule on languages."""
    extract: dict[str, str]
    """Key of [extract] -> its value as TOML; the extractor, and what is not as by default."""
    edits: dict[str, str]
    """Key of [edit] -> its value as TOML."""
    quality: tuple[RecipeRule, ...]
    """Rules on the extracted text."""
    edited: tuple[RecipeRule, ...]
    """Rules on the edited text."""
    models: tuple[RecipeModel, ...]
    families: tuple[str, ...]
    """Families of signals that it measures without rules on them."""
    duplicates: str
    masks: tuple[str, ...]
    """Kinds of personal data that it masks."""


def recipes() -> tuple[RecipeSummary, ...]:
    """Every recipe, by name."""
    return tuple(
        RecipeSummary(name=name, about=about(file)[0].rstrip("."), needs_model=bool(_loaded(file).scores))
        for name, file in recipe_files().items()
    )


def about(file: Path) -> tuple[str, str]:
    """The comment at the top of a recipe: its first line, and the rest as one paragraph."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return lines[0] if lines else "", " ".join(lines[1:]).strip()


def _loaded(file: Path) -> Config:
    return load(file, ['input.paths=["-"]'])


def recipe(name: str) -> Recipe:
    """What a recipe does; UserError for an unknown name."""
    file = recipe_file(name)
    config = _loaded(file)
    docs = signal_meanings(config)

    def described(rules: tuple[Rule, ...]) -> tuple[RecipeRule, ...]:
        return tuple(
            RecipeRule(signal=rule.signal, keeps=_bounds(rule), measures=docs[rule.measured]) for rule in rules
        )

    return Recipe(
        name=name,
        file=file,
        about="\n".join(about(file)),
        language=_language(config),
        extract={"extractor": json.dumps(config.extract.extractor)} | _changed(config.extract),
        edits=_changed(config.edit),
        quality=described(tuple(config.quality.values())),
        edited=described(tuple(config.edited.values())),
        models=tuple(
            RecipeModel(signal=signal, kind=score.kind, path=score.model) for signal, score in config.scores.items()
        ),
        families=tuple(config.measure.families),
        duplicates=_duplicates(config),
        masks=tuple(config.mask.kinds),
    )


def _language(config: Config) -> str | None:
    if config.language == type(config.language)():
        return None
    kept = ", ".join(config.language.keep or ("every language",))
    own = "".join(f", {label} {score:g}" for label, score in config.language.min_scores.items())
    return f"{kept}, score {config.language.min_score:g} or more{own}"


def _changed(table: EditOptions | ExtractOptions) -> dict[str, str]:
    """What is not as by default in a table of a config: its values as TOML, which for these JSON is."""
    default = asdict(type(table)())
    return {key: json.dumps(value, ensure_ascii=False) for key, value in asdict(table).items() if value != default[key]}


def _bounds(rule: Rule) -> str:
    signs = {"min": "≥", "max": "≤", "above": ">", "below": "<"}
    bounds = ", ".join(f"{signs.get(name, name)} {value:g}" for name, value in rule.limits())
    return bounds + (f" ({', '.join(rule.languages)})" if rule.languages else "")


def _duplicates(config: Config) -> str:
    options = config.duplicates
    bands = f"{options.bands} bands of {options.rows} rows over {options.ngram}-grams of {options.unit}"
    return "; ".join([f"{bands}, at {options.threshold:g}", *options.families])
