"""quality: every signal of every text that comes here, whether a rule uses it or not. Rules decide in `quality_rules`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.config import Config
from pipeline.core.engines import Care, Tick
from pipeline.core.measuring import measure
from pipeline.core.part import EarlierRun, PartFiles
from pipeline.core.step import Step, unhashed
from pipeline.stages.language import LANGUAGE

STOPWORDS = "stopwords"
"""The family of signals that asks for a document's language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The signals that a step stores, in the order of its columns."""

    names: tuple[str, ...]
    families: tuple[str, ...] = unhashed(())

    @property
    def languages(self) -> bool:
        """Whether a signal asks for a document's language."""
        return STOPWORDS in self.families


def measured_signals(config: Config) -> Measured:
    """The common signals and the families that the config names, whole: a rule on one of them measures nothing again."""
    from pipeline.filters.signals import stored_signals

    return Measured(names=stored_signals(config.families), families=config.families)


def quality(files: PartFiles, options: Measured, tick: Tick, care: Care) -> int:
    """Measure the signals."""
    from pipeline.filters.signals import measure as signals

    def compute(text: pa.Array, *languages: pa.Array) -> list[pa.Array]:
        return list(signals(text, options.names, *languages).values())

    schema = pa.schema([(name, pa.float64()) for name in options.names])
    return measure(files, schema, compute, tick, care, LANGUAGE if options.languages else None)


def _options(config: Config, earlier: Sequence[EarlierRun]) -> Measured:
    return measured_signals(config)


def _kernels(options: Measured) -> None:
    from pipeline.filters.signals import warm_up

    warm_up(options.families)


QUALITY = Step(
    name="quality",
    title="measure quality",
    version=9,
    run=quality,
    options=_options,
    reads=(LANGUAGE,),
    text=True,
    libraries=("unicode", "regex"),
    kernels=_kernels,
)
