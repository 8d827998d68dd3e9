"""Reading a config file: TOML merged over its base, with `--set key=value` applied, checked before any work starts.

`load(path, sets)` reads a file, merges it over the config its `base` names, applies the settings, and checks every key.
A mistake raises a `UserError` that names the key and what is accepted.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.config import Config, Section
from pipeline.config_names import config_path, is_name, named_config, named_configs
from pipeline.errors import UserError, did_you_mean, known_names, listed
from pipeline.extract.options import KEPT
from pipeline.filters.discovery import family_names
from pipeline.filters.options import ScoreOptions, is_taken
from pipeline.filters.rules import EDITED, SIGNALS_PAGE, Rule, check_signals

if TYPE_CHECKING:
    from pipeline.filters.signals import Signal

Model = TypeVar("Model", bound=Section)

KEYS_PAGE = "docs/reference/config.md"
"""Where all keys are listed."""
_SHOWN = 80  # characters of a value in a message
OFF = ("off", "none", "no", "null", "false", "disabled", "")
"""Words that are meant to switch something off, which `false` does."""
_NOTHING_TO_SWITCH_OFF = "false switches off what a base sets, and no base sets {}"
TOP = ("base", "out", "until", "plugins")
"""Keys at the top of a file; its other keys are tables."""
RENAMED = {
    "duplicates.lines.most": "max_count",
    "duplicates.sentences.most": "max_count",
    "duplicates.ngrams.shortest": "min_tokens",
    "duplicates.substrings.tokens": "min_tokens",
    "scores.*.spelling": 'normalization, with "whitespace" for "lines" and "lowercase" for "lower"',
}
"""Keys of earlier versions, and their present names."""


def load(path: Path, sets: Sequence[str] = ()) -> Config:
    """The config in the file at `path`, or of this name, merged over its base, with `key=value` settings on top."""
    path = config_path(path)
    return with_settings(read_with_base(path), sets, str(path))


def with_settings(raw: dict[str, Any], sets: Sequence[str], where: str) -> Config:
    """The typed config of a plain dict with `key=value` settings on top. A mistake in the key of a setting is the setting's."""
    for setting in sets:
        apply_setting(raw, setting)
    try:
        return check(raw, where)
    except UserError as error:
        message = str(error).removeprefix(f"{where}: ")
        named = re.match(r"[\w.]+", message)
        for key in (setting.partition("=")[0].strip() for setting in sets if named):
            if named and (f"{key}.".startswith(f"{named[0]}.") or f"{named[0]}.".startswith(f"{key}.")):
                raise UserError(f"--set: {message}") from None
        raise


def check(raw: Mapping[str, Any], where: str) -> Config:
    """The typed config of a plain dict; UserError for a mistake, with `where` named first."""
    config = validate(Config, raw, where)
    with at(f"{where}: "):
        check_rules(config)
        check_families(config.measure.families)
        check_keep(config)
    with at(f"{where}: extract."):
        from pipeline.extract.pages.markup import check_offer

        check_offer(config.extract)
    if config.extract.prescreen is not None and config.language.keep is None:
        raise UserError(f"{where}: extract.prescreen: needs language.keep, the languages to look for")
    if config.duplicates.min_sentences is not None and not config.cuts:
        raise UserError(f"{where}: duplicates.min_sentences: needs a table that makes cuts, such as duplicates.lines")
    return config


def _with_home(value: Any) -> Any:
    """The value, with ~ expanded in every string in it that starts with ~/; no other values than paths do."""
    if isinstance(value, str):
        return os.path.expanduser(value) if value.startswith("~/") else value
    if isinstance(value, Mapping):
        return {key: _with_home(inner) for key, inner in value.items()}
    return [_with_home(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def check_rules(config: Config) -> None:
    """UserError if a plugin cannot be loaded, a rule's signal is unknown, or an edit cannot be made."""
    plugins = config.plugged
    with at("edit."):
        plugins.functions(config.edit.functions)
    if not (config.rules or config.edits or config.scores):
        return
    from pipeline.filters.edits import MEASURES  # imports Numba, which only a config with rules needs
    from pipeline.filters.signals import all_signals

    signals = all_signals(plugins.signals)
    with at("scores."):
        check_names(config.scores, signals)
    for name in config.quality:
        if name.startswith(KEPT) and name not in config.input.kept and name not in signals:
            column = name.removeprefix(KEPT)
            raise UserError(
                f"quality.{name}: unknown signal; a column of the input: add it to input.keep_columns ({column!r})"
            )
    with at("quality."):
        check_signals(
            config.quality.values(),
            (*signals, *config.scores, *(name for name in config.input.kept if name.startswith(KEPT))),
        )
        check_languages(config.quality.values(), signals)
    check_signals(config.edited.values(), [f"{EDITED}{name}" for name in (*MEASURES, *signals)])
    check_languages(config.edited.values(), signals)
    if config.edited and not config.edits:
        raise UserError("edited: [edit] is empty, so there is no edited text; put rules on the text into [quality]")


@contextmanager
def at(prefix: str) -> Iterator[None]:
    """Put `prefix` before the message of a UserError raised in the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{prefix}{error}") from None


def check_languages(rules: Iterable[Rule], signals: Mapping[str, "Signal"]) -> None:
    """UserError for a rule that names a language for which its signal is not defined."""
    for rule in rules:
        signal = signals.get(rule.measured)
        if signal is None or signal.languages is None:
            continue
        for label in sorted({*(rule.languages or ())} - {*signal.languages}):
            raise UserError(
                f"{rule.signal}.languages: no list for {label!r}{known_names(label, signal.languages, SIGNALS_PAGE)}"
            )


def check_families(families: Sequence[str]) -> None:
    """UserError for a family of signals that does not exist."""
    known = family_names()
    for family in families:
        if family not in known:
            near = did_you_mean(family, known)
            raise UserError(f"measure.families: unknown family {family!r}{near}; known: {', '.join(known)}")


def check_names(scores: Mapping[str, ScoreOptions], signals: Mapping[str, Any]) -> None:
    """UserError for a score whose name is a signal's, or cannot be a column's."""
    for name in scores:
        if name in signals or is_taken(name):
            owner = "signal" if name in signals else "column"
            raise UserError(f"{name}: a {owner} already has this name; give [scores.{name}] another one")
        if not name.isidentifier():
            raise UserError(f"{name}: the name of a score must consist of letters, digits and _")


def validate(model: type[Model], raw: Mapping[str, Any], where: str) -> Model:
    """A plain dict as a typed model; UserError for the first mistake. A ~ that starts a path is the home directory."""
    with at(f"{where}: "):
        try:
            made = model.model_validate(_with_home(raw))
        except ValidationError as error:
            raise UserError(one_line(error, model)) from None
        _refuse_booleans(raw, made, "")
        return made


def _refuse_booleans(raw: Mapping[str, Any], made: Any, above: str) -> None:
    """UserError for `true` or `false` where a number is needed: pydantic takes them for 1 and 0."""
    for name, value in raw.items():
        taken = made.get(name) if isinstance(made, Mapping) else getattr(made, name, None)
        if isinstance(value, Mapping):
            _refuse_booleans(value, taken, f"{above}{name}.")
        elif isinstance(value, bool) and isinstance(taken, int | float) and not isinstance(taken, bool):
            reason = "a number is needed, not true" if value else _NOTHING_TO_SWITCH_OFF.format(name)
            raise UserError(f"{above}{name}: {reason}")


def check_keep(config: Config) -> None:
    """UserError for an unknown preference in `duplicates.keep`, or an unknown signal in one."""
    from pipeline.filters.dedup.keep_policy import parse_keep

    keep = config.duplicates.keep
    signals: Iterable[str] = ()
    if any(text.startswith(("highest", "lowest")) for text in keep):
        from pipeline.filters.signals import all_signals

        signals = all_signals(config.plugged.signals)
    with at("duplicates.keep: "):
        parse_keep(keep, signals)


def read_with_base(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The file's tables merged over those of its `base`: a path relative to the file, or the name of a recipe."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.stem in named_configs():
            bare = " without .toml" if path.suffix else ""
            near = f"; {path.stem}{bare} is the one that comes with this package"
        else:
            near = did_you_mean(path.stem, sorted(file.stem for file in path.parent.glob("*.toml")))
        raise UserError(f"{path}: no such file{near}; python -m pipeline run quickstart is a good start") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        _refuse_input(path)
        raise UserError(f"{path}: not valid TOML: {error}") from None
    base = raw.pop("base", None)
    if base is None:
        return raw
    for table, rules in ((name, raw.get(name)) for name in ("quality", "edited")):
        for name in (name for name, rule in rules.items() if rule == {}) if isinstance(rules, dict) else ():
            raise UserError(
                f"{path}: {table}.{name}: an empty table changes nothing; {name} = false switches the rule off"
            )
    if not isinstance(base, str):
        raise UserError(f"{path}: base: must be the path of one config file, or the name of a recipe")
    below = path.parent / Path(base).expanduser()
    if not below.is_file() and is_name(Path(base)):
        with at(f"{path}: base: "):
            below = named_config(base)
    below = below.resolve()
    if below in (*seen, path.resolve()):
        raise UserError(f"{path}: base: {base} extends itself")
    return merge(read_with_base(below, (*seen, path.resolve())), raw)


def _refuse_input(path: Path) -> None:
    """UserError for a file of a kind that is input."""
    from pipeline.extract.inputs.forms import WORDS, form_by_suffix

    if path.suffix not in (".toml", ".json") and (form := form_by_suffix(str(path))):
        mend = f"python -m pipeline run quickstart --set 'input.paths=[\"{path}\"]' reads it"
        raise UserError(f"{path}: {WORDS[form]}, not a config; {mend}")


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged key by key. Other values of `above` replace those of `below`; `false` removes them."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        _put(merged, key, merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value)
    return merged


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    """Set a key; `false` over a value that is not a boolean removes it, because off is absent."""
    if value is False and key in table and not isinstance(table[key], bool):
        del table[key]
    else:
        table[key] = value


def apply_setting(raw: dict[str, Any], setting: str) -> None:
    """Apply a setting `a.b.c=value` to `raw`; the value is TOML, else plain text."""
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
    """The first mistake in one line; for a misspelt key with the known keys, for a word such as "off" with what is meant."""
    first = error.errors(include_url=False)[0]
    value, names = first["input"], [str(name) for name in first["loc"]]
    if not names:
        return _message(first, model)
    if value is False and first["type"] not in ("extra_forbidden", "unexpected_keyword_argument", "value_error"):
        return f"{'.'.join(names)}: {_NOTHING_TO_SWITCH_OFF.format(names[-1])}"
    is_off = isinstance(value, str) and value.strip().lower() in OFF
    return _message(first, model) + (f"; {names[-1]} = false switches off what a base sets" if is_off else "")


def _message(first: ErrorDetails, model: type[Section]) -> str:
    names = [str(name) for name in first["loc"]]
    path = ".".join(names)
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        if renamed := next((new for old, new in RENAMED.items() if fnmatchcase(path, old)), None):
            return f"{path}: is now called {renamed}"
        known = _known_keys(model, names[:-1])
        if len(names) > 1 and names[-1] in _known_keys(model, ()):
            single = names[-1] in TOP
            place = f"{names[-1]} belongs at the top of the file" if single else f"[{names[-1]}] is a table of its own"
            return f"{path}: unknown key; {place}"
        return f"{path}: unknown key{known_names(names[-1], known, KEYS_PAGE)}"
    if first["type"] == "missing":
        return f"{path}: missing"
    if first["type"] in ("model_type", "dataclass_type"):
        keys = listed(_known_keys(model, names), KEYS_PAGE)
        return f"{path or 'the file'}: must be a table, not {first['input']!r}; its keys: {keys}"
    if first["type"] == "value_error":
        return _own_check(str(first["ctx"]["error"]), names)
    if first["type"] == "dict_type":
        return f"{path}: must be a table, not {first['input']!r}"
    if first["type"] == "too_short":
        return f"{path}: must not be empty"
    message = first["msg"][:1].lower() + first["msg"][1:]
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        message += f", not {first['input']!r}"
        near = did_you_mean(first["input"], re.findall("'([^']*)'", first["ctx"]["expected"]))
        return f"{path}: {message}{near}"
    given = repr(first["input"])
    shown = (
        "" if isinstance(first["input"], dict) else f", not {given if len(given) <= _SHOWN else given[:_SHOWN] + '…'}"
    )
    return f"{path}: {message}{shown}" if path else f"{message}{shown}"


def _own_check(message: str, names: Sequence[str]) -> str:
    """The message of a table's own check, with the table's path; a key or signal that the message begins with is not
    repeated."""
    for depth in range(len(names)):
        name = ".".join(names[depth:])
        if re.match(rf"{re.escape(name)}[.:]", message):
            return ".".join([*names[:depth], message])
    names_a_key = re.match(r"[\w.]+: ", message) is not None
    return ("." if names_a_key else ": ").join([".".join(names), message])


def _known_keys(root: type[Section], path: Sequence[str]) -> list[str]:
    table: Any = root
    for name in path:
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
