"""A run's state in one file: weights, the optimizer's moments, and a few numbers as JSON in the header.

One file, so that weights and step can never disagree. No generator's state is in it: after the first weights nothing
is drawn, the order of windows being a function of seed and step.
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
    """Replace the checkpoint at `path`; `state` is anything that JSON holds."""
    tensors = {f"model.{name}": weights for name, weights in model.state_dict().items()}
    for name, weights in model.named_parameters():
        for key, value in optimizer.state[weights].items():
            tensors[f"optimizer.{key}.{name}"] = value
    write_tensors(path, tensors, {"state": json.dumps(state, sort_keys=True)})


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, tensors brought to the CPU; give one metadata key: their order is not kept.

    By way of bytes in memory: the library's own `save_file` leaves a file of a random name behind when it is killed,
    lets nobody else read the file, and turns a full disk into an exception without a number.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(
            to_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)
        )


def read_state(path: Path) -> dict[str, Any] | None:
    """The numbers saved with the checkpoint; None where there is no checkpoint or the file is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            state: dict[str, Any] = json.loads((file.metadata() or {})["state"])
            return state
    except (FileNotFoundError, SafetensorError, KeyError, ValueError):
        return None


def load(path: Path, model: Transformer, optimizer: torch.optim.Optimizer) -> None:
    """Put the checkpoint's weights and moments into `model` and `optimizer`, built with the same config."""
    with safe_open(path, framework="pt") as file:
        model.load_state_dict({name: file.get_tensor(f"model.{name}") for name in model.state_dict()})
        stored = [name.split(".", 2) for name in file.keys() if name.startswith("optimizer.")]  # noqa: SIM118 (no dict)
        parameters = dict(model.named_parameters())
        for _, key, name in stored:  # on the parameter's device, the count of steps too: AdamW here is the fused one
            tensor = file.get_tensor(f"optimizer.{key}.{name}")
            optimizer.state[parameters[name]][key] = tensor.to(parameters[name].device)
