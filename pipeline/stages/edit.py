"""quality.edit: texts without the lines that [edit] takes out, and every signal of what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config, Edit
from pipeline.core.engines import Care, Tick
from pipeline.core.measuring import measure
from pipeline.core.part import EarlierRun, PartFiles
from pipeline.core.step import Step
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality import Measured, measured_signals

if TYPE_CHECKING:
    from pipeline.filters.edits import LineRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The edits, and what is measured of their outcome."""

    edit: Edit
    signals: Measured


def edit(files: PartFiles, options: Options, tick: Tick, care: Care) -> int:
    """The edited text (null where nothing changes), what each rule removed, and every signal of what is left."""
    from pipeline.filters.edits import LineRules, edit_lines
    from pipeline.filters.signals import measure as signals

    rules = LineRules(**options.edit.model_dump())
    names = options.signals.names

    def compute(text: pa.Array, *languages: pa.Array) -> list[pa.Array]:
        edited = edit_lines(text, rules)
        null = text.is_null().to_numpy(zero_copy_only=False)
        removed = [counts[name] for name in rules.reasons for counts in (edited.lines, edited.words)]
        measured = signals(pc.coalesce(edited.texts, text), names, *languages)
        return [
            edited.texts,
            *(pa.array(values, mask=null) for values in (*removed, *edited.measures.values())),
            *measured.values(),
        ]

    labels = LANGUAGE if options.signals.languages else None
    return measure(files, edit_schema(rules, names), compute, tick, care, labels)


def edit_schema(rules: "LineRules", signals: Sequence[str]) -> pa.Schema:
    """Columns of ledger/quality.edit."""
    from pipeline.filters.edits import MEASURES

    removed = [f"removed_{what}.{name}" for name in rules.reasons for what in ("lines", "words")]
    numbers = [(name, pa.float64()) for name in (*MEASURES, *signals)]
    return pa.schema([("text", pa.string()), *((name, pa.int32()) for name in removed), *numbers])


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    return Options(edit=config.edit, signals=measured_signals(config))


def _kernels(options: Options) -> None:
    from pipeline.filters.edits import warm_up
    from pipeline.filters.signals import warm_up as warm_signals

    warm_signals(options.signals.families)
    warm_up()


EDIT = Step(
    name="quality.edit",
    title="edit, measure again",
    version=9,
    run=edit,
    options=_options,
    reads=(LANGUAGE,),
    text=True,
    rewrites=True,
    needed=lambda config: config.edits,
    libraries=("unicode", "regex"),
    kernels=_kernels,
    prefix="edited.",
)
