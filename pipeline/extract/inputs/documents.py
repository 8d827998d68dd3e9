"""Documents from keys and values: the rows of tables and the objects of lines.

They become records of the type "document", with text that is used as it is, or with HTML that is extracted like a page. A
line or row that cannot be used becomes a record with a problem, as damage in an archive does.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pyarrow as pa

from pipeline.errors import UserError, did_you_mean
from pipeline.extract.inputs.archive import Record
from pipeline.extract.options import ALL, Columns

_CUT = {pa.duration("ns"): pa.duration("us"), pa.time64("ns"): pa.time64("us")}
_SHOWN = 20  # known columns in a message


def record_of(values: Mapping[str, Any], columns: Columns, limit: int) -> Record:
    """A row as a record; "bad_record" if the text is not a string, "too_large" over `limit` bytes of UTF-8."""

    unread: list[str] = []

    def plain(name: str | None) -> str | None:
        value = None if name is None else value_at(values, name)
        if isinstance(value, Unreadable):
            unread.append(f"{name}: {value.detail}")
            return None
        if isinstance(value, Mapping | list | tuple):
            unread.append(f"{name}: {kind_of(value)}, not text")
            return None
        if value is None or value != value:  # NaN stands for a missing value
            return None
        return value.isoformat() if hasattr(value, "isoformat") else str(value)

    record = Record("document", record_id=plain(columns.id), url=plain(columns.url), date=plain(columns.date))
    record.title = plain(columns.title)
    record.kept = tuple(kept_value(values, name, columns) for name in columns.keep_columns)
    record.detail = "; ".join(unread) or None
    needed = columns.names[0]
    content = value_at(values, needed)
    if content is None:
        missing = f"{needed} has no value" if has(values, needed) else f"there is no {needed}"
        record.detail = "; ".join([*unread, missing])
    if isinstance(content, Unreadable):
        record.problem, record.detail = "bad_record", f"{needed}: {content.detail}"
    elif content is None or isinstance(content, str):
        body = (content or "").encode("utf-8", "surrogatepass")
        if len(body) > limit:
            record.problem, record.detail = "too_large", f"{len(body):,} bytes; max_record_bytes is {limit:,}"
        elif columns.html:
            record.body, record.content_type = body, "text/html; charset=utf-8"
        else:
            record.text = content or ""
    else:
        record.problem, record.detail = "bad_record", f"{needed} is {kind_of(content)}, not text"
    return record


def kind_of(value: Any) -> str:
    """What a value is, in JSON's words."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return "true or false" if isinstance(value, bool) else "a number" if isinstance(value, int | float) else "a value"


def has(values: Mapping[str, Any], name: str) -> bool:
    """Whether a row has this column or key, also one without a value."""
    return name in key_names(values)


def kept_value(values: Mapping[str, Any], name: str, columns: Columns) -> str | None:
    """A row's value of a kept column: a string as it is, other values as JSON; None for a missing or unreadable one."""
    try:
        found = _json_value(other_values(values, columns) if name == ALL else value_at(values, name))
        return found if found is None or isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    except RecursionError:
        return None


def _json_value(value: Any) -> Any:
    """A value as JSON types. Times are strings, other numbers than JSON's are strings, NaN and other objects are null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _json_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()
    return str(value) if isinstance(value, Decimal | timedelta | UUID) else None


def other_values(values: Mapping[str, Any], columns: Columns, above: str = "") -> dict[str, Any]:
    """The row without the values that other columns of the ledger hold."""
    used = (*columns.names, *columns.keep_columns)
    others: dict[str, Any] = {}
    for name, value in values.items():
        left = value
        if isinstance(value, Mapping) and value and not (left := other_values(value, columns, f"{above}{name}.")):
            continue
        if f"{above}{name}" not in used:
            others[name] = left
    return others


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that Python cannot hold, such as a date of the year 50000; in the ledger it is null."""

    detail: str


def plain_value(value: pa.Scalar) -> Any:
    """A value as `as_py` returns it; `Unreadable`, also as a field of a struct, for one that Python cannot hold.

    Times are cut to microseconds, as Python has them. Bytes that are UTF-8 are text: many writers do not say which they mean.
    """
    try:
        if isinstance(value, pa.ExtensionScalar):
            value = value.value
        if isinstance(value, pa.StructScalar) and value.is_valid:
            return {name: plain_value(inner) for name, inner in value.items()}
        if value.is_valid and getattr(value.type, "unit", None) == "ns":
            kind = value.type
            value = value.cast(pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else _CUT[kind], safe=False)
        found = value.as_py()
        return found.decode() if isinstance(found, bytes) else found
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8: {error.reason}")
    except (ValueError, OverflowError, LookupError, pa.ArrowException) as error:
        return Unreadable(f"a value cannot be read: {error}"[:500])


def value_at(values: Mapping[str, Any], name: str) -> Any:
    """The value of a column or key; None if there is none. "metadata.url" is the key of this name, else `url` in `metadata`."""
    if name in values:
        return values[name]
    outer, dot, inner = name.partition(".")
    table = values.get(outer) if dot else None
    return value_at(table, inner) if isinstance(table, Mapping) else None


def key_names(values: Mapping[str, Any]) -> list[str]:
    """The keys of a row, and those of the tables in it as "metadata.url", after the key of the table."""
    names = []
    for name, value in values.items():
        names.append(name)
        if isinstance(value, Mapping):
            names += [f"{name}.{inner}" for inner in key_names(value)]
    return names


def nested_keys(values: Mapping[str, Any]) -> dict[str, str]:
    """The keys of a row whose values are objects or lists, as `key_names` gives them, with what they are."""
    names = key_names(values)
    found = {name: value_at(values, name) for name in names}
    return {name: kind_of(value) for name, value in found.items() if isinstance(value, Mapping | list | tuple)}


def nested_columns(schema: Iterable[pa.Field]) -> dict[str, str]:
    """The same of a table's schema."""
    nested: dict[str, str] = {}
    for column in schema:
        if pa.types.is_struct(column.type):
            nested |= {column.name: "an object"}
            nested |= {f"{column.name}.{name}": kind for name, kind in nested_columns(column.type).items()}
        elif pa.types.is_nested(column.type):
            nested[column.name] = "a list"
    return nested


def column_names(schema: Iterable[pa.Field]) -> list[str]:
    """The same of a table's schema."""
    names = []
    for column in schema:
        names.append(column.name)
        if pa.types.is_struct(column.type):
            names += [f"{column.name}.{inner}" for inner in column_names(column.type)]
    return names


def check_columns(
    where: str,
    names: Sequence[str],
    columns: Columns,
    *,
    noun: str = "column",
    nested: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """UserError if the column of the text, or of the HTML, is missing from `names`, or if a column is in `nested`, which says
    what the values of some are that are not text.

    Returns a line for each other column that is missing although its name is not the default, for a note.
    """
    needed = columns.names[0]
    if needed not in names:
        key = "html" if columns.html else "text"
        listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        mend = f"set input.{key} to one of {listed}" if names else f"the file has no {noun}s"
        raise UserError(f"{where}: no {noun} {needed!r}{_nearest(needed, names)}; {mend}")
    lines = []
    keys = ("html" if columns.html else "text", "id", "url", "date", "title")
    for key, name in ((key, getattr(columns, key)) for key in keys):
        if name in nested:
            inside = [other for other in names if other.startswith(f"{name}.") and other not in nested]
            mend = f"one of {', '.join(inside[:_SHOWN])}" if inside else f"a {noun} of text"
            problem = f"input.{key}: {name!r} is {nested[name]}, not text, in {where}; name {mend}"
            if name == needed or name != getattr(Columns(), key):
                raise UserError(problem)
            lines.append(f"{problem}; it is left out")
        if name not in (None, getattr(Columns(), key)) and name not in names:
            lines.append(f"input.{key}: no {noun} {name!r}{_nearest(name, names)} in {where}")
    for name in columns.keep_columns:
        if name != ALL and name not in names:
            lines.append(f"input.keep_columns {name!r}: no such {noun}{_nearest(name, names)} in {where}")
    return [*lines, *lost_columns(where, names, columns, noun=noun)]


def lost_columns(where: str, names: Sequence[str], columns: Columns, *, noun: str = "column") -> list[str]:
    """A line that names the columns which are in no product, if there are any and none is kept."""
    lost: list[str] = []
    for name in names if not columns.keep_columns else ():
        is_read = any(f"{used}.".startswith(f"{name}.") or name.startswith(f"{used}.") for used in columns.names)
        if not is_read and not any(name.startswith(f"{table}.") for table in lost):
            lost.append(name)
    if not lost:
        return []
    listed = ", ".join(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else "")
    return [
        f"{noun}s that are not kept: {listed} (of {where}); "
        f'input.keep_columns = ["{lost[0]}"] carries that one into clean/, ["*"] all of them'
    ]


def wanted(columns: Columns, known: Sequence[str], top: Sequence[str]) -> list[str]:
    """The columns to read, of those that a table has; `top`: those that are in no other column."""
    if ALL in columns.keep_columns:
        return list(dict.fromkeys(top))
    return [name for name in dict.fromkeys((*columns.names, *columns.keep_columns)) if name in known]


def _nearest(name: str, names: Sequence[str]) -> str:
    """The name that was likely meant: the same in another table or outside of one, else the nearest in spelling."""
    same = [other for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
    return did_you_mean(same[0], same[:1]) if same else did_you_mean(name, names)
