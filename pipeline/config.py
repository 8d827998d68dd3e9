"""The tree of a run's configuration. Its tables are frozen dataclasses of the rooms that use them, which document each key
with its default, its meaning and the source of numbers.

`pipeline.config_file` reads it from a TOML file and checks all of it before any work starts. A feature is off when it is
absent.
"""

from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from pipeline.errors import UserError
from pipeline.extract.options import ExtractOptions, InputOptions
from pipeline.filters.decontaminate.options import DecontaminateOptions
from pipeline.filters.dedup.options import DuplicateOptions
from pipeline.filters.options import (
    EditOptions,
    LanguageOptions,
    MaskOptions,
    MeasureOptions,
    ScoreOptions,
    UrlOptions,
)
from pipeline.filters.rules import EDITED, Rule
from pipeline.tokenize.options import ShardOptions, TokenizerOptions
from pipeline.train.config import TrainConfig

if TYPE_CHECKING:
    from pipeline.filters.plugins import Plugins

SIZES = ("input.part_bytes", "duplicates.memory", "tokenizer.memory", "shards.memory")
"""Keys in bytes, which a config file may write as "2GB"."""


class Section(BaseModel):
    """A table of a config file: unknown keys are errors, values are frozen, and one string may stand for a list of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _lists_of_one(cls, raw: Any) -> Any:
        return _lists_of_one(cls, raw)


class Config(Section):
    """A whole run."""

    input: InputOptions
    out: str | None = None
    """The run directory; by default runs/ and the name of the config file."""
    until: str = "train"
    """The stage to stop after: python -m pipeline run --help names them."""
    plugins: tuple[str, ...] = ()
    """Python files that define more signals and edits (pipeline.filters.plugins)."""
    url: UrlOptions = UrlOptions()
    extract: ExtractOptions = ExtractOptions()
    language: LanguageOptions = LanguageOptions()
    measure: MeasureOptions = MeasureOptions()
    quality: dict[str, Rule] = {}
    """Rules on the extracted text, by signal."""
    edit: EditOptions = EditOptions()
    edited: dict[str, Rule] = {}
    """Rules on the edited text, by signal."""
    scores: dict[str, ScoreOptions] = {}
    decontaminate: DecontaminateOptions = DecontaminateOptions()
    duplicates: DuplicateOptions = DuplicateOptions()
    mask: MaskOptions = MaskOptions()
    tokenizer: TokenizerOptions = TokenizerOptions()
    shards: ShardOptions = ShardOptions()
    train: TrainConfig = TrainConfig()

    @field_validator("input", "duplicates", "tokenizer", "shards", mode="before")
    @classmethod
    def _sizes_in_bytes(cls, table: Any, info: ValidationInfo) -> Any:
        if not isinstance(table, Mapping):
            return table
        keys = {f"{info.field_name}.{key}": key for key in table}
        sizes = {keys[name]: parse_bytes(str(table[keys[name]]), name) for name in SIZES if name in keys}
        return {**table, **sizes}

    @field_validator("quality", "edited", mode="before")
    @classmethod
    def _named_rules(cls, tables: Any, info: ValidationInfo) -> Any:
        """Give each rule its signal, which is the name of its table. A bound that is `false` is off, with a base or without."""
        if not isinstance(tables, Mapping):
            return tables
        prefix = EDITED if info.field_name == "edited" else ""
        rules = {}
        for name, rule in tables.items():
            signal = {"signal": f"{prefix}{name}"}
            if isinstance(rule, Mapping) and rule.get("signal") not in (None, *signal.values()):
                raise ValueError(f"{name}.signal: unknown key; the name of the table is the signal")
            if isinstance(rule, Mapping):
                rules[name] = {key: value for key, value in rule.items() if value is not False} | signal
            else:
                rules[name] = rule
        return rules

    @property
    def plugged(self) -> "Plugins":
        """The signals and edits of the plugins, loaded once per process."""
        from pipeline.filters.plugins import load, locate

        return load(locate(self.plugins))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules in the order of the file: those on the extracted text, then those on the edited text."""
        return (*self.quality.values(), *self.edited.values())

    @property
    def families(self) -> tuple[str, ...]:
        """The families of signals that rules, `duplicates.keep` or `measure` name: measured besides the common signals."""
        preferred = [text.partition(" ")[2] for text in self.duplicates.keep if text.startswith(("highest", "lowest"))]
        named = {*self.quality, *self.edited, *preferred} - {*self.scores}
        if not named:
            return tuple(sorted(set(self.measure.families)))
        from pipeline.filters.signals import families_of  # imports Numba, which only a config with rules needs

        return tuple(sorted({*families_of(named), *self.measure.families}))

    @property
    def edits(self) -> bool:
        """Whether anything is edited."""
        return self.edit != EditOptions()

    @property
    def contamination(self) -> Literal["drop", "flag", "cut"] | None:
        """What is done with documents that contain evaluation texts; None if no evaluation texts are given."""
        return self.decontaminate.action if self.decontaminate.against else None

    @property
    def cuts(self) -> tuple[str, ...]:
        """The kinds of cuts made in the texts of kept documents, in the order of the steps."""
        return (*self.duplicates.families, *(("contamination",) if self.contamination == "cut" else ()))


def _lists_of_one(kind: Any, value: Any) -> Any:
    """The value of a key of type `kind`, with a string in it where the type is a list of strings as a list of one."""
    kinds = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) in (Union, UnionType):
        return _lists_of_one(kinds[0], value) if len(kinds) == 1 else value
    if get_origin(kind) is tuple:
        strings = kinds[0] is str or get_origin(kinds[0]) is Literal
        return (value,) if strings and isinstance(value, str) else value
    if not isinstance(value, Mapping):
        return value
    if get_origin(kind) is dict:
        return {key: _lists_of_one(kinds[1], inner) for key, inner in value.items()}
    if not isinstance(kind, type):
        return value
    types = get_type_hints(kind)
    return {key: _lists_of_one(types.get(key), inner) for key, inner in value.items()}


def parse_bytes(text: str, key: str) -> int:
    """Bytes in a size such as "2GB" or "500 MB": powers of 1,000, or of 1,024 with an i ("2GiB"). UserError names `key`."""
    units = {"": 1, "b": 1}
    for power, letter in enumerate("kmgt", 1):
        units |= {f"{letter}b": 1000**power, f"{letter}ib": 1024**power}
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text.strip()[len(digits) :].strip().lower()
    try:
        return int(float(digits) * units[unit])
    except (KeyError, ValueError, OverflowError):
        raise UserError(f"{key}: {text!r} is not a size; write for example 2GB or 500MB") from None
