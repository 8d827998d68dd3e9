"""What Python callers pass: one text, or many. A wrong type ends in one sentence that says what to pass instead.

Every public function that takes texts calls one of these. A string is a sequence of strings too, one for each letter, so
without the check a text in place of a list is judged letter by letter.
"""

from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

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
