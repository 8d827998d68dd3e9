"""How kernels are stamped and kept."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from pipeline.core.step import Step
from pipeline.files import kernel_folder
from pipeline.kernel_cache import compiling, stamp
from pipeline.kernels import inner, kernel
from pipeline.run.warmup import WarmUp

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
    code = (
        "import test_core_kernels as t; print(*(f'{name} {t.stamp(k)}' for name, k in t.kernels().items()), sep='\\n')"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PYTHONHASHSEED": "7"}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    ours = {name: stamp(function) for name, function in kernels().items()}
    assert len(ours) > 100
    assert dict(line.split() for line in printed.stdout.splitlines()) == ours


def test_a_kernel_that_reads_what_has_no_stamp_is_refused() -> None:
    thing = object()

    def reads() -> Any:
        return thing

    with pytest.raises(TypeError, match="which has no stable digest"):
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
    monkeypatch.setattr("pipeline.kernel_cache.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("pipeline.kernel_cache._State.announced", False)
    monkeypatch.setattr("pipeline.kernel_cache._State.compiled", 0)

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
        f"compiling kernels for the first use of this version, up to a minute; cached in {tmp_path}"
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


def test_a_broken_cache_is_made_anew(fresh: Callable[[], Any], tmp_path: Path) -> None:
    assert fresh()(1) == 2
    for file in tmp_path.rglob("*.nb[ic]"):
        file.write_bytes(file.read_bytes()[:40])
    assert fresh()(1) == 2
    counted = []
    with compiling(lambda *event: counted.append(event)):
        assert fresh()(1) == 2
    assert counted == []


def test_a_file_with_another_signatures_code_is_not_used(
    fresh: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What two processes leave that compile one kernel for two types at a time: each begins with the first file name."""
    fresh()(1)
    [kept] = tmp_path.rglob("*.nbc")
    monkeypatch.setattr("pipeline.kernel_cache.config.CACHE_DIR", str(tmp_path / "other"))
    fresh()(1.5)
    [other] = (tmp_path / "other").rglob("*.nbc")
    monkeypatch.setattr("pipeline.kernel_cache.config.CACHE_DIR", str(tmp_path))
    kept.write_bytes(other.read_bytes())
    assert repr(fresh()(1)) == "2"


def test_kernels_work_where_they_cannot_be_kept(
    fresh: Callable[[], Any], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a file"
    folder.touch()
    monkeypatch.setattr("pipeline.kernel_cache.config.CACHE_DIR", str(folder))
    monkeypatch.setattr("pipeline.kernel_cache._State.warned", False)
    assert (fresh()(1), fresh()(1)) == (2, 2)
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"compiled kernels cannot be cached in {folder} (Not a directory); each process compiles its own"
    ]


def test_a_cache_folder_of_someone_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corpus-pipeline").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("os.access", lambda place, mode: Path(place) != tmp_path / "corpus-pipeline")
    assert tmp_path not in kernel_folder().parents
    monkeypatch.setattr("os.access", lambda place, mode: True)
    assert kernel_folder() == tmp_path / "corpus-pipeline" / "kernels"


def test_kernels_of_old_versions_go_in_time(fresh: Callable[[], Any], tmp_path: Path) -> None:
    fresh()(1)
    (folder,) = {file.parent for file in tmp_path.rglob("*.nbi")}
    stem = next(folder.glob("*.nbi")).name.rpartition("-")[0]
    now = time.time()
    for name, days in ((f"{stem}-old.py311.nbi", 61), (f"{stem}-new.py311.nbi", 59), ("other-old.py311.nbi", 61)):
        (folder / name).touch()
        os.utime(folder / name, (now, now - days * 86_400))
    fresh()(1)  # loaded: nothing is looked at
    assert (folder / f"{stem}-old.py311.nbi").exists()
    fresh()(1.5)
    assert not (folder / f"{stem}-old.py311.nbi").exists()
    assert (folder / f"{stem}-new.py311.nbi").exists()
    assert (folder / "other-old.py311.nbi").exists()
    assert fresh()(1) == 2


def test_stages_compile_nothing() -> None:
    for file in (ROOT / "pipeline" / "stages").glob("*.py"):
        text = file.read_text()
        assert "njit" not in text, file
        assert "pipeline.kernels" not in text, file


LOADED = """
import sys
from pathlib import Path
from pipeline.kernel_cache import KernelCache
from pipeline.config_file import load
from pipeline.run.run import Run
from pipeline.run.steps import needed_steps

names, load_overload = set(), KernelCache.load_overload
def loads(self, *arguments):
    names.add(self._function)
    return load_overload(self, *arguments)
KernelCache.load_overload = loads
config = load(Path(sys.argv[1]), ["edit.numeric_lines=true"])
options = Run(Path("none"), config, ()).options
for step in needed_steps(config):
    if step.kernels:
        before = len(names)
        step.kernels(options[step.name])
        print(step.name, step.compiles, len(names) - before)
"""


def test_a_step_says_how_many_kernels_it_compiles() -> None:
    command = [sys.executable, "-c", LOADED, str(ROOT / "configs" / "quickstart.toml")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    counts = {name: (said, used) for name, said, used in map(str.split, printed.splitlines())}
    assert {"extract", "quality", "quality.edit", "duplicates.documents", "tokenizer"} <= set(counts)
    assert {name: used for name, (said, used) in counts.items() if said != used} == {}


def test_a_run_counts_kernels_over_all_its_steps(fresh: Callable[[], Any]) -> None:
    one, two = fresh(), fresh()

    def step(name: str, compiles: int, kernels: Callable[[Any], None]) -> Step:
        return Step(name=name, title=name, version=1, run=lambda: 0, kernels=kernels, compiles=compiles)

    def both(_: Any) -> None:
        one(1)
        one(1.5)

    first, second, third = step("a", 2, both), step("b", 0, lambda _: None), step("c", 3, lambda _: two(1j))
    heard = []
    warm_up = WarmUp((first, second, third), dict.fromkeys("abc"), 1, lambda *event: heard.append(event[:2]))
    with compiling(warm_up.count):
        for each in (first, second, third):
            warm_up(each)
        fresh()(1)  # kept
        fresh()(np.float32(1))
    warm_up.close()
    assert heard == [(1, 5), (2, 5), (3, 5), (4, 5)]


COMPILED = """
from pipeline.kernel_cache import compiling
from pipeline.filters.kernels.spans import Ranges, join
import numpy as np
names = []
with compiling(lambda number, name: names.append(name.rpartition(".")[2])):
    ranges = join(Ranges(np.array([0, 2]), np.array([0, 2]), np.array([3, 5])))
print(*names, ranges.starts, ranges.ends)
"""


def test_processes_that_compile_at_once_keep_one_whole_cache(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILED]
    several = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    printed = [process.communicate()[0] for process in several]
    printed.append(
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    )
    assert set(printed[:2]) <= {"_join [0] [5]\n", "[0] [5]\n"}
    assert printed[2] == "[0] [5]\n"


PAIR = """
from typing import Any, NamedTuple
from pipeline.kernels import kernel

class Pair(NamedTuple):
    first: int
    second: int

@kernel
def difference(pair: Any) -> Any:
    return pair.first - pair.second
"""


def test_kept_code_fits_the_fields_of_named_tuples(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    swapped = PAIR.replace("first: int\n    second: int", "second: int\n    first: int")
    for source, name in ((PAIR, "Pair"), (swapped, "Pair"), (PAIR.replace("Pair", "Two"), "Two")):
        (tmp_path / "of_pairs.py").write_text(source)
        code = f"from of_pairs import *; print(difference({name}(first=5, second=3)))"
        command = [sys.executable, "-B", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout == "2\n", done.stderr
