"""The documents say what the code does: the reference is fresh, and examples and guides run as they are written."""

import ast
import functools
import importlib
import inspect
import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field

import pipeline
from pipeline.config import Config
from pipeline.config_file import load as load_config
from pipeline.core.progress import Quiet
from pipeline.core.step import column_type
from pipeline.filters.batch import Batch
from pipeline.filters.edits import MEASURES, REASONS
from pipeline.filters.rules import LIMITS
from pipeline.filters.signals import all_signals
from pipeline.run import steps
from pipeline.run.runner import run
from pipeline.tools import reference
from pipeline.tools.mix import MixConfig

ROOT = Path(__file__).parents[1]
KEYS = {key.path for section in (Config, MixConfig) for _, _, keys in reference.tables(section) for key in keys}
Go = Callable[..., tuple[Any, list[str]]]


def test_the_reference_is_fresh() -> None:
    assert not reference.stale(ROOT / "docs" / "reference"), f"run `make docs`, or {reference.COMMAND}"


def test_every_key_is_explained() -> None:
    tables = [*reference.tables(Config), *reference.tables(MixConfig)]
    assert not [key.path for _, doc, keys in tables for key in keys if not (doc and key.meaning)]
    assert '| `duplicates.memory` | bytes, or a size | `"2GB"` |' in reference.config()


def test_every_step_says_what_it_writes() -> None:
    reasons = steps.by_name("quality.decide").reasons()
    assert {f"SIGNAL.{limit}" for limit in LIMITS} <= {*reasons}
    for step in steps.STEPS:
        assert step.columns() or step.files, step.name
        assert ("dropped" in [column.name for column in step.columns()]) == (step.drops is not None), step.name
        assert bool(step.reasons()) == (step.drops is not None), step.name


@dataclass(frozen=True)
class Inner:
    """A table."""

    size: Annotated[int, Field(ge=1)] | None = None
    """Some
    size."""
    share: float = 1e-5  # the share
    words: tuple[Literal["a", "b"], ...] = ("a",)


class Outer(BaseModel):
    """The outer one."""

    name: str
    inner: Inner = Inner()
    many: dict[str, Inner] = {}
    least: float = Field(default=2_000, gt=0, lt=1e6)
    """At | least."""
    on: bool = True


def test_keys_are_read_from_models_and_dataclasses_alike() -> None:
    inner = [
        ("size", "integer; at least 1", "absent", "Some size."),
        ("share", "number", "`1e-05`", "the share"),
        ("words", 'list, of `"a"` or `"b"`', '`["a"]`', ""),
    ]
    found = [
        (path, doc, [(key.path, key.type, key.default, key.meaning) for key in keys])
        for path, doc, keys in reference.tables(Outer)
    ]
    assert found == [
        (
            "",
            "The outer one.",
            [
                ("name", "string", "required", ""),
                ("least", "number; above 0; below 1,000,000.0", "`2_000`", "At | least."),
                ("on", "boolean", "`true`", ""),
            ],
        ),
        ("inner", "A table.", [(f"inner.{name}", *rest) for name, *rest in inner]),
        ("many.NAME", "A table.", [(f"many.NAME.{name}", *rest) for name, *rest in inner]),
    ]
    assert reference.table(("a", "b"), [("`x|y`", "<z>")]) == "| a | b |\n| --- | --- |\n| `x\\|y` | &lt;z> |\n"


NAMES = {
    "SIGNAL": [*all_signals(), *MEASURES, *(f"edited.{name}" for name in (*all_signals(), *MEASURES))],
    "EDIT": [*REASONS],
    "SCORE": ["listed"],
    "KIND": ["email", "phone", "ip"],
    "NN": [f"{number:02d}" for number in range(14)],
    "NNNNN": [f"{number:05d}" for number in range(20)],
}
"""What the words in capitals stand for in the run below."""


def documented(name: str, entries: Iterable[str]) -> str | None:
    """The entry of the reference that a name is described by."""
    for entry in entries:
        words = re.split("([A-Z]{2,})", entry)
        pattern = "".join(f"({'|'.join(map(re.escape, NAMES[w]))})" if w in NAMES else re.escape(w) for w in words)
        if re.fullmatch(pattern, name):
            return entry
    return None


def everything(folder: Path, evaluation: str) -> list[str]:
    """Settings that need every step of cleaning, over the small config."""
    (folder / "listed.txt").write_text("harbour\nlantern\n")
    (folder / "eval.jsonl").write_text(f"{json.dumps({'text': evaluation})}\n")
    spans = ("lines={}", "sentences={}", "ngrams={}", "substrings={min_tokens=20}", "min_words=60")
    return [
        'url.duplicates="first"',
        "edit.citations=true",
        "edit.min_line_words=2",
        "edited.words.min=50",
        "quality.digit_char_ratio={top=0.9}",
        "quality.listed={max=1000}",
        f'scores.listed={{kind="words", model="{folder}/listed.txt"}}',
        f'decontaminate={{against=["{folder}/eval.jsonl"]}}',
        *(f"duplicates.{setting}" for setting in spans),
        'mask.kinds=["email"]',
    ]


def test_the_reference_names_every_column_file_and_reason_of_a_run(tmp_path: Path, go: Go) -> None:
    first, _ = go(tmp_path / "first", until="extract")
    text = pq.read_table(first.file("extract", first.parts[0]))["text"][5].as_py()
    settings = everything(tmp_path, " ".join(text.split()[40:60]))
    seen: set[str] = set()
    cut = ['decontaminate.action="cut"', "decontaminate.min_characters=1", 'url.curated=["b.example"]']
    for number, more in enumerate((cut, ['duplicates.verify="signature"'])):
        done, _ = go(tmp_path / f"run{number}", [*settings, *more], until="shards")
        for step in steps.needed_steps(done.config):
            columns = {column.name: column.type for column in step.columns()}
            if step.makes_folder:
                files = [file.name for file in step.folder(done.root).glob("[!.]*")]
                assert not [name for name in files if documented(name, step.files) is None], step.name
                tables = [step.folder(done.root) / name for name in files if name.endswith(".parquet")]
            else:
                tables = [done.file(step, part) for part in done.parts]
            for table in tables:
                for field in pq.read_schema(table):
                    entry = documented(field.name, columns)
                    assert entry is not None, f"{step.name} writes {field.name}; its `columns` do not say so"
                    assert column_type(field.type) == columns[entry] or entry == "band_NN", field
            if step.drops is not None:
                stage = steps.stage_of(step)
                rules = {rule for other in steps.STEPS if steps.stage_of(other) == stage for rule in other.reasons()}
                dropped = [rules_ for file in tables for rules_ in pq.read_table(file)["dropped"].to_pylist()]
                for rule in {rule for failing in dropped for rule in failing or []}:
                    entry = documented(rule, rules)
                    assert entry is not None, f"{step.name} drops for {rule}; its `reasons` do not say so"
                    seen.add(f"{stage}.{entry}")
    assert {"extract.url_curated", "quality.SIGNAL.min", "quality.SIGNAL.top", "quality.contamination"} <= seen
    assert {"duplicates.exact", "duplicates.minhash"} <= seen


# --- docs/guide.md


def test_the_plugin_of_the_guide_runs_as_it_is_written(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    [config] = [block for block in re.findall("```toml\n(.*?)```", guide, re.S) if block.startswith("# my.toml")]
    [plugin] = [block for block in python_blocks(guide) if block.startswith("# my_filters.py")]
    (tmp_path / "my.toml").write_text(config.replace("configs/quickstart.toml", str(config_file)))
    (tmp_path / "my_filters.py").write_text(plugin)
    done = run(
        tmp_path / "out",
        load_config(tmp_path / "my.toml"),
        workers=1,
        engine="local",
        until="quality",
        reporter=Quiet(),
    )
    names: dict[str, Any] = {}
    exec(compile(plugin, "my_filters.py", "exec"), names)  # our own text
    for part in done.parts:
        texts = pq.read_table(done.file("extract", part))["text"].to_pylist()
        found = pq.read_table(done.file("quality", part))
        longest = [max(map(len, text.split()), default=None) if text else None for text in texts]
        assert any(longest)
        assert [value or None for value in found["longest_word"].fill_null(0).to_pylist()] == longest
        assert "question_ratio" in found.column_names
        edited = pq.read_table(done.file("quality.edit", part))
        assert "removed_lines.without_footer" in edited.column_names
    assert names["without_footer"]("The tide.\nAll rights reserved by us.") == "The tide.\n"
    table = guide.split("A batch has:")[1].split("[Signals]")[0]
    listed = {name for cell in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)", cell)}
    assert listed == {name for name in (*dir(Batch), *Batch.__dataclass_fields__) if not name.startswith("_")}


# --- docs/python-api.md


API = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
PROMISED = {
    "": "pipeline.extract filters.language filters.pii filters.classifier filters.lines filters.minhash tokenize.bpe "
    "tokenize.shards train.model train.optim train.loop train.export train.generate train.evaluation train.scaling",
    "gopher": "filters.gopher",
    "c4": "filters.c4",
    "fineweb": "filters.fineweb",
    "verdicts": "filters.verdicts",
}
"""Where the functions of the page are, by the module that it names before them."""


def python_blocks(text: str) -> list[str]:
    """The Python of a page."""
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def run_block(block: str, names: dict[str, Any], page: str) -> None:
    """Run a block; an expression with `# -> value` behind it must have that value."""
    lines = block.split("\n")
    for node in ast.parse(block).body:
        if not isinstance(node, ast.Expr):
            exec(compile(ast.Module([node], []), page, "exec"), names)  # our own text
            continue
        value = eval(compile(ast.Expression(node.value), page, "eval"), names)
        _, marked, stated = lines[(node.end_lineno or 1) - 1].partition("# -> ")
        if marked:
            assert repr(value) == stated, f"{page}: {ast.unparse(node)}"


def test_the_examples_of_the_api_run_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="training is an extra")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in python_blocks(API):
        run_block(block, names, "docs/python-api.md")


EVERY_NAME = ROOT / "docs" / "examples" / "every_name.py"


def test_the_script_of_every_name_runs_and_is_answered_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="training is an extra")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EVERY_NAME), run_name="__main__")
    out = capsys.readouterr().out
    assert "False" not in out.replace("repetition [False]", "")
    assert out.count("  ->  ") >= 20


def used(code: str) -> set[str]:
    """The names in a program, and the names of attributes."""
    nodes = [*ast.walk(ast.parse(code))]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {
        node.id for node in nodes if isinstance(node, ast.Name)
    }


def test_every_public_name_is_used_in_the_script() -> None:
    """As `pipeline.NAME`, and every name that the page promises in its blocks or there."""
    script = EVERY_NAME.read_text(encoding="utf-8")
    nodes = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Attribute)]
    attributes = {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "pipeline"}
    assert {*dir(pipeline)} <= attributes
    blocks = "\n".join(python_blocks(API))
    promised_names = {name.rpartition(".")[2] for name, _ in signatures()} - {"forward"}  # model(tokens) calls it
    assert promised_names <= used(script) | used(blocks)


def test_public_names_are_there_and_imported_when_used() -> None:
    pytest.importorskip("torch", reason="training is an extra")
    for name in dir(pipeline):
        assert getattr(pipeline, name) is not None
    assert set(dir(pipeline)) == {*pipeline._HOME, "extract", *pipeline._ROOMS, "__version__"}
    for room, modules in pipeline._ROOMS.items():
        assert dir(getattr(pipeline, room)) == list(modules)
        for module in modules:
            assert getattr(getattr(pipeline, room), module) is importlib.import_module(f"pipeline.{room}.{module}")
    assert dir(pipeline.extract) == ["html_to_text"]
    for owner in (pipeline, pipeline.filters, pipeline.extract):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            getattr(owner, "nothing")  # noqa: B009
    heavy = "{'numpy', 'pyarrow', 'numba', 'torch', 'regex', 'importlib.metadata'}"
    code = f"import sys, pipeline; dir(pipeline), dir(pipeline.train); print({heavy} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"


def test_what_needs_the_extra_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "pipeline.train.optim", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"pipeline\.adamw: no module torch; .*corpus-pipeline\[train\]"):
        _ = pipeline.adamw


def signatures() -> Iterator[tuple[str, str]]:
    """(name, arguments) of every signature in the page."""
    for line in API.split("\n"):
        if match := re.fullmatch(r"- `([A-Za-z_.0-9]+)(\(.*\))(?: -> .*)?`", line):
            yield match[1], match[2]


def promised(name: str) -> Any:
    """What a name in the page is."""
    first, _, rest = name.partition(".")
    modules = PROMISED.get(first)
    for module in (modules or PROMISED[""]).split():
        found = importlib.import_module(module if module.startswith("pipeline.") else f"pipeline.{module}")
        try:
            return functools.reduce(getattr, (rest if modules else name).split("."), found)
        except AttributeError:
            continue
    raise LookupError(name)


@pytest.mark.parametrize(("name", "stated"), [*signatures()])
def test_the_signatures_of_the_api_are_those_of_the_code(name: str, stated: str) -> None:
    pytest.importorskip("torch", reason="training is an extra")
    target = promised(name)
    function = ast.parse(f"def f{stated}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    arguments, parameters = function.args, inspect.signature(target).parameters.values()
    real = [parameter for parameter in parameters if parameter.name != "self"]
    named = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    assert named == [parameter.name for parameter in real]
    assert {argument.arg for argument in arguments.kwonlyargs} == {p.name for p in real if p.kind is p.KEYWORD_ONLY}
    positional = [None] * (len(arguments.args) - len(arguments.defaults)) + list(arguments.defaults)
    for parameter, default in zip(real, [*positional, *arguments.kw_defaults], strict=True):
        assert (default is None) == (parameter.default is parameter.empty), parameter.name
        if default is not None:
            module = sys.modules[inspect.unwrap(target).__module__]
            assert repr(eval(ast.unparse(default), dict(vars(module)))) == repr(parameter.default), parameter.name


def test_what_we_call_ours_in_coming_from_is_there() -> None:
    """Config keys, signals, commands, recipes and families that the page names."""
    from pipeline.cli.main import app
    from pipeline.filters.discovery import family_names

    text = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
    rooms = {key.partition(".")[0] for key in KEYS}
    cells = [line.split(" | ")[1] for line in text.split("\n") if line.startswith("| `") and line.count(" | ") >= 2]
    assert len(cells) > 80
    ours = [span for cell in cells for span in re.findall("`([^`]+)`", cell)]
    for span in ours:
        room, _, rest = span.partition(".")
        if room in rooms and rest:
            signal = room in ("quality", "edited") and (rest in all_signals())
            assert signal or span in KEYS, span
        if match := re.fullmatch(r"\[(\w+)\]", span):
            assert match[1] in rooms, span
        if match := re.match(r"python -m pipeline (\w+)", span):
            assert match[1] in {
                command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands
            }
    for recipe in re.findall("recipe `([^`]+)`", text):
        assert (ROOT / "configs" / "recipes" / f"{recipe}.toml").is_file(), recipe
    for family in re.findall("family `([^`]+)`", text):
        assert family in family_names(), family
    for cell in cells:
        for signals_ in re.findall("signals? ((?:`[^`]+`(?:, )?)+)", cell):
            assert set(re.findall("`([^`]+)`", signals_)) <= set(all_signals()), cell


# --- All pages


PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def names_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub("```.*?```|`[^`]*`", "", text, flags=re.DOTALL)):
        file, _, anchor = link.partition("#")
        if not file.startswith("http"):
            target = (page.parent / file) if file else page
            assert target.exists(), link
            headings = re.findall("^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
            slugs = [re.sub("[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert not anchor or anchor in slugs, link


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_commands_and_their_options_are_there(page: Path) -> None:
    import typer

    from pipeline.cli.main import app

    root = typer.main.get_command(app)
    for line in re.findall("python -m pipeline ([a-z][^`\n#]*)", page.read_text(encoding="utf-8")):
        command: Any = root
        for word in shlex.split(line.replace("…", "")):
            if word in getattr(command, "commands", {}):
                command = command.commands[word]
            elif word.startswith("-") and word != "--help":
                assert word in {name for option in command.params for name in option.opts}, line
        assert command is not root, line


def keys_in(table: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of a TOML table's keys."""
    for name, value in table.items():
        own = f"{path}.{name}" if path else name
        yield from keys_in(value, own) if isinstance(value, dict) else [own]


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_keys_in_toml_are_keys_of_a_config(page: Path) -> None:
    known = [*KEYS, "base"]
    patterns = [re.escape(key).replace("NAME", "[a-z_0-9]+") for key in known]
    patterns.append(r"prose\.min_words")  # of the stage that ARCHITECTURE.md adds
    patterns.append(r"quality\.[a-z_0-9]+")  # = false: a rule of the base is switched off
    for block in re.findall("```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for key in keys_in(tomllib.loads(block)):
            assert any(re.fullmatch(pattern, key) for pattern in patterns), key
