"""Kernels compiled before they are needed, so that workers load them from the cache instead of each compiling them."""

import hashlib
import multiprocessing as mp
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.core.step import Step
from pipeline.files import kernel_folder

_PACKAGE = Path(__file__).parents[1]

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


def marker(step: str) -> Path:
    """What lies in the cache folder once a step's kernels are compiled."""
    return kernel_folder() / f"{step}-{_version()}.compiled"


@cache
def _version() -> str:
    files = sorted([*_PACKAGE.glob("*.py"), *_PACKAGE.glob("*/*.py"), *_PACKAGE.glob("*/*/*.py")])
    return _digest([file for file in files if b"njit" in (text := file.read_bytes()) or b"pipeline.kernels" in text])


def _digest(files: list[Path]) -> str:
    code = hashlib.blake2b(digest_size=8)
    for file in files:  # "**" of glob() would not follow the links to the rooms
        code.update(file.read_bytes())
    return code.hexdigest()
