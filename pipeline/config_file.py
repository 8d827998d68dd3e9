"""A config file to a `Config`: TOML, laid over its base, with `--set key=value`, checked whole before any work starts.

`load(path, sets)` reads a file, lays it over the recipe its `base` names, applies the settings, and checks every key.
A mistake is one `UserError` that names the key and what is accepted.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from pipeline.config import Config, Section
from pipeline.errors import UserError, did_you_mean
from pipeline.filters.discovery import family_names
from pipeline.filters.options import ScoreOptions, is_taken
from pipeline.filters.rules import EDITED, Rule, check_signals

if TYPE_CHECKING:
    from pipeline.filters.signals import Signal

Model = TypeVar("Model", bound=Section)

RENAMED = {
    "duplicates.lines.most": "max_count",
    "duplicates.sentences.most": "max_count",
    "duplicates.ngrams.shortest": "min_tokens",
    "duplicates.substrings.tokens": "min_tokens",
    "scores.*.spelling": 'normalization, with "whitespace" for "lines" and "lowercase" for "lower"',
}
"""Keys of earlier versions, and what they are called now."""


def load(path: Path, sets: Sequence[str] = ()) -> Config:
    """The config in the file at `path`, with its base below it and `key=value` settings above it."""
    raw = read_with_base(path)
    for setting in sets:
        apply_setting(raw, setting)
    return check(raw, str(path))


def check(raw: Mapping[str, Any], where: str) -> Config:
    """The typed config of a plain dict; `where` is named in the error."""
    config = validate(Config, raw, where)
    with at(f"{where}: "):
        check_rules(config)
        check_families(config.measure.families)
        check_keep(config)
    with at(f"{where}: extract."):
        from pipeline.extract.pages.markup import check_offer

        check_offer(config.extract)
    if config.extract.prescreen is not None and config.language.keep is None:
        raise UserError(f"{where}: extract.prescreen: needs language.keep; without it no language is unwanted")
    if config.duplicates.min_sentences is not None and not config.cuts:
        raise UserError(
            f"{where}: duplicates.min_sentences: judges what cuts leave, and there are none, such as duplicates.lines"
        )
    return config


def check_rules(config: Config) -> None:
    """The plugins load, every rule is on a signal there is, and every edit can be done."""
    plugins = config.plugged
    with at("edit."):
        plugins.functions(config.edit.functions)
    if not (config.rules or config.edits or config.scores):
        return
    from pipeline.filters.edits import MEASURES  # brings Numba, which only a config with rules needs
    from pipeline.filters.signals import all_signals

    signals = all_signals(plugins.signals)
    with at("scores."):
        check_names(config.scores, signals)
    with at("quality."):
        check_signals(config.quality.values(), (*signals, *config.scores))
        check_languages(config.quality.values(), signals)
    check_signals(config.edited.values(), [f"{EDITED}{name}" for name in (*MEASURES, *signals)])
    check_languages(config.edited.values(), signals)
    if config.edited and not config.edits:
        raise UserError("edited: judges the edited text, and [edit] is empty; rules on the text go into [quality]")


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put `place` before what a UserError says that is raised in the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}{error}") from None


def check_languages(rules: Iterable[Rule], signals: Mapping[str, "Signal"]) -> None:
    """A rule names only languages that its signal is defined for."""
    for rule in rules:
        signal = signals.get(rule.measured)
        if signal is None or signal.languages is None:
            continue
        for label in sorted({*(rule.languages or ())} - {*signal.languages}):
            raise UserError(
                f"{rule.signal}.languages: no list for {label!r}{did_you_mean(label, signal.languages)}; "
                f"there are: {', '.join(signal.languages)}"
            )


def check_families(families: Sequence[str]) -> None:
    """Every family of signals that is to be measured exists."""
    known = family_names()
    for family in families:
        if family not in known:
            near = did_you_mean(family, known)
            raise UserError(f"measure.families: no family {family!r}{near}; there are: {', '.join(known)}")


def check_names(scores: Mapping[str, ScoreOptions], signals: Mapping[str, Any]) -> None:
    """A score has a name that no signal has, and that can be a column's."""
    for name in scores:
        if name in signals or is_taken(name):
            owner = "signal" if name in signals else "column"
            raise UserError(f"{name}: a {owner} is called so already; give [scores.{name}] another name")
        if not name.isidentifier():
            raise UserError(f"{name}: the name of a score is made of letters, digits and _")


def validate(model: type[Model], raw: Mapping[str, Any], where: str) -> Model:
    """The typed form of a plain dict; UserError for the first mistake."""
    with at(f"{where}: "):
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            raise UserError(one_line(error, model)) from None


def check_keep(config: Config) -> None:
    """Every preference is known, and so is the signal it names."""
    from pipeline.filters.dedup.keep_policy import parse_keep

    keep = config.duplicates.keep
    signals: Iterable[str] = ()
    if any(text.startswith(("highest", "lowest")) for text in keep):
        from pipeline.filters.signals import all_signals

        signals = all_signals(config.plugged.signals)
    with at("duplicates.keep: "):
        parse_keep(keep, signals)


def read_with_base(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The file's tables laid over those of the file its `base` names, relative to it."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = did_you_mean(path.stem, sorted(file.stem for file in path.parent.glob("*.toml")))
        raise UserError(f"{path}: no such file{near}; configs/quickstart.toml is one to start from") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    base = raw.pop("base", None)
    if base is None:
        return raw
    if not isinstance(base, str):
        raise UserError(f"{path}: base: give the path of one config file")
    below = (path.parent / base).resolve()
    if below in (*seen, path.resolve()):
        raise UserError(f"{path}: base: {base} extends itself")
    return merge(read_with_base(below, (*seen, path.resolve())), raw)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged key by key; anything else from `above` wins, and `false` takes away what it lies on."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        _put(merged, key, merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value)
    return merged


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    """Set a key; `false` over something that is no switch takes it away: off is absent."""
    if value is False and key in table and not isinstance(table[key], bool):
        del table[key]
    else:
        table[key] = value


def apply_setting(raw: dict[str, Any], setting: str) -> None:
    """Put `a.b.c=value` into `raw`; the value is TOML, or else plain text."""
    key, equals, text = setting.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise UserError(f"--set {setting}: write key=value, for example --set quality.words.min=100")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = raw
    for name in names[:-1]:
        child = table.get(name)
        if not isinstance(child, dict):
            if child is not None:
                raise UserError(f"--set {setting}: {name} is a value, not a table")
            child = table[name] = {}
        else:
            child = table[name] = dict(child)
        table = child
    _put(table, names[-1], value)


def one_line(error: ValidationError, model: type[Section]) -> str:
    """The first mistake in words; a missing or misspelt key comes with the keys there are."""
    first = error.errors(include_url=False)[0]
    place = [str(step) for step in first["loc"]]
    path = ".".join(place)
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        if renamed := next((new for old, new in RENAMED.items() if fnmatchcase(path, old)), None):
            return f"{path}: is now called {renamed}"
        known = _known_keys(model, place[:-1])
        return f"{path}: unknown key{did_you_mean(place[-1], known)}; known: {', '.join(known)}"
    if first["type"] == "missing":
        return f"{path}: missing"
    if first["type"] in ("model_type", "dataclass_type"):
        return f"{path}: must be a table with keys {', '.join(_known_keys(model, place))}, not {first['input']!r}"
    if first["type"] == "value_error":
        return _own_check(str(first["ctx"]["error"]), place)
    message = first["msg"][:1].lower() + first["msg"][1:]
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        message += f", not {first['input']!r}"
        near = did_you_mean(first["input"], re.findall("'([^']*)'", first["ctx"]["expected"]))
        return f"{path}: {message}{near}"
    given = "" if isinstance(first["input"], dict) else f", not {first['input']!r}"
    return f"{path}: {message}{given}" if path else f"{message}{given}"


def _own_check(message: str, place: Sequence[str]) -> str:
    """What a table says of itself, with the place where it stands; a key or a signal that it begins with is named once."""
    for depth in range(len(place)):
        name = ".".join(place[depth:])
        if re.match(rf"{re.escape(name)}[.:]", message):
            return ".".join([*place[:depth], message])
    names_a_key = re.match(r"[\w.]+: ", message) is not None
    return ("." if names_a_key else ": ").join([".".join(place), message])


def _known_keys(root: type[Section], place: Sequence[str]) -> list[str]:
    table: Any = root
    for name in place:
        if get_origin(table) is dict:  # its keys are names of signals or scores
            table = get_args(table)[1]
        else:
            table = get_type_hints(table)[name]
        if type(None) in get_args(table):  # a table that may be absent
            table = next(kind for kind in get_args(table) if kind is not type(None))
    if get_origin(table) is dict:
        return []
    names = [field.name for field in fields(table)] if is_dataclass(table) else list(table.model_fields)
    if table is Rule:
        names.remove("signal")  # the name of its table
    return [*names, "base"] if table is root else names
