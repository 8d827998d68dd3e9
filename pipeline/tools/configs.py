"""A config as others see it: its keys with all that is in effect, as TOML."""

from collections.abc import Mapping
from typing import Any

from pipeline.config import Config
from pipeline.core.plain_values import toml_key, toml_value

LONGEST = 100
"""Characters of a table on one line; a longer one has its own heading."""


def show_config(config: Config) -> str:
    """Every key of a config that is in effect, defaults included, as TOML that loads as the same config."""
    tables = config.model_dump(exclude_none=True)
    for name in ("quality", "edited"):
        tables[name] = {key: _rule(rule) for key, rule in tables[name].items()}
    return "\n".join(_lines(tables, ())).lstrip("\n") + "\n"


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule without what its table's name says, and without the seed that only sampling uses."""
    unused = {"signal"} if rule["seed"] or "pareto" in rule else {"signal", "seed"}
    return {key: value for key, value in rule.items() if key not in unused}


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines: list[str] = []
    inner: list[tuple[str, Mapping[str, Any]]] = []
    for name, value in table.items():
        line = f"{toml_key(name)} = {toml_value(value)}"
        if isinstance(value, Mapping) and (not path or len(line) > LONGEST):
            inner.append((name, value))
        else:
            lines.append(line)
    if path and lines:
        lines = ["", f"[{'.'.join(map(toml_key, path))}]", *lines]
    for name, value in inner:
        lines += _lines(value, (*path, name))
    return lines
