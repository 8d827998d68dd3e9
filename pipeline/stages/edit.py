"""quality.edit: texts without the lines that [edit] removes, and every signal of the edited text."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.core.engines import Progress, Retry
from pipeline.core.measuring import measure
from pipeline.core.part import EarlierRun, PartFiles
from pipeline.core.step import Column, Step, columns
from pipeline.filters.options import EditOptions
from pipeline.filters.rules import EDITED
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality import Measured, measured_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The edits, and the signals to measure on the edited text."""

    edit: EditOptions
    functions: tuple[str, ...]
    """Digests of the plugins, if their edits are used."""
    signals: Measured


def edit(files: PartFiles, options: Options, progress: Progress, retry: Retry) -> int:
    """Write the edited text (null where nothing changes), how much each rule removed, and every signal of the edited text."""
    from pipeline.filters.edits import MEASURES, edit_lines
    from pipeline.filters.plugins import apply_edits, load
    from pipeline.filters.signals import measure as signals

    rules, plugged = options.edit, load(options.signals.plugins)
    functions = plugged.functions(options.edit.functions)
    names = options.signals.names

    def compute(text: pa.Array, languages: pa.Array | None = None) -> list[pa.Array]:
        edited = edit_lines(text, rules)
        null = text.is_null().to_numpy(zero_copy_only=False)
        removed = [counts[name] for name in rules.reasons for counts in (edited.lines, edited.words)]
        texts, measures = edited.texts, edited.measures
        if functions:
            applied = apply_edits(pc.coalesce(texts, text), functions)
            removed += [counts[name] for name in functions for counts in (applied.lines, applied.words)]
            texts = pc.if_else(pc.equal(applied.texts, text), pa.scalar(None, text.type), applied.texts)
            measures = {
                name: 1 - (1 - measures[name]) * kept
                for name, kept in zip(MEASURES, (applied.kept_lines, applied.kept_words), strict=True)
            }
        measured = signals(pc.coalesce(texts, text), names, languages, plugged.signals)
        return [
            texts,
            *(pa.array(values, mask=null) for values in (*removed, *measures.values())),
            *measured.values(),
        ]

    labels = LANGUAGE if options.signals.languages else None
    return measure(files, edit_schema((*rules.reasons, *functions), names), compute, progress, retry, labels)


def edit_schema(reasons: Sequence[str], signals: Sequence[str]) -> pa.Schema:
    """Columns of ledger/quality.edit."""
    from pipeline.filters.edits import MEASURES

    removed = [f"removed_{unit}.{name}" for name in reasons for unit in ("lines", "words")]
    numbers = [(name, pa.float64()) for name in (*MEASURES, *signals)]
    return pa.schema([("text", pa.string()), *((name, pa.int32()) for name in removed), *numbers])


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Options:
    signals = measured_signals(config)
    functions = tuple(file.digest for file in signals.plugins) if config.edit.functions else ()
    return Options(edit=config.edit, functions=functions, signals=signals)


def _kernels(options: Options) -> None:
    from pipeline.filters.edits import warm_up
    from pipeline.filters.signals import warm_up as warm_signals

    warm_signals(options.signals.families)
    warm_up()


def _columns() -> tuple[Column, ...]:
    meanings = {
        "text": "the edited text; null where nothing changes",
        "removed_lines.EDIT": "lines that an edit of [edit] removed, each counted under the first edit that it fails",
        "removed_words.EDIT": "the words in them",
        "removed_line_ratio": "share of the non-blank lines that edits removed",
        "removed_word_ratio": "share of the words that edits removed",
        "SIGNAL": "a signal of the edited text",
    }
    return columns(edit_schema(["EDIT"], ["SIGNAL"]), meanings)


EDIT = Step(
    name="quality.edit",
    title="edit, measure again",
    version=10,
    run=edit,
    options=_options,
    reads=(LANGUAGE,),
    text=True,
    rewrites=True,
    needed=lambda config: config.edits,
    libraries=("unicode", "regex"),
    kernels=_kernels,
    compiles=2,
    prefix=EDITED,
    columns=_columns,
)
