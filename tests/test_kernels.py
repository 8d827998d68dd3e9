"""How kernels are stamped and kept."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher

from pipeline.kernels import compiling, inner, kernel, stamp

ROOT = Path(__file__).parents[1]
ROOMS = ("filters", "tokenize", "train")

SOURCE = """
TABLE = (1, 2)

def callee(x):
    return x + 1

def other(x):
    return x

def caller(x):
    "What it does."
    return callee(x) + TABLE[0]
"""


def stamp_of(source: str) -> str:
    names: dict[str, Any] = {"__name__": "module"}
    exec(source, names)  # our own text
    return stamp(names["caller"])


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("What it does.", "What it does, said better.", True),
        ("\ndef other", "\n# a comment, and two lines more\n\n\ndef other", True),
        ("return x\n", "return x * 2\n", True),
        ("x + 1", "x + 2", False),
        ("(1, 2)", "(3, 2)", False),
        ("TABLE[0]", "TABLE[1]", False),
        ("callee(x) +", "callee(x) -", False),
    ],
)
def test_a_stamp_changes_with_what_is_compiled_alone(old: str, new: str, same: bool) -> None:
    assert old in SOURCE
    assert (stamp_of(SOURCE) == stamp_of(SOURCE.replace(old, new))) is same


def kernels() -> dict[str, Dispatcher]:
    """Every compiled function of the rooms that use `pipeline.kernels`."""
    functions = {}
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            if "pipeline.kernels" in file.read_text():
                name = ".".join(("pipeline", *file.relative_to(ROOT).with_suffix("").parts))
                for function in vars(importlib.import_module(name)).values():
                    if isinstance(function, Dispatcher):
                        functions[f"{function.py_func.__module__}.{function.py_func.__qualname__}"] = function
    return functions


def test_every_kernel_has_a_stamp_that_other_processes_agree_on() -> None:
    code = "import test_kernels as t; print(*(f'{name} {t.stamp(k)}' for name, k in t.kernels().items()), sep='\\n')"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PYTHONHASHSEED": "7"}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    ours = {name: stamp(function) for name, function in kernels().items()}
    assert len(ours) > 100
    assert dict(line.split() for line in printed.stdout.splitlines()) == ours


def test_a_kernel_that_reads_what_has_no_stamp_is_refused() -> None:
    thing = object()

    def reads() -> Any:
        return thing

    with pytest.raises(TypeError, match="of which there is no stamp"):
        stamp(reads)


def test_an_inner_function_cannot_be_called_from_python() -> None:
    @inner
    def double(x: Any) -> Any:
        return 2 * x

    with pytest.raises(TypeError, match="is an inner function: only kernels can call it"):
        double(1)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A function that makes a kernel as a new process would, with a cache folder of its own."""
    monkeypatch.setattr("pipeline.kernels.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("pipeline.kernels._State.announced", False)
    monkeypatch.setattr("pipeline.kernels._State.compiled", 0)

    def make() -> Any:
        @kernel
        def add_one(x: Any) -> Any:
            return x + 1

        return add_one

    return make


def test_a_library_user_is_told_once_and_only_when_kernels_are_compiled(
    fresh: Callable[[], Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = fresh()
    assert (first(1), first(1.5)) == (2, 2.5)  # two signatures
    assert capsys.readouterr().err.splitlines() == [
        f"compiling kernels for the first use of this version, up to a minute; kept in {tmp_path}"
    ]
    assert fresh()(1) == 2
    assert capsys.readouterr().err == ""


def test_the_command_line_counts_kernels_as_they_are_compiled(
    fresh: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    counted = []
    with compiling(lambda count, name: counted.append((count, name.rpartition(".")[2]))):
        one = fresh()
        one(1)
        one(1.5)
        one(2)
        fresh()(1)
    assert counted == [(1, "add_one"), (2, "add_one")]
    assert capsys.readouterr().err == ""


def test_stages_compile_nothing() -> None:
    for file in (ROOT / "pipeline" / "stages").glob("*.py"):
        text = file.read_text()
        assert "njit" not in text, file
        assert "pipeline.kernels" not in text, file
