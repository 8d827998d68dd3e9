"""Which steps have their kernels compiled already, without importing Numba; and Numba's folder for extract/native."""

import hashlib
import os
from functools import cache
from pathlib import Path

from pipeline.files import kernel_folder

_PACKAGE = Path(__file__).parents[1]


def use_kernel_cache() -> None:
    """Give Numba a cache folder of this version of extract/native, whose kernels it caches itself; called before Numba is
    imported. Numba notices a change of the file that a kernel is in, but not of the files that it calls into.

    All other kernels know themselves where they are kept: see `pipeline.kernels`.
    """
    if "NUMBA_CACHE_DIR" not in os.environ:
        native = _digest(sorted((_PACKAGE / "extract" / "native").glob("*.py")))
        os.environ["NUMBA_CACHE_DIR"] = str(kernel_folder().with_name(f"native-{native}"))


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
