"""Kernels compiled before they are needed, so that workers load them from the cache instead of each compiling them."""

import multiprocessing as mp
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.core.kernels import marker
from pipeline.core.step import Step

Kernels = tuple[Callable[[Any], None], Any, str]
"""What compiles a step's kernels, its options, and the step's name."""


def cold(steps: Iterable[Step]) -> list[Step]:
    """Those of the steps whose kernels this version has not compiled here yet."""
    return [step for step in steps if step.kernels and not marker(step.name).exists()]


def warm_up(step: Step, options: Any) -> None:
    """Compile a step's kernels, or load them where that is done."""
    if step.kernels:
        _compile((step.kernels, options, step.name))


def _compile(kernels: Kernels) -> None:
    function, options, name = kernels
    function(options)
    marker(name).parent.mkdir(parents=True, exist_ok=True)
    marker(name).touch()


@contextmanager
def compiled_ahead(kernels: Sequence[Kernels]) -> Iterator[None]:
    """Meanwhile a process of its own compiles what later steps need. It writes nothing but Numba's cache."""
    process = mp.get_context("spawn").Process(target=_compile_all, args=(tuple(kernels),), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _compile_all(kernels: Sequence[Kernels]) -> None:
    for one in kernels:
        _compile(one)
