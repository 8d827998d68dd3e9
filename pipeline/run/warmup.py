"""Kernels compiled before they are needed, so that workers load them from the cache instead of each compiling them."""

import multiprocessing as mp
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from pipeline.config import Config
from pipeline.core.kernels import marker

COMPILED = (
    "extract",
    "quality",
    "quality.edit",
    "quality.scores",
    "quality.contamination",
    "duplicates.signatures",
    "duplicates.candidates",
    "duplicates.documents",
)
"""Steps that wait for kernels."""


def cold(steps: Iterable[str]) -> list[str]:
    """Those of the steps whose kernels this version has not compiled here yet."""
    return [step for step in steps if step in COMPILED and not marker(step).exists()]


def warm_up(step: str, config: Config) -> None:
    """Compile a step's kernels, or load them where that is done."""
    _warm_up(step, config)
    if step in COMPILED:
        marker(step).parent.mkdir(parents=True, exist_ok=True)
        marker(step).touch()


def _warm_up(step: str, config: Config) -> None:
    if step in ("quality", "quality.edit"):
        from pipeline.filters.signals import warm_up as warm_signals

        warm_signals(config.families)
    if step in ("quality.scores", "quality.contamination"):
        from pipeline.stages.models import warm_up as warm_models

        warm_models(step, config)
    if step == "quality.edit":
        from pipeline.filters.edits import warm_up as warm
    elif step == "duplicates.signatures":
        from pipeline.filters.minhash import warm_up as warm
    elif step == "duplicates.candidates":
        from pipeline.filters.dedup.clusters import warm_up as warm
    elif step == "duplicates.documents" and config.duplicates.verify != "none":
        from pipeline.filters.dedup.verify import warm_up as warm
    elif step == "extract" and (config.extract.extractor == "native" or config.extract.prescreen is not None):
        from pipeline.extract.native.extract import warm_up as warm
    else:
        return
    warm()


@contextmanager
def compiled_ahead(steps: Sequence[str], config: Config) -> Iterator[None]:
    """Meanwhile a process of its own compiles what later steps need. It writes nothing but Numba's cache."""
    process = mp.get_context("spawn").Process(target=_warm_up_all, args=(tuple(steps), config), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _warm_up_all(steps: Sequence[str], config: Config) -> None:
    for step in steps:
        warm_up(step, config)
