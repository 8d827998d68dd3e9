"""A step is one value, declared in the module that does the work. All that names steps is derived from these values.

The order of `pipeline.run.steps.STEPS` is the order of the work. What follows from it:

    stage   a step that drops rows or makes a product, with the steps before it; named by the first word of its name
    gate    the file that says which rows come to a step: that of the last step that drops in an earlier stage
    text    the text so far: what the last step before it that rewrites texts has left, or what was extracted
    key     a hash of name, version, options, libraries and the keys of what the step reads: these, gate and text included

So a new step that drops rows takes them from all that follow it, and `stats`, `why`, `diff`, `sample` and the bars know it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.files import digest

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.config import Config
    from pipeline.core.ledger import Part
    from pipeline.core.part import EarlierRun, RunFiles


@dataclass(frozen=True, slots=True)
class Failing:
    """Why a row goes, in figures: the value that a rule saw, and its bound in words."""

    value: Any
    bound: str | None


Explain = Callable[[str, Mapping[str, Any], Any, Callable[["Step"], Path | None]], Failing]
"""(rule, the row's values in this stage, the step's options, where a step's file for the row is) -> Failing."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a step's files, for the reference. In capitals: names that a run gives, as NAME of a signal."""

    name: str
    type: str
    meaning: str


def columns(schema: "pa.Schema", meanings: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns of a schema with what each means; ValueError where names are missing or left over."""
    known = {"dropped": "why this stage drops the row; `[]`: kept; null: an earlier stage dropped it"} | dict(meanings)
    if set(schema.names) != set(known) - ({"dropped"} - set(schema.names)):
        raise ValueError(f"columns without a meaning, or the other way round: {set(schema.names) ^ set(known)}")
    return tuple(Column(field.name, column_type(field.type), known[field.name]) for field in schema)


def column_type(kind: "pa.DataType") -> str:
    """Arrow's name of a type; files and schemas name the entries of a list differently, so that name is left out."""
    return re.sub(r"list<\w+: ", "list<", str(kind))


def _no_options(config: "Config", earlier: Sequence["EarlierRun"]) -> Any:
    return None


def _always(config: "Config") -> bool:
    return True


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One kind of work."""

    name: str
    """Its folder in ledger/; "quality.decide" belongs to a stage, "clean" is a product with a folder of its own."""
    title: str
    """What its progress bar says."""
    version: int
    """Rises when the code changes what the step writes; finished runs then do it again."""
    run: Callable[..., int]
    """`run(PartFiles, options, tick, care)` on one part, in a worker; `run(RunFiles, options, tick)` where `whole`.
    Returns the rows it went through. It gets the options that its key has hashed, and no config."""
    options: Callable[["Config", Sequence["EarlierRun"]], Any] = _no_options
    """A frozen value: hashed into the key, and handed to `run`. `unhashed()` fields, such as memory, change no output."""
    reads: tuple["Step", ...] = ()
    """Steps whose files it reads, beside the gate and the text; those that the config does not need are left out."""
    whole: bool = False
    """Whether it works on all parts at once, in the parent process."""
    quick: bool = False
    """Not worth starting workers for: it runs in the parent where there are none yet."""
    needed: Callable[["Config"], bool] = _always
    """Whether the config asks for it; otherwise it is not run, and keys are made without it."""
    libraries: tuple[str, ...] = ()
    """Distributions that decide its output, by version; "unicode" is Python's own character database."""
    kernels: Callable[[Any], None] | None = None
    """Compiles what it needs, or loads it from the cache."""
    compiles: int = 0
    """How many kernels that are, with the options as they are by default: for "compiling kernels (12 of 19)"."""
    drops: Explain | None = None
    """Explains one of its rules for `why`. A step that has it writes the column `dropped`, and ends a stage."""
    gate: "Step | None" = None
    """A dropping step of an earlier stage, to measure more rows than come here: a changed rule then measures nothing again."""
    gated: bool = True
    """Whether it reads which rows come to it."""
    text: bool = False
    """Whether it reads the text so far."""
    rewrites: bool = False
    """Whether its column `text` is a new text (null: unchanged), which all later steps read."""
    cuts: bool = False
    """Whether its column `cuts` has byte ranges to take out of the text so far."""
    shows: bool = True
    """Whether `why` shows its columns."""
    prefix: str = ""
    """Put before the names of its columns in rules and `why`: "edited." tells signals of the edited text apart."""
    product: bool = False
    """Whether its folder lies at the top of the run directory, where a user looks for it."""
    place: Callable[["Part"], Any] | None = None
    """What the step writes of where a part lies; part of its key."""
    documents: Callable[["RunFiles"], int] | None = None
    """Of a product without `dropped`: how many documents it holds, for the funnel."""
    check: Callable[["Config"], Iterable[str]] | None = None
    """Raises UserError, before any work, for what cannot be done; yields notes on what cannot be found."""
    remarks: Callable[["RunFiles", Any], Iterable[str]] | None = None
    """Notes once it is done."""
    prepare: Callable[[Path, Any], None] | None = None
    """Makes in the step's folder, given with the options, what all its workers share."""
    shared: tuple[str, ...] = ()
    """The files that `prepare` makes."""
    columns: Callable[[], Sequence[Column]] = tuple
    """The columns of its files, for the reference."""
    reasons: Callable[[], Mapping[str, str]] = dict
    """Every rule that it may write into `dropped`, and what the rule says, for the reference."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The files of a product that is one folder, and what each holds, for the reference."""
    passes: int = 1
    """How often a whole step goes over its rows, for the bar; 0: not known."""

    @property
    def makes_folder(self) -> bool:
        """Whether the product is one folder, and not a file a part."""
        return self.whole and self.product

    @property
    def ends_stage(self) -> bool:
        """Whether a stage ends here."""
        return self.drops is not None or self.product

    def folder(self, root: Path) -> Path:
        """Where its files lie in a run directory."""
        return root / self.name if self.product else root / "ledger" / self.name


@dataclass(frozen=True, slots=True)
class Content:
    """A file that the config names: keys see its content, the work its path."""

    path: str
    digest: str

    @classmethod
    def of(cls, path: str | Path) -> "Content":
        """The file as it is now."""
        return cls(str(path), digest(Path(path)))

    def hashed(self) -> str:
        """What keys see."""
        return self.digest


def unhashed(default: Any = None) -> Any:
    """A field of options that changes no output: no key sees it."""
    return field(default=default, metadata={"hashed": False})


Kind = TypeVar("Kind")


def part_of(kind: type[Kind], value: Kind) -> Kind:
    """Of a frozen value the fields that its base class has: a key that depends on these depends on no others."""
    return kind(**{f.name: getattr(value, f.name) for f in fields(kind)})  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """A value as JSON can say it, the same in every process; TypeError for what has no stable form (a set, an object)."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError(f"no stable form for keys: a mapping with keys other than strings ({value!r})")
        return {name: plain(entry) for name, entry in value.items()}
    if hasattr(value, "hashed"):
        return plain(value.hashed())
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.metadata.get("hashed", True)}
    raise TypeError(f"no stable form for keys: {type(value).__name__} ({value!r})")


def fingerprint(*values: Any) -> str:
    """A short hash of plain values, stable over processes, machines and versions of Python."""
    text = json.dumps(plain(values), sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
