"""A step is one value, declared in the module that does the work. Everything else about steps is derived from these values.

Steps run in the order of `pipeline.run.steps.STEPS`. From that order follow:

    stage   a step that drops rows or makes a product, with the steps before it; named by the first word of its name
    gate    the file that says which rows come to a step: that of the last dropping step of an earlier stage
    text    the text so far: the output of the last rewriting step before it, else the extracted text
    key     a hash of name, version, options, libraries and the keys of what the step reads, gate and text included

So the rows that a new dropping step drops do not reach later steps, and `stats`, `why`, `diff`, `sample` and the progress
bars include it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.config import Config
    from pipeline.core.ledger import Part
    from pipeline.core.part import EarlierRun, RunFiles


@dataclass(frozen=True, slots=True)
class Failing:
    """Why a rule drops a row: the value that the rule saw, and its bound in words."""

    value: Any
    bound: str | None


Explain = Callable[[str, Mapping[str, Any], Any, Callable[["Step"], Path | None]], Failing]
"""(rule, the row's values in this stage, the step's options, where a step's file for the row is) -> Failing."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a step's files, for the reference. Capitals stand for names that a run chooses, such as SIGNAL."""

    name: str
    type: str
    meaning: str


def columns(schema: "pa.Schema", meanings: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns of a schema with their meanings; ValueError for a column without one, or a meaning without a column."""
    known = {"dropped": "why this stage drops the row; `[]`: kept; null: an earlier stage dropped it"} | dict(meanings)
    if set(schema.names) != set(known) - ({"dropped"} - set(schema.names)):
        raise ValueError(f"columns without a meaning, or meanings without a column: {set(schema.names) ^ set(known)}")
    return tuple(Column(field.name, column_type(field.type), known[field.name]) for field in schema)


def column_type(kind: "pa.DataType") -> str:
    """Arrow's name of a type, without the name of list entries, which differs between files and schemas."""
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
    """Words on its progress bar."""
    version: int
    """Raise it when the code changes what the step writes; finished runs then redo the step."""
    run: Callable[..., int]
    """`run(PartFiles, options, progress, retry)` on one part, in a worker; `run(RunFiles, options, progress)` where `whole`.
    Returns the number of rows it went through. It gets the options that its key hashes, never the config."""
    options: Callable[["Config", Sequence["EarlierRun"]], Any] = _no_options
    """A frozen value from the config: hashed into the key and passed to `run`. `unhashed()` fields, such as memory, must not
    change the output."""
    reads: tuple["Step", ...] = ()
    """Steps whose files it reads, besides gate and text; those that the config does not need are ignored."""
    whole: bool = False
    """Whether it works on all parts at once, in the parent process."""
    quick: bool = False
    """Too short to start workers for: it runs in the parent process if there are none yet."""
    needed: Callable[["Config"], bool] = _always
    """Whether the config asks for it; otherwise it is not run, and no key includes it."""
    libraries: tuple[str, ...] = ()
    """Distributions whose versions affect its output; "unicode" is Python's own character database."""
    kernels: Callable[[Any], None] | None = None
    """Compiles the kernels it needs, or loads them from the cache."""
    compiles: int = 0
    """How many kernels that is with default options: for "compiling kernels (12 of 19)"."""
    drops: Explain | None = None
    """Explains one of its rules for `why`. A step with this field is a dropping step: it writes `dropped` and ends a stage."""
    gate: "Step | None" = None
    """An earlier dropping step to use as gate, so that more rows are measured than the default gate lets in: a rule changed
    in between then measures nothing again."""
    gated: bool = True
    """Whether it has a gate."""
    text: bool = False
    """Whether it reads the text so far."""
    rewrites: bool = False
    """Whether its column `text` is a new text (null: unchanged) for all later steps."""
    cuts: bool = False
    """Whether its column `cuts` holds byte ranges to cut out of the text so far."""
    shows: bool = True
    """Whether `why` shows its columns."""
    prefix: str = ""
    """Prefix of its column names in rules and `why`: "edited." marks signals of the edited text."""
    product: bool = False
    """Whether its folder is at the top of the run directory, where a user looks for it."""
    location: Callable[["Part"], Any] | None = None
    """What the step writes about a part's location; included in its key."""
    documents: Callable[["RunFiles"], int] | None = None
    """For a product without `dropped`: how many documents it holds, for the funnel."""
    check: Callable[["Config"], Iterable[str]] | None = None
    """Called before any work: raises UserError for a config that cannot work; yields notes on what will have no effect."""
    remarks: Callable[["RunFiles", Any], Iterable[str]] | None = None
    """Yields notes once the step is done."""
    prepare: Callable[[Path, Any], None] | None = None
    """Called with the step's folder and options: writes files that all its workers share."""
    shared: tuple[str, ...] = ()
    """Names of the files that `prepare` writes."""
    columns: Callable[[], Sequence[Column]] = tuple
    """The columns of its files, for the reference."""
    reasons: Callable[[], Mapping[str, str]] = dict
    """Every rule that it may write into `dropped`, and its meaning, for the reference."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The files of a product that is one folder, and their contents, for the reference."""
    passes: int = 1
    """How often a whole step goes over its rows, for the progress bar; 0: not known."""

    @property
    def makes_folder(self) -> bool:
        """Whether the product is one folder, not a file per part."""
        return self.whole and self.product

    @property
    def ends_stage(self) -> bool:
        """Whether a stage ends here."""
        return self.drops is not None or self.product

    def folder(self, root: Path) -> Path:
        """The folder of its files in a run directory."""
        return root / self.name if self.product else root / "ledger" / self.name
