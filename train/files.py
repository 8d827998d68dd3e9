"""Files that appear whole or not at all: written under a temporary name, flushed to disk, renamed."""

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import UserError


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, tensors brought to the CPU; one metadata key keeps its bytes reproducible.

    `UserError` where the disk refuses (the library has its own exception for that, and no errno).
    """
    scratch = path.with_name(path.name + ".tmp")
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, scratch, metadata)
    except SafetensorError as error:
        scratch.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written: {error}") from None
    _settle(scratch, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_text(text, encoding="utf-8")
    _settle(scratch, path)


def _settle(scratch: Path, path: Path) -> None:
    with scratch.open("rb") as written:
        os.fsync(written.fileno())  # before the rename: a machine that loses power must not keep the name alone
    os.replace(scratch, path)
