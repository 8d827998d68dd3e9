"""What Python callers pass: one text, or many. A wrong type ends in one sentence that says what to pass instead.

Every public function that takes texts calls one of these. A string is a sequence of strings too, one for each letter, so
without the check a text in place of a list is judged letter by letter.
"""

import operator
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

if TYPE_CHECKING:  # modules of options use this one, and load no Arrow
    import pyarrow as pa


def one_text(text: object, name: str = "text") -> str:
    """The text; TypeError if it is not a string."""
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string, not {kind_of(text)}{mend_for(text)}")
    return text


def one_number(number: object, name: str) -> None:
    """TypeError unless it is an integer or a float, of Python's or NumPy's."""
    if not isinstance(number, Real) or isinstance(number, bool):
        raise TypeError(f"{name} must be a number, not {kind_of(number)}")


def one_whole_number(number: object, name: str) -> None:
    """TypeError unless it is an integer, of Python's or NumPy's."""
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{name} must be a whole number, not {kind_of(number)}")


def at_least(number: object, name: str, lowest: int = 1) -> None:
    """TypeError unless it is a whole number, ValueError below `lowest`."""
    one_whole_number(number, name)
    if number < lowest:  # type: ignore[operator]  # Integral has no order for mypy
        raise ValueError(f"{name} must be at least {lowest}, not {number}")


def one_option(options: type, key: str, number: object, name: str | None = None) -> None:
    """Check a number by the type and the bounds that `key` has in a config's dataclass of options: TypeError, or ValueError
    with the bounds. `name` is what the caller calls it, if not `key`."""
    name = name or key
    hint = get_type_hints(options, include_extras=True)[key]
    annotated = next((part for part in (hint, *get_args(hint)) if get_origin(part) is Annotated), None)
    kind = get_args(annotated)[0] if annotated else hint
    (one_whole_number if kind is int else one_number)(number, name)
    bounds = getattr(annotated, "__metadata__", ())
    limits = [(side, getattr(bound, side)) for bound in bounds for side in _SIDES if hasattr(bound, side)]
    if not all(getattr(operator, side)(number, limit) for side, limit in limits):
        words = " and ".join(f"{_SIDES[side]} {limit}" for side, limit in limits)
        raise ValueError(f"{name} must be {words}, not {number}")


_SIDES = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""The attributes that `annotated_types` has for bounds, which are functions of `operator`, in words."""


def warn_caller(message: str) -> None:
    """What a function does with its notes if the caller did not say: a UserWarning."""
    warnings.warn(message, stacklevel=3)


def path_of(path: object, name: str = "path") -> Path:
    """The path; TypeError if it is neither a string nor a path."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name} must be a path, not {kind_of(path)}")
    return Path(path)


def not_a_file(text: str, mend: str) -> None:
    """ValueError if a text is the name of an existing file, with a suffix: the file was meant, and its name would be read."""
    if len(text) > 255 or "." not in text or len(text.split()) != 1 or not _is_file(text):
        return
    raise ValueError(f"{text!r} is a text here, and the name of a file; {mend}")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def whole_numbers(numbers: object, name: str, mend: str = "") -> None:
    """TypeError unless `numbers` is a sequence of integers."""
    if getattr(getattr(numbers, "dtype", None), "kind", "") in ("i", "u"):  # an array, which is not looked through
        return
    if isinstance(numbers, str | bytes) or not isinstance(numbers, Iterable):
        raise TypeError(f"{name} must be a list of whole numbers, not {kind_of(numbers)}{mend}")
    for number in numbers:
        if not hasattr(number, "__index__"):
            raise TypeError(f"{name} must be a list of whole numbers; {number!r} is {kind_of(number)}{mend}")


def not_one(texts: object, name: str = "texts", of: str = "texts", item: str = "text") -> None:
    """TypeError if `texts` is a single text, bytes or a path, or nothing that can be iterated over."""
    if isinstance(texts, str):
        raise TypeError(f"{name} must be a list of {of}, not one string; give a list: [{item}]")
    if isinstance(texts, bytes | bytearray | memoryview | Mapping) or not isinstance(texts, Iterable):
        raise TypeError(f"{name} must be a list of {of}, not {kind_of(texts)}{mend_for(texts)}")


def each_text(texts: Iterable[Any], name: str = "texts") -> Iterator[str | None]:
    """The texts one by one, nulls too; TypeError, with its number, for an item that is neither a string nor None."""
    not_one(texts, name)
    for number, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name}[{number}] must be a string or None, not {kind_of(text)}{mend_for(text)}")
        yield text


def text_array(texts: Any, name: str = "texts") -> "pa.Array":
    """The texts as one Arrow array of strings, nulls kept. Arrays of strings are not copied, chunks are.

    `texts` is an Arrow array, or an iterable of strings and None, such as a list or a pandas column. TypeError for anything
    else, and ValueError for a lone surrogate, which UTF-8 cannot represent.
    """
    import pyarrow as pa

    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not isinstance(texts, pa.Array):
        texts = _from_python(texts, name)
    if texts.type in (pa.string(), pa.large_string()):
        return texts
    kind = texts.type.value_type if pa.types.is_dictionary(texts.type) else texts.type
    if kind not in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
        raise TypeError(f"{name} must be strings, not an array of {texts.type}")
    return texts.cast(pa.large_string())


def _from_python(texts: Any, name: str) -> "pa.Array":
    import pyarrow as pa

    if hasattr(texts, "dtype"):  # NumPy and pandas, whose missing values Arrow knows
        try:
            return pa.array(texts, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError):
            texts = list(texts) if getattr(texts, "ndim", 1) else texts
    listed = list(each_text(texts, name))
    try:
        return pa.array(listed, pa.large_string())
    except UnicodeEncodeError:
        number = next(n for n, text in enumerate(listed) if text is not None and not _has_utf8(text))
        mend = 'give text.encode("utf-8", "replace").decode()'
        raise ValueError(f"{name}[{number}] has a lone surrogate, which UTF-8 cannot represent; {mend}") from None


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def kind_of(value: object) -> str:
    """The type of a value in words."""
    if value is None:
        return "None"
    name = type(value).__name__
    return name if name == "bytes" else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def mend_for(value: object) -> str:
    """What to do instead, to put behind `kind_of`; empty if nothing is likely."""
    if isinstance(value, bytes | bytearray):
        return "; decode it: text.decode()"
    if isinstance(value, list | tuple):
        return "; give its items one at a time"
    if isinstance(value, PurePath):
        return "; give a list: [path]"
    return ""
