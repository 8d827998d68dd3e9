"""Kernels compiled before they are needed, so that workers load them from the cache instead of each compiling them."""

import multiprocessing as mp
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.core.step import Step

OnCompile = Callable[[int, int, str], None]
"""Called before each kernel is compiled with its number, the total, and its name."""


class WarmUp:
    """Compiles the kernels of steps, in order. Once the first kernel has to be compiled, a separate process compiles ahead
    for the later steps; it writes only to the cache."""

    def __init__(self, steps: Sequence[Step], options: Mapping[str, Any], workers: int, on_compile: OnCompile) -> None:
        self._later = [step for step in steps if step.kernels]
        self._options, self._workers, self._on_compile = options, workers, on_compile
        self._step: Step | None = None
        self._total: int | None = None
        self._ahead: Any = None  # the process …
        self._compiled_ahead: Any = None  # … and how many kernels it has begun

    def __call__(self, step: Step) -> None:
        """Compile a step's kernels, or load them from the cache."""
        self._step = step
        if step.kernels:
            self._later = self._later[self._later.index(step) + 1 :]
            step.kernels(self._options[step.name])

    def count(self, compiled: int, name: str) -> None:
        """Report progress; the callback for `pipeline.kernel_cache.compiling`."""
        if self._total is None:
            self._total = sum(step.compiles for step in (self._step, *self._later) if step)
            if self._workers > 1 and self._later:
                self._go_ahead()
        done = compiled + (self._compiled_ahead.value if self._compiled_ahead else 0)
        self._on_compile(done, max(done, self._total), name)

    def close(self) -> None:
        """Stop the process that compiles ahead."""
        if self._ahead:
            self._ahead.kill()
            self._ahead.join()

    def _go_ahead(self) -> None:
        context = mp.get_context("spawn")
        self._compiled_ahead = context.Value("i", 0)
        kernels = [(step.kernels, self._options[step.name]) for step in self._later]
        self._ahead = context.Process(target=_compile, args=(kernels, self._compiled_ahead), daemon=True)
        self._ahead.start()


def _compile(kernels: Sequence[tuple[Callable[[Any], None], Any]], compiled: Any) -> None:
    from pipeline.kernel_cache import compiling

    def count(number: int, name: str) -> None:
        compiled.value = number

    with compiling(count):
        for function, options in kernels:
            function(options)
