"""A config as others see it: all that is in effect, as TOML; and the JSON Schema of config files, for editors."""

from collections.abc import Mapping
from typing import Any

from pipeline.config import SIZES, Config
from pipeline.core.plain_values import toml_key, toml_value
from pipeline.tools.reference import NAME, first_paragraph, tables

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


def config_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a config file: its keys, types, limits, defaults and meanings.

    A file with a `base` may lack what the base has, and say `false` to what the base sets; a file without may not.
    """
    schema = Config.model_json_schema()
    kinds = schema["$defs"]
    for path, doc, keys in tables(Config):
        kind = schema
        for name in path.split(".") if path else ():
            kind = _inner(kind["additionalProperties"] if name == NAME else kind["properties"][name], kinds)
        if doc and path:
            kind["description"] = first_paragraph(doc)
        for key in keys:
            name = key.path.rpartition(".")[2]
            kind["properties"][name] = {**kind["properties"][name], "description": key.meaning}
            if key.path in SIZES:
                kind["properties"][name] |= {"type": ["integer", "string"]}
    del kinds["Rule"]["properties"]["signal"]  # the name of its table
    kinds["Rule"].pop("required", None)
    for name in ("quality", "edited", "scores"):
        named = schema["properties"][name]
        named["additionalProperties"] = _or_false(named["additionalProperties"])
    for kind in (schema, *kinds.values()):
        kind["properties"] = {name: _or_false(value) for name, value in kind["properties"].items()}
    schema["properties"]["base"] = {"type": "string", "description": "A config file that this one is laid over."}
    required = schema.pop("required")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Config of a run",
        "anyOf": [{"required": required}, {"required": ["base"]}],
    }


def _inner(schema: dict[str, Any], kinds: Mapping[str, Any]) -> Any:
    """The schema that one refers to, as such or where it may be absent; else itself."""
    references = [one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one]
    return kinds[references[0].rpartition("/")[2]] if references else schema


def _or_false(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that takes `false` too, which switches off what a base sets, and one string for a list of one; but no null,
    which TOML has not."""
    outer = {
        key: schema[key] for key in ("description", "default") if isinstance(schema.get(key), str | int | float | list)
    }
    kind = {key: value for key, value in schema.items() if key not in ("description", "default", "title")}
    if kind.get("type") == "boolean":
        return outer | kind
    more = {key: value for key, value in kind.items() if key != "anyOf"}
    several = [{**one, **more} for one in kind.get("anyOf", [{}]) if one != {"type": "null"}]
    one_for_a_list = [one["items"] for one in several if one.get("items", {}).get("type") == "string"]
    return outer | {"anyOf": [*several, *one_for_a_list, {"const": False}]}
