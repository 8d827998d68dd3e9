"""quality: every signal of every text that comes in, whether a rule uses it or not. `quality_rules` decides."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.config import Config
from pipeline.core.engines import Progress, Retry
from pipeline.core.fingerprint import unhashed
from pipeline.core.measuring import measure
from pipeline.core.part import EarlierRun, PartFiles
from pipeline.core.step import Step, columns
from pipeline.filters.plugins import PluginFile, load, locate
from pipeline.stages.language import LANGUAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The signals that a step stores, in the order of its columns."""

    signals: tuple[tuple[str, str], ...]
    """(name, hash of the code that computes it): a changed body measures again, a changed comment does not."""
    languages: bool
    """Whether any signal needs the document's language."""
    families: tuple[str, ...] = unhashed(())
    plugins: tuple[PluginFile, ...] = unhashed(())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(name for name, _ in self.signals)


def measured_signals(config: Config) -> Measured:
    """The common signals, and all those of the families and plugins that the config names: a new rule on any of them
    measures nothing again."""
    from pipeline.filters.signals import need_languages, signals_key

    files = locate(config.plugins)
    plugins = load(files).signals
    signals = tuple((name, code) for name, code in signals_key(config.families, plugins))
    return Measured(
        signals=signals,
        languages=need_languages([name for name, _ in signals], plugins),
        families=config.families,
        plugins=files,
    )


def quality(files: PartFiles, options: Measured, progress: Progress, retry: Retry) -> int:
    """Write the signals of every text."""
    from pipeline.filters.signals import measure as signals

    plugins = load(options.plugins).signals

    def compute(text: pa.Array, languages: pa.Array | None = None) -> list[pa.Array]:
        return list(signals(text, options.names, languages, plugins).values())

    return measure(
        files, quality_schema(options.names), compute, progress, retry, LANGUAGE if options.languages else None
    )


def quality_schema(signals: Sequence[str]) -> pa.Schema:
    """Columns of ledger/quality."""
    return pa.schema([(name, pa.float64()) for name in signals])


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Measured:
    return measured_signals(config)


def _kernels(options: Measured) -> None:
    from pipeline.filters.signals import warm_up

    warm_up(options.families)


QUALITY = Step(
    name="quality",
    title="measure quality",
    version=10,
    run=quality,
    options=_options,
    reads=(LANGUAGE,),
    text=True,
    libraries=("unicode", "regex"),
    kernels=_kernels,
    compiles=4,
    columns=lambda: columns(quality_schema(["SIGNAL"]), {"SIGNAL": "a signal of the text; NaN where it is undefined"}),
)
