"""Files on disk, on a web server, or on any storage that fsspec supports (s3://, gs://, ...).

Remote files are read in ranges of a few megabytes. A failed range is tried again after a pause that doubles; after the last
try a UserError names the file and the bytes, and the finished parts of a run remain. A file of a web server that does not send
ranges is downloaded when it is read: into a temporary file without a name, which ends with its process, even with a killed one.
"""

import hashlib
import http.client
import io
import os
import re
import shutil
import stat
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.errors import UserError

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try; half a minute in total outlasts a server's restart."""
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as dead."""
FIRST_READ = 1 << 20
LARGEST_READ = 1 << 23
_BLOCK = 1 << 20
_SHARE_OF_DISK = 0.9  # of the free space, that a download may take
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a path has one slash where the URL has two; C:/ is no scheme
_TEMPORARY = {
    408,
    425,
    429,
    500,
    502,
    503,
    504,
}  # HTTP status codes that mean "try again"; 503 is how object stores say "slow down"

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_SYSTEM = re.compile(r"/(?:proc|sys|dev(?!/shm(?:/|$)))(?:/|$)")
"""Where the kernel shows things as files; /dev/shm is storage."""


def local_directory(path: Path) -> Path:
    """The same path, if a directory can be made there or is there; else UserError. Nothing is written."""
    if match := _SCHEME.match(str(path)):
        raise UserError(
            f"{match[0]}/{str(path)[match.end() :].lstrip('/')}: output goes to a directory on this machine; "
            "only input may be a URL. Copy the finished run there"
        )
    if _SYSTEM.match(os.path.realpath(path)):
        raise UserError(f"{path}: a system directory, where nothing can be stored")
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(path)  # fails for a name that is too long
        above = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
        if not above.is_dir():
            raise UserError(f"{path}: a file is in the way; choose another directory")
    except OSError as error:
        raise UserError(f"{path}: cannot be used as a directory ({error.strerror})") from None
    return path


def is_remote(path: str) -> bool:
    """Whether a path is a URL."""
    return "://" in path


def name_of(path: str) -> str:
    """A path in lower case, to tell the form of a file by; of a URL without what follows a question mark."""
    return (urllib.parse.urlsplit(path).path if _is_http(path) else path).lower()


def open_file(path: Path | str) -> BinaryIO:
    """The file, open for reading and seeking, unbuffered; UserError if it cannot be opened, or is not a regular file.

    Opening a pipe waits for a writer, and a device such as /dev/zero has no end; files of /proc say that they are empty.
    """
    if is_remote(str(path)):
        url = str(path)
        about = _about(url) if _is_http(url) else None
        if about and not about.ranges:
            return cast(BinaryIO, _Copy(download(url, about)))
        return cast(BinaryIO, Ranges(url, about.size if about else state(url)[0]))
    try:
        mode = os.stat(path).st_mode
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), None)
        if kind or _SYSTEM.match(os.path.realpath(path)):
            raise UserError(f"{path}: {kind or 'a file of the system'}, where a regular file is needed")
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def state(path: str) -> tuple[int, str]:
    """Size in bytes, and a version: the modification time on disk, else the server's ETag or time.

    A remote file's bytes are not read to detect a change; a change that leaves its size and version alone is not noticed.
    """
    if not is_remote(path):
        found = Path(path).stat()
        return found.st_size, str(found.st_mtime_ns)
    if _is_http(path):
        about = _about(path)
        return about.size, about.version
    system, inner = _storage(path)
    info = _tried(path, "its size", lambda: system.info(inner, refresh=True))
    version = next((info[name] for name in ("ETag", "etag", "mtime", "LastModified", "updated") if info.get(name)), "")
    return int(info["size"]), str(version)


def sends_ranges(path: str) -> bool:
    """Whether parts of a remote file can be read without reading all of it."""
    return not _is_http(path) or _about(path).ranges


def read_range(path: str, start: int, end: int) -> bytes:
    """All bytes [start, end) of a remote file, with repeated tries; UserError after the last one."""

    def read() -> bytes:
        if _is_http(path):
            with _ask(path, start, end) as reply:
                if reply.status != http.client.PARTIAL_CONTENT:
                    raise ConnectionError(f"HTTP {reply.status}, where ranges were sent before")
                data = cast(bytes, reply.read())
        else:
            system, inner = _storage(path)
            data = system.cat_file(inner, start=start, end=end)
        if len(data) != end - start:
            raise ConnectionError(f"received {len(data):,} of {end - start:,} bytes")
        return data

    return cast(bytes, _tried(path, f"bytes {start:,} to {end:,}", read))


def matches(pattern: str) -> list[str]:
    """The remote files that a URL names: the file itself, those in a directory, or those that a glob matches (not http)."""
    if _is_http(pattern):
        if "*" in pattern:
            raise UserError(f"{pattern}: a web server cannot list its files; name them, or use common_crawl")
        return [pattern]
    system, inner = _storage(pattern)
    if "*" in inner:
        names = _tried(pattern, "the list of files", lambda: system.glob(inner))
    else:
        names = _tried(pattern, "the list of files", lambda: system.find(inner))
    return [system.unstrip_protocol(name) for name in sorted(names)]


def digest_of(size: int, version: str, start: int, end: int | None) -> str:
    """A stand-in for the digest of a remote file's range, which is not read."""
    return hashlib.blake2b(f"{size} {version} {start} {end}".encode(), digest_size=16).hexdigest()


class _Seekable(io.RawIOBase):
    """A file object of a known size, with a position."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def seekable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position of the next read; returns it."""
        self._at = max(offset + (0, self._at, self._size)[whence], 0)
        return self._at

    def tell(self) -> int:
        """The position of the next read."""
        return self._at


class Ranges(_Seekable):
    """A remote file as a file object. Sequential reading requests larger and larger ranges; a seek starts small again."""

    def __init__(self, path: str, size: int) -> None:
        super().__init__(size)
        self._path = path
        self._held = b""
        self._base = 0
        self._ahead = FIRST_READ

    def read(self, size: int = -1) -> bytes:
        """`size` bytes; fewer only at the end of the file. All remaining bytes if negative."""
        end = self._size if size < 0 else min(self._at + size, self._size)
        pieces = []
        while self._at < end:
            inside = self._at - self._base
            if not 0 <= inside < len(self._held):
                follows = self._at == self._base + len(self._held) and self._held
                self._ahead = min(self._ahead * 2, LARGEST_READ) if follows else FIRST_READ
                self._held = b""
                self._held = read_range(self._path, self._at, min(self._at + self._ahead, self._size))
                self._base, inside = self._at, 0
            piece = self._held[inside : inside + end - self._at]
            self._at += len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, for io.BufferedReader; returns the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@dataclass(frozen=True, slots=True)
class _About:
    """What a web server says of a file."""

    size: int
    version: str
    ranges: bool


def _about(url: str) -> _About:
    with _tried(url, "its size", lambda: _ask(url, 0, 1)) as reply:
        version = reply.headers.get("ETag") or reply.headers.get("Last-Modified") or ""
        if reply.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _About(0, version, True)
        if reply.status == http.client.PARTIAL_CONTENT:
            return _About(int((reply.headers.get("Content-Range") or "/0").rpartition("/")[2]), version, True)
        length = reply.headers.get("Content-Length") or ""
        if version and length.isdigit():
            return _About(int(length), version, False)
    copy = download(url, None)  # nothing else would tell that the file has changed
    digest = hashlib.blake2b(digest_size=16)
    size = 0
    while block := os.pread(copy.file, _BLOCK, size):
        digest.update(block)
        size += len(block)
    return _About(size, digest.hexdigest(), False)


class _Download:
    """A file without a name: it is deleted when nothing refers to it, and when the process ends in any way."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self.file = os.dup(file.fileno())

    def __del__(self) -> None:
        os.close(self.file)


class _Copy(_Seekable):
    """A downloaded file, open for reading and seeking."""

    def __init__(self, download: _Download) -> None:
        super().__init__(os.fstat(download.file).st_size)
        self._download = download

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; returns the number of bytes."""
        count = os.preadv(self._download.file, [buffer], self._at)
        self._at += count
        return count


@lru_cache(maxsize=1)  # a file is opened several times in a row: for its header, and for its rows
def download(url: str, about: _About | None) -> _Download:
    """A copy of a file; `about` is a part of what the cache knows it by. UserError where the disk has no room for it."""
    folder = tempfile.gettempdir()

    def fetch() -> _Download:
        copy = _Download()
        free = shutil.disk_usage(folder).free
        with _reply(url, {}) as reply:
            length = reply.headers.get("Content-Length") or ""
            received = 0
            while block := reply.read(_BLOCK):
                received += len(block)
                if max(received, int(length) if length.isdigit() else 0) > free * _SHARE_OF_DISK:
                    raise UserError(
                        f"{url}: does not fit into {folder}, where it is stored while it is read: {free:,} bytes are free "
                        "there. Name another directory in the environment variable TMPDIR"
                    )
                _write(copy.file, block, folder)
        if length.isdigit() and received != int(length):
            raise ConnectionError(f"received {received:,} of {int(length):,} bytes")
        return copy

    return cast(_Download, _tried(url, "its bytes", fetch))


def _write(file: int, block: bytes, folder: str) -> None:
    view = memoryview(block)
    try:
        while view:
            view = view[os.write(file, view) :]
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written to ({error.strerror}); name another directory in TMPDIR"
        ) from None


def _is_http(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def _ask(url: str, start: int, end: int) -> Any:
    """The reply to a request for bytes [start, end), as _reply returns it; for an empty file it has HTTP status 416."""
    return _reply(url, {"Range": f"bytes={start}-{end - 1}"})


def _reply(url: str, headers: Mapping[str, str]) -> Any:
    """The reply to a request; UserError if trying again is pointless."""
    request = urllib.request.Request(url, headers={**headers, "Accept-Encoding": "identity"})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return error
        error.close()
        if error.code not in _TEMPORARY:
            raise UserError(f"{url}: cannot be read (HTTP {error.code})") from None
        raise ConnectionError(f"HTTP {error.code}") from None


def _storage(path: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it. Keys and endpoints come from fsspec's settings and environment."""
    from fsspec.core import url_to_fs

    try:
        system, inner = url_to_fs(path)
    except ImportError:
        scheme = path.partition("://")[0]
        extra = "pip install 'corpus-pipeline[s3]'" if scheme == "s3" else "the fsspec package for it"
        raise UserError(f"{path}: reading {scheme}:// needs {extra}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: {error}") from None
    return system, inner


def _tried(path: str, target: str, work: Any) -> Any:
    """The result of `work()`, tried again after each pause; UserError at once for errors that waiting does not fix."""
    last: Exception | None = None
    for pause in (*PAUSES, None):
        try:
            return work()
        except UserError:
            raise
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise UserError(f"{path}: cannot be read ({type(error).__name__}: {error})") from None
        except Exception as error:  # networks and their libraries raise errors without a common type
            last = error
        if pause is not None:
            time.sleep(pause)
    reason = str(getattr(last, "reason", "") or last) or type(last).__name__
    raise UserError(
        f"{path}: {target} could not be read in {len(PAUSES) + 1} tries ({reason}); run the same command again to continue"
    )
