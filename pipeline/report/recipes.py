"""The recipes in configs/recipes: published sets of rules, each a config file that says where its numbers are from."""

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.config import Config
from pipeline.config_file import load
from pipeline.core.progress import safe
from pipeline.errors import UserError, did_you_mean
from pipeline.filters.rules import Rule

FOLDER = (Path(__file__).parents[1] / "configs" / "recipes").resolve()
"""pipeline/configs is a link in a checkout, and a folder in a wheel."""


def recipes() -> dict[str, Path]:
    """Name and file of every recipe."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}


def find(name: str) -> Path:
    """The file of a recipe; UserError names those there are."""
    known = recipes()
    if name not in known:
        raise UserError(f"{name}: no such recipe{did_you_mean(name, known)}; known: {', '.join(known)}")
    return known[name]


def resolve(config: Path) -> Path:
    """A config file as given on the command line: a path, or the name of a recipe. UserError: a name of none."""
    if config.exists() or config.suffix or config.name != str(config):
        return config
    return find(str(config))


def about(file: Path) -> str:
    """The comment at the top of a recipe, as one paragraph."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def show_recipe(name: str, console: Console) -> None:
    """What a recipe does, with its bases laid under it: languages, edits, every rule and what it counts, duplicates, masks."""
    from pipeline.filters.edits import MEASURES
    from pipeline.filters.signals import all_signals

    file = find(name)
    config = load(file, ['input.paths=["-"]'])
    console.print(f"[bold]{name}[/]\n{safe(about(file))}\n", highlight=False)
    docs = {signal.name: signal.doc for signal in all_signals(config.plugged.signals).values()}
    docs |= dict.fromkeys(MEASURES, "Share that the edits took out.")
    docs |= {name: f"Of a model: {score.kind}, {score.model}." for name, score in config.scores.items()}
    if config.language != type(config.language)():
        kept = ", ".join(config.language.keep or ("every language",))
        console.print(f"language      {kept}, score {config.language.min_score:g} or more", highlight=False)
    if config.edits:
        edits = {key: value for key, value in asdict(config.edit).items() if value not in (None, False, ())}
        for key, value in edits.items():
            console.print(f"edit          {key} = {safe(_plain(value))}", highlight=False)
    for title, rules in (("quality", config.quality.values()), ("edited", config.edited.values())):
        if not rules:
            continue
        table = Table("rule", "keeps", "of", title=title, title_justify="left")
        for rule in rules:
            table.add_row(safe(rule.signal), _bounds(rule), safe(docs[rule.measured]))
        console.print(table)
    for name, score in config.scores.items():
        console.print(f"needs         {safe(score.model)} ({score.kind}), for {name}", highlight=False)
    if config.measure.families:
        console.print(f"measures      the signals of {', '.join(config.measure.families)}", highlight=False)
    console.print(f"duplicates    {_duplicates(config)}", highlight=False)
    if config.mask.kinds:
        console.print(f"masks         {', '.join(config.mask.kinds)}", highlight=False)
    console.print(f"file          {file}; run it: python -m pipeline run {name} --set input.paths=…", highlight=False)


def _plain(value: object) -> str:
    return " ".join(str(one) for one in value) if isinstance(value, tuple) else str(value)


def _bounds(rule: Rule) -> str:
    signs = {"min": "≥", "max": "≤", "above": ">", "below": "<"}
    bounds = ", ".join(f"{signs.get(name, name)} {value:g}" for name, value in rule.limits())
    return bounds + (f" ({', '.join(rule.languages)})" if rule.languages else "")


def _duplicates(config: Config) -> str:
    options = config.duplicates
    found = f"{options.bands} bands of {options.rows} rows over {options.ngram}-grams of {options.unit}"
    return f"{found}, at {options.threshold:g}" + "".join(f"; {family}" for family in options.families)
