"""Which modules define signals. A folder is its own list: a new file needs no entry anywhere else.

The common signals are those of modules in `pipeline/filters/` that define `SIGNALS`. A family is a module in
`pipeline/filters/families/`, named as its file. This module is light: it reads names and imports no signals.
"""

import pkgutil
import re
from functools import cache
from pathlib import Path

import pipeline.filters
import pipeline.filters.families

_DEFINES_SIGNALS = re.compile(r"^SIGNALS\b", re.MULTILINE)


def family_names() -> tuple[str, ...]:
    """The names of all families, sorted. They are measured only where a rule or `measure.families` asks for them.

    Each reads the text again, and together they take longer than all other signals.
    """
    return tuple(sorted(module.name for module in pkgutil.iter_modules(pipeline.filters.families.__path__)))


@cache
def common_modules() -> tuple[str, ...]:
    """The modules, sorted, whose signals every run measures."""
    files = sorted(file for folder in pipeline.filters.__path__ for file in Path(folder).glob("*.py"))
    return tuple(file.stem for file in files if _DEFINES_SIGNALS.search(file.read_text(encoding="utf-8")))
