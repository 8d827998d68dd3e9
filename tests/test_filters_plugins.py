"""Signals and edits from files of one's own: loaded once a process, known by their content, refused in one line."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import app as main
from pipeline.config_file import load as load_config
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.filters.options import is_taken
from pipeline.filters.plugins import PluginFile, apply_edits, load, locate
from pipeline.filters.signals import all_signals, measure, signals_key, stored_signals
from pipeline.run.run import Run
from pipeline.run.runner import run
from pipeline.stages.clean import clean_schema

Go = Callable[..., tuple[Run, list[str]]]

PLUGIN = '''
from pipeline.filters.batch import Batch, FloatArray


def harbours(docs: Batch) -> FloatArray:
    """How often the text says harbour."""
    return docs.count("harbour").astype("float64")


def strip_harbours(text: str) -> str:
    """The text without its lines that say harbour."""
    return "\\n".join(line for line in text.split("\\n") if "harbour" not in line)


def shout(text: str) -> str:
    """The text in upper case."""
    return text.upper()


SIGNALS = (harbours,)
EDITS = (strip_harbours, shout)
'''


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_plugin_is_known_by_its_content(tmp_path: Path) -> None:
    files = locate([write(tmp_path / "a", PLUGIN), write(tmp_path / "b", PLUGIN, "other.py")])
    assert files[0].digest == files[1].digest
    one, other = (load([file]).signals for file in files)
    assert signals_key((), one) == signals_key((), other)
    [changed] = locate([write(tmp_path / "a", PLUGIN.replace("count(", "count(2 * "))])
    assert signals_key((), load([changed]).signals) != signals_key((), one)
    with pytest.raises(UserError, match=r"mine.py: changed during the run"):
        load([PluginFile(path=changed.path, digest="0" * 32)])


def test_signals_of_plugins_stand_beside_ours(tmp_path: Path) -> None:
    plugins = load(locate([write(tmp_path, PLUGIN)]))
    assert list(plugins.edits) == ["strip_harbours", "shout"]
    assert [*all_signals(), "harbours"] == [*all_signals(plugins.signals)]
    assert stored_signals((), plugins.signals) == (*stored_signals(), "harbours")
    found = measure(pa.array(["A harbour, a harbour.", None]), ["harbours", "words"], plugins=plugins.signals)
    assert [column.to_pylist() for column in found.values()] == [[2, None], [4, None]]
    with pytest.raises(UserError, match="harbours: unknown signal"):
        measure(pa.array(["A harbour"]), ["harbours"])


def test_edits_count_what_they_take_out(tmp_path: Path) -> None:
    edits = load(locate([write(tmp_path, PLUGIN)])).functions(["shout", "strip_harbours"])
    assert list(edits) == ["shout", "strip_harbours"]
    texts = pa.array(["one two\n\nthe harbour - lies\nfour five", "nothing", None, "harbour", ""])
    edits = {"strip_harbours": edits["strip_harbours"], "shout": edits["shout"]}
    found = apply_edits(texts, edits)
    assert found.texts.to_pylist() == ["ONE TWO\n\nFOUR FIVE", "NOTHING", None, "", ""]
    assert {name: counts.tolist() for name, counts in found.lines.items()} == {
        "strip_harbours": [1, 0, 0, 1, 0],
        "shout": [0] * 5,
    }
    assert found.words["strip_harbours"].tolist() == [3, 0, 0, 1, 0]
    assert found.kept_lines.tolist() == [pytest.approx(2 / 3), 1, 1, 0, 1]
    assert found.kept_words.tolist() == [pytest.approx(4 / 7), 1, 1, 0, 1]
    with pytest.raises(UserError, match="the edit broken returned None; a string is needed \\(.*, line "):
        apply_edits(texts, {"broken": lambda text: None})  # type: ignore[dict-item, return-value]
    with pytest.raises(UserError, match="one of the edits lone returned a text that UTF-8 cannot represent"):
        apply_edits(texts, {"lone": lambda text: text + "\ud800"})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_to_be_found", "mine.py: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("def f(:", "mine.py: SyntaxError: invalid syntax (mine.py, line 1)"),
        ("x = 1", "mine.py: defines neither SIGNALS nor EDITS"),
        ("SIGNALS = 3", "mine.py: SIGNALS: a tuple of functions is needed, not 3"),
        (
            PLUGIN.replace("harbours(docs", "words(docs").replace("SIGNALS = (harbours,)", "SIGNALS = (words,)"),
            "mine.py: the name of the signal words is built in; choose another one",
        ),
        (
            PLUGIN.replace("shout", "phrases"),
            "mine.py: the name of the edit phrases is built in; choose another one",
        ),
        (
            "EDITS = (lambda text: text,)",
            "mine.py: '<lambda>': the name of an edit may only have letters, digits and _",
        ),
        (
            PLUGIN.replace("harbours(docs", "url(docs").replace("SIGNALS = (harbours,)", "SIGNALS = (url,)"),
            "mine.py: the name of the signal url is a column's name; choose another one",
        ),
        (f"{PLUGIN}\nLANGUAGES = 'en'", "mine.py: LANGUAGES: a tuple of labels is needed, not 'en'"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_one_line(tmp_path: Path, config_file: Path, source: str, message: str) -> None:
    path = write(tmp_path, source)
    with pytest.raises(UserError) as caught:
        load_config(config_file, [f'plugins=["{path}"]'])
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(f"--set: plugins: {message}")
    assert "\n" not in str(caught.value)


def test_every_column_beside_signals_has_its_name_for_itself() -> None:
    assert all(is_taken(name) for name in clean_schema(["edited_words"], ("email",), contamination=True).names)
    assert not [name for name in all_signals() if is_taken(name)]


@pytest.mark.parametrize(
    ("value", "returned"),
    [
        ("1.0", r"an array of float64 with shape \(\)"),
        ("None", r"an array of object with shape \(\)"),
        ('["x"] * len(docs)', r"an array of <U1 with shape \(2,\)"),
        ("[0.0]", r"an array of float64 with shape \(1,\)"),
    ],
)
def test_a_signal_that_gives_no_number_a_text_is_named(tmp_path: Path, value: str, returned: str) -> None:
    source = f"def odd(docs):\n    return {value}\n\nSIGNALS = (odd,)\n"
    signals = load(locate([write(tmp_path, source)])).signals
    with pytest.raises(
        UserError, match=f"the signal odd returned {returned}; a number for each of 2 texts is needed.*, line 1"
    ):
        measure(pa.array(["a", "b"]), ["odd"], plugins=signals)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "return docs.texts",
            "AttributeError: 'Batch' object has no attribute 'texts'; it has array, count, data, ends, .* (line 2)",
        ),
        (
            "return [len(text) for text in docs.array.to_pylist()]",
            "TypeError: .*'NoneType'.*; docs.array has None for a document without text (line 2)",
        ),
        (
            "return [len(text.as_py()) for text in docs.array]",
            "TypeError: .*'NoneType'.*; docs.array has None for a document without text (line 2)",
        ),
        ("\n    return 1 / len([])", "ZeroDivisionError: division by zero (line 3)"),
        ("return None.words", "AttributeError: 'NoneType' object has no attribute 'words'; docs.array .* (line 2)"),
    ],
)
def test_an_error_of_a_signal_is_one_line_and_its_traceback(tmp_path: Path, body: str, said: str) -> None:
    path = write(tmp_path, f"def odd(docs):\n    {body}\n\nSIGNALS = (odd,)\n")
    pattern = re.escape(f"plugins: {path}: the signal odd: {said}").replace(r"\.\*", ".*")
    with pytest.raises(UserError, match=f"^{pattern}$") as caught:
        measure(pa.array(["a", None]), ["odd"], plugins=load(locate([path])).signals)
    assert caught.value.details.startswith("Traceback (most recent call last)")
    assert f'File "{path}", line ' in caught.value.details
    again = pickle.loads(pickle.dumps(caught.value))  # from a worker
    assert (str(again), again.details) == (str(caught.value), caught.value.details)


def test_the_traceback_of_a_plugin_is_in_the_log(tmp_path: Path, config_file: Path) -> None:
    path = write(tmp_path, PLUGIN.replace("text.upper()", "[][len(text)]"))
    config = load_config(config_file, [f'plugins=["{path}"]', 'edit.functions=["shout"]', "edited.words.min=1"])
    for workers in (1, 2):
        out = tmp_path / str(workers)
        with pytest.raises(
            UserError,
            match=r"mine.py: the edit shout: IndexError: list index out of range \(line 17\), in quality.edit of .*, record ",
        ):
            run(out, config, workers=workers, engine="local", until="quality", reporter=Quiet())
        log = (out / "log.txt").read_text()
        assert f'File "{path}", line 17, in shout' in log
        assert "bug" not in log


def test_names_that_no_plugin_has(tmp_path: Path, config_file: Path) -> None:
    plugins = f'plugins=["{write(tmp_path, PLUGIN)}"]'
    for sets, message in (
        (["plugins=['none.py']"], r"plugins: none.py: cannot be read: No such file or directory"),
        (['edit.functions=["shout"]'], r"edit.functions: no edit 'shout'; no plugin defines EDITS"),
        (
            [plugins, 'edit.functions=["shuot"]'],
            r"edit.functions: no edit 'shuot' \(did you mean shout\?\); known: strip_",
        ),
        ([plugins, 'edit.functions=["shout", "shout"]'], r"edit.functions: 'shout' is named twice"),
        ([plugins, "quality.harbour.min=1"], r"quality.harbour: unknown signal \(did you mean harbours\?\)"),
    ):
        with pytest.raises(UserError, match=message):
            load_config(config_file, sets)


def test_a_run_with_plugins_is_the_same_with_two_workers(
    tmp_path: Path, config_file: Path, go: Go, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, PLUGIN)
    sets = [
        f'plugins=["{path}"]',
        'edit.functions=["strip_harbours"]',
        "quality.harbours.max=1",
        "edited.harbours.max=0",
        "edited.words.min=20",
    ]
    one, steps = go(tmp_path / "one", sets)
    assert "quality.edit" in steps
    two = run(
        tmp_path / "two", load_config(config_file, sets), workers=2, engine="local", until="clean", reporter=Quiet()
    )
    kept = 0
    harbours: dict[str, int] = {}
    for part in one.parts:
        for step in ("quality", "quality.edit", "quality.decide", "clean"):
            assert one.file(step, part).read_bytes() == two.file(step, part).read_bytes(), step
        clean = pq.read_table(one.file("clean", part))
        assert not any("harbour" in text for text in clean["text"].to_pylist())
        assert max(clean["harbours"].to_pylist()) <= 1
        assert set(clean["edited_harbours"].to_pylist()) == {0}
        removed = pq.read_table(one.file("quality.edit", part))["removed_lines.strip_harbours"].to_pylist()
        kept += clean.num_rows
        ids = pq.read_table(one.file("extract", part))["id"].to_pylist()
        harbours |= {name: lines for name, lines in zip(ids, removed, strict=True) if lines}
    assert kept > 0
    name, lines = next(iter(harbours.items()))
    main(["why", str(one.root), name], standalone_mode=False)
    assert re.search(rf"strip_harbours +removed lines: {lines}, words: \d+", capsys.readouterr().out)
    _, steps = go(tmp_path / "one", sets)
    assert steps == []
    (tmp_path / "moved").mkdir()
    Path(path).rename(tmp_path / "moved" / "elsewhere.py")
    _, steps = go(tmp_path / "one", [f'plugins=["{tmp_path}/moved/elsewhere.py"]', *sets[1:]])
    assert steps == []
    path = write(tmp_path, PLUGIN.replace('count("harbour")', 'count("harbours")'))
    _, steps = go(tmp_path / "one", [f'plugins=["{path}"]', *sets[1:]])
    assert steps[:3] == ["quality", "quality.edit", "quality.decide"]
