"""Writing files so that they exist complete or not at all. Every room writes files with this module."""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pipeline.errors import UserError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path that is renamed to `path` if the block ends without an error, and deleted otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if "No space left on device" in str(error):  # Arrow's own error names no file and has no errno
            raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic`, for a folder. Between its two renames `path` does not exist; a reader never sees half of a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    old = path.with_name(f".{path.name}.{os.getpid()}.old.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for file in sorted(temporary.rglob("*")):
            if file.is_file():
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            if old.exists():
                os.rename(old, path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def scratch(name: str, folder: Path | None = None) -> Iterator[Path]:
    """A temporary folder in `folder`, which `sweep` deletes after a kill, or in the system's; deleted when the block ends. A
    full disk is named: the system's temporary folder is often on another one, or in memory."""
    with tempfile.TemporaryDirectory(prefix=f".{name}-", suffix=".tmp", dir=folder) as path:
        try:
            yield Path(path)
        except OSError as error:
            if error.errno == errno.ENOSPC and error.filename is None:
                raise OSError(errno.ENOSPC, "No space left on device", path) from error
            raise


def sweep(folder: Path) -> None:
    """Delete the temporary files and folders that killed processes left in `folder`."""
    for stale in sorted(folder.rglob(".*.tmp")):
        if stale.is_dir():
            shutil.rmtree(stale, ignore_errors=True)
        else:
            stale.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def digest(path: Path) -> str:
    """BLAKE2b (16 bytes, hex) of a file's content, streamed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def lock_file(file: int | IO[bytes], folder: Path) -> None:
    """Lock an open file or directory for this process; BlockingIOError if another one has locked it, and UserError naming
    `folder` where the file system has no locks, as Lustre mounted without `-o flock`."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be locked ({error.strerror}), so two processes could write to it at once; "
            "choose a directory on a file system with locks (Lustre: mounted with -o flock)"
        ) from None


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Turn a failed read of a Parquet file of ours into a UserError that names it. Its pages carry checksums, so every flipped
    bit is noticed; one in the footer may look like anything. That a file is missing, or that memory ran out, is no damage."""
    import pyarrow as pa

    try:
        yield
    except (FileNotFoundError, MemoryError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path}: damaged ({reason}); delete it and run again") from None


def kernel_folder() -> Path:
    """The folder of compiled kernels: in the user's cache folder, or in the temporary folder if that is not writable, or not
    ours alone. Who writes there runs code as us: UserError if the folder in the temporary one is another user's."""
    subfolder = Path("corpus-pipeline", "kernels")
    folder = existing = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / subfolder
    while not existing.exists():
        existing = existing.parent
    if os.access(existing, os.W_OK | os.X_OK) and _is_trusted(existing):
        return folder
    own = Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"
    with suppress(FileExistsError):
        own.mkdir(mode=0o700)
    if not _is_trusted(own):
        raise UserError(
            f"{own}: another user could put code there that runs as you; delete it, or set NUMBA_CACHE_DIR to another folder"
        )
    return own / subfolder


def _is_trusted(folder: Path) -> bool:
    """Whether a folder is no link, belongs to us or root, and can be written by others only if it is sticky."""
    about = folder.lstat()
    open_to_all = about.st_mode & stat.S_IWOTH and not about.st_mode & stat.S_ISVTX
    return stat.S_ISDIR(about.st_mode) and about.st_uid in (os.getuid(), 0) and not open_to_all
