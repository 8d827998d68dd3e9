"""The ledger: every input record is a row, and no stage removes a row.

A run's input is cut into *parts*; small files share one. Each *step* writes one Parquet file per part, with its own columns
only, row-aligned with the part and in the same row groups. A row that an earlier stage dropped is null. The column `dropped`
has three values:

    null            the row was dropped by an earlier stage
    []              the row is kept
    [rule, ...]     this stage drops the row; the list names every rule that fails

So kept + dropped = input at every stage, by construction. A file carries the *key* of what made it (step, version, options,
libraries, keys of its inputs); it exists complete under that key, or not at all.
"""

import errno
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.files import atomic, lock_file, undamaged

KEY = b"pipeline.key"
DROPPED = pa.list_(pa.string())

PART_FILE = re.compile(r".+-[0-9a-f]{14}\.(parquet|tokens)")
"""How the files of parts are named, those of former parts too (`Part.name`)."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or bytes [start, end) of a large one. `digest` is a BLAKE2b of its bytes."""

    path: str
    size: int
    digest: str
    start: int = 0
    end: int | None = None
    """None where the piece goes to the end of the file."""
    file: int = 0
    """Number of the file among the input's files."""
    state: tuple[int, str] | None = None
    """Size and version of the file when the run was planned; None if they are not known."""
    url: str | None = field(default=None, repr=False)
    """Where the file is read, if `path` is a URL without its secrets. It is stored nowhere."""

    @property
    def title(self) -> str:
        """The piece in words."""
        return f"{self.path} from byte {self.start:,}" if self.start else self.path


@dataclass(frozen=True)
class Part:
    """A slice of the input: one piece, or several small files in order. Its rows are those of the pieces, one after another."""

    index: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(piece.size for piece in self.pieces)

    @cached_property
    def digest(self) -> str:
        """A BLAKE2b of its bytes, and of where one file ends and the next begins."""
        if len(self.pieces) == 1:
            return self.pieces[0].digest
        return hashlib.blake2b("\n".join(p.digest for p in self.pieces).encode(), digest_size=16).hexdigest()

    @cached_property
    def name(self) -> str:
        """File name of the part in every step's folder: safe, and independent of the part's position in the list."""
        base = re.sub(r"[^A-Za-z0-9._-]", "_", os.path.basename(self.pieces[0].path))[:80]
        more = f"-and-{len(self.pieces) - 1}-more" if len(self.pieces) > 1 else ""
        titles = "\n".join(piece.title for piece in self.pieces)
        title_hash = hashlib.blake2b(titles.encode(), digest_size=3).hexdigest()
        return f"{base}{more}-{self.digest[:8]}{title_hash}"

    @property
    def title(self) -> str:
        """The part in words."""
        more = f" and {len(self.pieces) - 1:,} more" if len(self.pieces) > 1 else ""
        return f"{self.pieces[0].title}{more}"


@contextmanager
def writer(path: Path, schema: pa.Schema, key: str) -> Iterator[pq.ParquetWriter]:
    """A Parquet writer on a file that appears, complete and under its key, when the block ends without an error."""
    schema = schema.with_metadata({KEY: key.encode()})
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as out,
    ):
        yield out


def rows_in(path: Path) -> int:
    """Number of rows, from the footer, which is read once while the file does not change."""
    with undamaged(path):
        about = os.stat(path)
        return _rows_in(str(path), (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino))


@lru_cache(1 << 20)
def _rows_in(path: str, state: tuple[int, ...]) -> int:
    return int(pq.read_metadata(path).num_rows)


def metadata_of(path: Path) -> Mapping[bytes, bytes]:
    """Keys and values in the footer."""
    with undamaged(path):
        return pq.read_metadata(path).metadata or {}


def read(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of one part's file; LookupError for a column that the file does not have, which is a bug, not damage."""
    with undamaged(path):
        _check_columns(path, pq.read_schema(path), columns)
        return pq.read_table(path, columns=list(columns), partitioning=None, page_checksum_verification=True)


def row_groups(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some columns of one part's file, a row group at a time; LookupError for a column that the file does not have."""
    with undamaged(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        _check_columns(path, file.schema_arrow, columns)
        for index in range(file.num_row_groups):
            with undamaged(path):
                group = file.read_row_group(index, columns=list(columns))
            yield group


def _check_columns(path: Path, schema: pa.Schema, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in schema.names and name.partition(".")[0] not in schema.names:
            raise LookupError(f"{path}: no column {name}")


def kept(dropped: pa.Array | pa.ChunkedArray) -> pa.Array:
    """True where a row has passed the stage that wrote this `dropped` column."""
    if isinstance(dropped, pa.ChunkedArray):
        dropped = dropped.combine_chunks()
    return pc.fill_null(pc.equal(pc.list_value_length(dropped), 0), False)


def alive_rows(path: Path) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """`kept` of a step's whole file, as a NumPy mask."""
    mask = kept(read(path, ["dropped"])["dropped"])
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=np.bool_)


def dropped_nulls(path: Path) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """True where a row of a step's file was dropped by an earlier stage, as a NumPy mask."""
    dropped = read(path, ["dropped"])["dropped"].combine_chunks()
    return np.asarray(dropped.is_null().to_numpy(zero_copy_only=False), np.bool_)


def reasons_to_dropped(alive: pa.Array, reasons: pa.Array) -> pa.Array:
    """The `dropped` column, from a mask of the rows that came in and their failing rules."""
    return pc.if_else(alive, reasons, pa.scalar(None, DROPPED))


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Allow one run at a time in a run directory; the lock ends with the process, however that ends.

    While it is held, `.lock` names the host, the process and the time. A block that fails and has added nothing to the folder
    leaves nothing behind. UserError where another process holds the lock: it says which.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{folder}: a file is in the way; choose another directory") from None
    path = folder / ".lock"
    before = set(os.listdir(folder))
    with _locked(path) as file:
        holder = {"host": socket.gethostname(), "process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}
        file.truncate(0)
        file.write(json.dumps(holder).encode() + b"\n")
        file.flush()
        try:
            yield
        except BaseException:
            if ".lock" not in before and set(os.listdir(folder)) == {*before, ".lock"}:
                path.unlink()
                with suppress(OSError):  # not empty
                    for empty in made:
                        empty.rmdir()
            raise
        finally:
            file.truncate(0)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The lock file, open and locked."""
    while True:
        with open(_open_lock(path), "r+b") as file:
            try:
                lock_file(file, path.parent)
            except BlockingIOError:
                raise UserError(_in_use(path, file.read())) from None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):  # else its last holder has just deleted it
                    yield file
                    return


def _open_lock(path: Path) -> int:
    """The descriptor of a lock file, made if it is not there; UserError for a link, which may lead to any file of ours."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path}: a link, where a run has its lock; delete it") from None
        raise


def _in_use(path: Path, content: bytes) -> str:
    """The error where another process holds the lock, from what that process wrote into the file."""
    try:
        holder = json.loads(content)
        host, process, since = str(holder["host"]), int(holder["process"]), str(holder["since"])
    except (ValueError, LookupError, TypeError):  # it is just starting
        return f"{path.parent}: another run is using this directory"
    name = f"process {process} on {host}, since {since}"
    if host == socket.gethostname() and not _exists(process):
        return (
            f"{path.parent}: locked by {name}, but that process is gone; a worker it started may still be running: "
            f"end it, or delete {path} and run again"
        )
    return f"{path.parent}: another run is using this directory ({name})"


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def append_json(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line to a log (the journal). If a kill truncated the last line, start a new one."""
    with open(path, "ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        torn = file.read(1) not in (b"", b"\n")
        file.write(b"\n" * torn + json.dumps(record).encode() + b"\n")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of such a log; a line cut off by a kill is skipped."""
    records: list[dict[str, Any]] = []
    with suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                records.append(json.loads(line))
    return records
