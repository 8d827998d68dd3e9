"""Results as plain values, as `json` writes them: a dataclass becomes an object with its fields as keys, in order. And plain
values as TOML."""

import json
import re
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


def toml_value(value: Any) -> str:
    """A plain value as TOML: a string, boolean, number, list, or table on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(name)} = {toml_value(entry)}" for name, entry in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"no TOML for {type(value).__name__} ({value!r})")


def toml_key(name: str) -> str:
    """A key of TOML, quoted where it must be."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else toml_value(name)
