"""The state of a training run in one file: weights, the optimizer's moments, and a few numbers as JSON in the header.

It is one file so that weights and step cannot disagree. It has no generator state: nothing is drawn after the initial weights,
since the order of windows is a function of seed and step.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from pipeline.files import atomic
from pipeline.train.model import Transformer


def save(path: Path, model: Transformer, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path`; `state` must be JSON."""
    tensors = {f"model.{name}": weights for name, weights in model.state_dict().items()}
    for name, weights in model.named_parameters():
        for key, value in optimizer.state[weights].items():
            tensors[f"optimizer.{key}.{name}"] = value
    write_tensors(path, tensors, {"state": json.dumps(state, sort_keys=True)})


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, from tensors on any device. Give a single metadata key: the order of several is not kept.

    It goes through bytes in memory, because the library's own `save_file` leaves a file with a random name when it is killed,
    lets only the owner read the file, and reports a full disk by an exception without an error number.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(
            to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)
        )


def read_state(path: Path) -> dict[str, Any] | None:
    """The numbers saved with the checkpoint; None if there is no checkpoint, or the file is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = json.loads((file.metadata() or {})["state"])
            return state
    except (FileNotFoundError, SafetensorError, KeyError, ValueError):
        return None


def load(path: Path, model: Transformer, optimizer: torch.optim.Optimizer) -> None:
    """Load the checkpoint's weights and moments into `model` and `optimizer`, which must be built with the same config."""
    with safe_open(path, framework="pt") as file:
        model.load_state_dict({name: file.get_tensor(f"model.{name}") for name in model.state_dict()})
        stored = [name.split(".", 2) for name in file.keys() if name.startswith("optimizer.")]  # noqa: SIM118 (no dict)
        parameters = dict(model.named_parameters())
        for _, key, name in stored:  # on the parameter's device, including the step count, as the fused AdamW needs it
            tensor = file.get_tensor(f"optimizer.{key}.{name}")
            optimizer.state[parameters[name]][key] = tensor.to(parameters[name].device)
