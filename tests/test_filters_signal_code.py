"""What a signal computes has a hash: another body changes it, another comment does not."""

import importlib.util
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core import ledger
from pipeline.filters.signal_code import code_of
from pipeline.filters.signals import all_signals, signals_key, stored_signals

MODULE = '''
"""A module."""
import math
from os.path import join, split

SCALE = 2  # a constant
TABLE = {}
TABLE["a"] = 1
UNUSED = 5


class Shape:
    """A class."""
    sides: int = 4
    """An attribute."""


def helper(value):
    """Says nothing."""
    return math.floor(value) * SCALE


def signal(docs):
    """A signal."""
    # a comment
    return helper(docs) + TABLE["a"] + Shape.sides


def made(n, table=("x",)):
    def share(docs):
        return docs * n * len(table)

    share.__name__ = f"share_{n}"
    share.__doc__ = f"Share of {n}."
    return share
'''


def codes(folder: Path, source: str, name: str) -> dict[str, str]:
    """The codes of `signal`, and of what `made` makes of 1 and 2, in a module of this source."""
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    functions = {"signal": module.signal, "one": module.made(1), "two": module.made(2)}
    return {function: code_of(functions[function]) for function in functions}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("# a comment", "# another", set()),
        ('"""A signal."""', '"""Another docstring.\n\n    Longer.\n    """', set()),
        ('"""A class."""', "", set()),
        ('"""An attribute."""', '"""Of a shape."""', set()),
        ('f"Share of {n}."', 'f"How many of {n}."', set()),
        ("UNUSED = 5", "UNUSED = 6", set()),
        ("import join, split", "import join", set()),
        ('TABLE["a"] + Shape', 'TABLE[ \n "a" ] + Shape', set()),
        ("SCALE = 2", "SCALE = 3", {"signal"}),
        ('TABLE["a"] = 1', 'TABLE["a"] = 2', {"signal"}),
        ("sides: int = 4", "sides: int = 5", {"signal"}),
        ("math.floor(value)", "math.ceil(value)", {"signal"}),
        ("import math", "import cmath as math", {"signal"}),
        ("helper(docs) + ", "helper(docs) - ", {"signal"}),
        ("docs * n *", "docs + n *", {"one", "two"}),
        ('("x",)', '("x", "y")', {"one", "two"}),
    ],
)
def test_a_code_changes_with_what_the_function_reaches(tmp_path: Path, old: str, new: str, changed: set[str]) -> None:
    assert old in MODULE
    before = codes(tmp_path, MODULE, f"before_{tmp_path.name}")
    after = codes(tmp_path, MODULE.replace(old, new), f"after_{tmp_path.name}")
    assert {name for name in before if before[name] != after[name]} == changed
    assert before["one"] != before["two"]


def test_a_function_that_holds_what_has_no_stable_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="captures <object object"):
        codes(tmp_path, MODULE.replace('table=("x",)', "table=(object(),)"), "module_unstable")


def test_a_value_held_by_keyword_counts(tmp_path: Path) -> None:
    source = MODULE.replace("def share(docs):", "def share(docs, *, held=n):").replace("docs * n", "docs * held")
    made = codes(tmp_path, source, f"keywords_{tmp_path.name}")
    assert made["one"] != made["two"]


def test_a_function_that_no_statement_defines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="defines no <lambda> at its top; give it a def there"):
        codes(tmp_path, f"{MODULE}\n\nsignal = lambda docs: docs\n", f"lambda_{tmp_path.name}")


def test_the_key_of_stored_signals_names_each_with_its_code() -> None:
    signals = all_signals()
    assert len({signal.code for signal in signals.values()}) == len(signals)
    assert signals_key() == [[name, signals[name].code] for name in stored_signals()]
    assert [name for name, _ in signals_key(["dolma"])] == list(stored_signals(["dolma"]))


def test_a_column_that_a_file_does_not_have_is_a_bug_and_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"words": [1.0, 2.0]}), path)
    with pytest.raises(LookupError, match=r"part.parquet: no column question_ratio"):
        ledger.read(path, ["words", "question_ratio"])
    with pytest.raises(LookupError, match=r"part.parquet: no column question_ratio"):
        list(ledger.row_groups(path, ["question_ratio"]))
    assert ledger.read(path, ["words"]).num_rows == 2
