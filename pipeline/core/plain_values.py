"""Results as plain values, as `json` writes them: a dataclass becomes an object with its fields as keys, in order."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

OPTIONAL = {"optional": True}
"""As a field's `metadata`: the key is left out while the field has its default."""


def key(name: str) -> dict[str, str]:
    """As a field's `metadata`: the key in JSON, where it cannot be the field's name, such as "in"."""
    return {"key": name}


def plain_values(value: Any) -> Any:
    """Dataclasses, mappings, sequences and arrays as dicts and lists; anything else unchanged."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.metadata.get("key", field.name): plain_values(getattr(value, field.name))
            for field in fields(value)
            if not (field.metadata.get("optional") and getattr(value, field.name) == field.default)
        }
    if isinstance(value, Mapping):
        return {name: plain_values(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(entry) for entry in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
