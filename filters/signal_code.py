"""A short hash of what a signal computes: a change of its code measures it again, a change of a comment does not.

The hash covers the signal's function and every function, class, constant and import of its own module that the function
uses, directly or indirectly. Docstrings, comments and layout do not count. Other modules are not followed: the version of
a step stands for its kernels.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import CodeType, FunctionType
from typing import Any

_Definitions = Mapping[str, tuple[tuple[str, frozenset[str]], ...]]
"""For each name of a module, the statements that define or change it: their text without docstrings, and the names in it."""


def code_of(function: Callable[..., Any]) -> str:
    """The hash, 16 hex digits, of a function that a module defines at its top level or within another function.

    A closure also depends on the values it captures: numbers, strings, functions and tuples of them. Raises TypeError if it
    captures anything else, OSError if the source of its module cannot be read.
    """
    return hashlib.blake2b("\0".join(_parts(function)).encode(), digest_size=8).hexdigest()


def _parts(function: Callable[..., Any]) -> Iterator[str]:
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None:
        raise TypeError(f"{function!r}: only the code of a Python function can be hashed")
    outermost, *inner = code.co_qualname.split(".")
    definitions = _definitions(function.__module__)
    if not inner and outermost not in definitions:
        raise TypeError(f"{function!r}: {function.__module__} defines no {outermost} at its top; give it a def there")
    for name in sorted(_reachable(outermost, definitions)):
        yield from (text for text, _ in definitions[name])
    if inner:
        yield from inner
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            if cell.cell_contents is not function:
                yield f"{name}={_stable(cell.cell_contents)}"
        yield _stable(function.__defaults__)
        if function.__kwdefaults__:
            yield _stable(tuple(sorted(function.__kwdefaults__.items())))


def _stable(value: Any) -> str:
    """A text for a value that is the same in every process."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(_stable(item) for item in value)})"
    if isinstance(value, FunctionType):
        return code_of(value)
    raise TypeError(
        f"a signal's function captures {value!r}; only numbers, strings, functions and tuples of them can be hashed"
    )


def _reachable(name: str, definitions: _Definitions) -> set[str]:
    """The names of a module that `name` depends on, including itself."""
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in reached:
            reached.add(name)
            for _, named in definitions[name]:
                waiting.extend(named)
    return reached


@cache
def _definitions(module: str) -> _Definitions:
    return parse_definitions(inspect.getsource(sys.modules[module]))


def parse_definitions(source: str) -> _Definitions:
    """The statements of a module's top level, by the names that they define or change."""
    definitions: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            # each name separately, so that other names imported by the same statement do not matter
            source_module = (
                f"{'.' * statement.level}{statement.module or ''}." if isinstance(statement, ast.ImportFrom) else ""
            )
            for alias in statement.names:
                bound = alias.asname or alias.name.partition(".")[0]
                definitions.setdefault(bound, []).append(
                    (f"import {source_module}{alias.name} as {bound}", frozenset())
                )
        elif not _is_documentation(statement):
            stripped = _Undocumented().visit(statement)
            named = frozenset(node.id for node in ast.walk(stripped) if isinstance(node, ast.Name))
            entry = (ast.unparse(stripped), named)
            for bound in _bound(stripped):
                definitions.setdefault(bound, []).append(entry)
    return {name: tuple(entries) for name, entries in definitions.items()}


def _bound(statement: ast.stmt) -> set[str]:
    """The module-level names that a statement defines or may change: `TABLE["a"] = 1`, `TABLE.update(...)`."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign):
        targets: list[ast.AST] = list(statement.targets)
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        targets = [statement]
    nodes = [node for target in targets for node in ast.walk(target)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _is_documentation(node: ast.AST) -> bool:
    """A string as a statement of its own, or `function.__doc__ = ...`."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute) and target.attr == "__doc__" for target in node.targets)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


class _Undocumented(ast.NodeTransformer):
    """Removes documentation from every body; a body of nothing else becomes `pass`."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [child for child in body if not _is_documentation(child)] or [ast.Pass()]  # type: ignore[attr-defined]
        return node


def defined_at(function: Callable[..., Any]) -> str:
    """Where a function is defined, to put behind what is wrong with it: " (mine.py, line 3)"."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
