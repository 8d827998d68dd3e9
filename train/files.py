"""Files that appear whole or not at all: written under a temporary name, flushed to disk, renamed."""

import os
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, tensors brought to the CPU; give one metadata key: their order is not kept.

    By way of bytes in memory: the library's own `save_file` leaves a file of a random name behind when it is killed,
    lets nobody else read the file, and turns a full disk into an exception without a number.
    """
    write_bytes(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata))


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file; an `OSError` (a full disk) leaves what was there before."""
    scratch = path.with_name(path.name + ".tmp")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before the rename: a machine that loses power must not keep the name alone
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    os.replace(scratch, path)
