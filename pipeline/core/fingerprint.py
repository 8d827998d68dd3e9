"""Fingerprints of frozen values: what the keys of a run's files are made of."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.files import digest


@dataclass(frozen=True, slots=True)
class Content:
    """A file named in the config: keys hash its content; the step uses its path."""

    path: str
    digest: str

    @classmethod
    def of(cls, path: str | Path) -> "Content":
        """The file as it is now."""
        return cls(str(path), digest(Path(path)))

    def hashed(self) -> str:
        """What keys hash."""
        return self.digest


def unhashed(default: Any = None) -> Any:
    """A field of options that does not change the output and is in no key."""
    return field(default=default, metadata={"hashed": False})


Kind = TypeVar("Kind")


def part_of(kind: type[Kind], value: Kind) -> Kind:
    """A `kind` with the fields of `value`, an instance of a subclass: keys then depend on no other fields."""
    return kind(**{f.name: getattr(value, f.name) for f in fields(kind)})  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """A value as JSON types, the same in every process; TypeError for what has no stable form (a set, an object)."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError(f"no stable form for keys: a mapping with keys other than strings ({value!r})")
        return {name: plain(entry) for name, entry in value.items()}
    if hasattr(value, "hashed"):
        return plain(value.hashed())
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.metadata.get("hashed", True)}
    raise TypeError(f"no stable form for keys: {type(value).__name__} ({value!r})")


def fingerprint(*values: Any) -> str:
    """A short hash of plain values, stable across processes, machines and Python versions."""
    return _hash(_text(plain(values)))


def fingerprints(common: Any) -> Callable[..., str]:
    """`fingerprint` of a common first value and others, at least one, which must be plain; the first is made plain once."""
    start = _text(plain(common))
    return lambda *values: _hash(f"[{start}, {_text(values)[1:]}")


_text = json.JSONEncoder(sort_keys=True, ensure_ascii=True).encode


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
