"""Which modules define signals: a folder is its own list, so that a new file needs no entry anywhere else.

Common signals are those of the modules in `pipeline/filters/` with a `SIGNALS`. A family is a module in
`pipeline/filters/families/`, and its name is the file's. This module is light: it reads names and imports no signal.
"""

import pkgutil
import re
from functools import cache
from pathlib import Path

import pipeline.filters
import pipeline.filters.families

_DEFINES_SIGNALS = re.compile(r"^SIGNALS\b", re.MULTILINE)


def family_names() -> tuple[str, ...]:
    """The families there are, sorted: measured only where a rule or `measure.families` asks for them.

    Each goes over the text again, and together they take longer than all other signals.
    """
    return tuple(sorted(module.name for module in pkgutil.iter_modules(pipeline.filters.families.__path__)))


@cache
def common_modules() -> tuple[str, ...]:
    """The modules, sorted, whose signals every run measures."""
    files = sorted(file for folder in pipeline.filters.__path__ for file in Path(folder).glob("*.py"))
    return tuple(file.stem for file in files if _DEFINES_SIGNALS.search(file.read_text(encoding="utf-8")))
