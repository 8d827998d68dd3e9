"""Where compiled kernels are kept."""

import hashlib
import os
import tempfile
from pathlib import Path


def use_kernel_cache() -> None:
    """Give Numba a cache folder of this version of the code; called before Numba is imported.

    Numba notices a change of the file that a kernel is in, but not of the files that it calls into: kernels of another
    version of this package would stay in use. And a read-only install must still cache somewhere.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    package = Path(__file__).parents[1]
    files = sorted([*package.glob("*/*.py"), *package.glob("*/*/*.py")])  # "**" does not follow the links in here
    contents = {file: file.read_bytes() for file in files}
    folders = {file.parent for file, content in contents.items() if b"numba" in content}
    code = hashlib.blake2b(digest_size=8)
    for file, content in contents.items():
        if file.parent in folders:  # a folder's kernels call into, and take numbers from, that folder alone
            code.update(content)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = home if _writable(home) else Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"
    os.environ["NUMBA_CACHE_DIR"] = str(root / "corpus-pipeline" / f"kernels-{code.hexdigest()}")


def marker(step: str) -> Path | None:
    """What lies in the cache folder once a step's kernels are compiled; None where Numba caches beside the code."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    return Path(folder) / f"{step}.compiled" if folder else None


def _writable(place: Path) -> bool:
    while not place.exists():
        place = place.parent
    return os.access(place, os.W_OK)
