import ast
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import typer

import pipeline
from pipeline.cli.main import COMMANDS, GROUPS, app, main

ROOT = Path(__file__).parents[1]
NAMES = sorted(typer.main.get_group(app).commands)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = 0
    try:
        main(list(arguments))
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_is_light() -> None:
    """`--help` must not wait for libraries that it does not need."""
    command = [sys.executable, "-X", "importtime", "-m", "pipeline", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pipeline.cli.main" in loaded
    assert not loaded & {"torch", "numba", "pyarrow", "numpy", "pydantic", "trafilatura"}
    for function in COMMANDS:
        assert f"\n  {function.__name__} " in done.stdout


@pytest.mark.parametrize("environment", [{"COLUMNS": "80"}, {"COLUMNS": "160"}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}])
def test_help_has_groups_of_commands_with_whole_summaries(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, out, _ = call(capsys, "--help")
    assert code == 0
    for heading, commands in GROUPS.items():
        _, _, group = out.partition(f"\n{heading}:\n")
        rows = group.partition("\n\n")[0].splitlines()
        summaries = [(command.__name__, (inspect.getdoc(command) or "").split("\n")[0]) for command in commands]
        assert [tuple(row.split(maxsplit=1)) for row in rows] == summaries
        assert max(map(len, rows)) < 80
    assert "\x1b" not in out


@pytest.mark.parametrize("command", [[name] for name in NAMES] + [["classifier", "train"], ["perplexity", "train"]])
def test_the_help_of_a_command_fits_80_columns_and_names_what_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = call(capsys, *command, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert not re.search(r"^ +--?[a-z-]+ <", out, re.M), "an option without a metavar"


def test_the_version_is_that_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert built["project"]["dynamic"] == ["version"]
    assert built["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pipeline.__version__"}
    assert call(capsys, "--version") == (0, f"corpus-pipeline {pipeline.__version__}\n", "")


def test_completion_is_for_the_installed_program(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    code, out, _ = call(capsys, "--show-completion", "bash")
    assert code == 0
    assert "complete -o default -F _corpus_pipeline_completion corpus-pipeline" in out


def test_outside_the_environment_one_line_says_what_to_do() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", "-m", "pipeline", "stats", "runs/x"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        r"error: this Python \(.*\) has no typer; use the project's own, .venv/bin/python -m pipeline .*\n", done.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.toml"], "error: none.toml: no such file"),
        (["stats", "nowhere"], "error: nowhere: not a run directory (no config.json)"),
        (["why", "nowhere", "x"], "error: nowhere: not a run directory"),
        (["sample", "nowhere"], "error: nowhere: not a run directory"),
        (["generate", "nowhere", "--prompt", "x"], "error: nowhere/train/model.safetensors: no such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--until", "cleen"],
            "error: --until cleen: unknown stage (did you mean clean?); known: extract, language, ",
        ),
        (["--engine", "locl"], "error: --engine locl: unknown (did you mean local?); known: local, ray"),
        (
            ["--set", "language.keep=['eng']"],
            "error: language.keep: the model knows no language 'eng'; its label is en",
        ),
        (
            ["--set", "quality.words.languages=['en', 'ge']"],
            "error: quality.words.languages: the model knows no language 'ge'; known: ",
        ),
        (["--engine", "spark"], "error: --engine spark: unknown; known: local, ray"),
        (["--set", "quality.wrods.min=3"], "quality.wrods: unknown signal (did you mean words?); known: "),
        (["--set", "language.model=none.ftz"], "error: language.model: none.ftz: no such file"),
    ],
)
def test_a_wrong_option_is_found_before_any_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config_file: Path, arguments: list[str], message: str
) -> None:
    code, out, err = call(capsys, "run", str(config_file), "--out", str(tmp_path / "run"), *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run" / "ledger").exists()


def test_a_run_can_be_looked_at_from_all_sides(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config_file: Path
) -> None:
    root = str(tmp_path / "run")
    code, out, err = call(capsys, "run", str(config_file), "--out", root, "--until", "shards", "--workers", "1")
    assert (code, err) == (0, "")
    assert "30 records: 30 pages" in out
    assert "removed most      duplicates.exact (1), duplicates.minhash (1), extract.empty_body (1)" in out
    assert f"python -m pipeline stats {root}" in out

    assert call(capsys, "run", str(config_file), "--out", root, "--until", "shards", "--quiet") == (0, "", "")

    code, out, _ = call(capsys, "stats", root, "--json")
    account = json.loads(out)
    assert code == 0
    assert account["kept"] == 24
    assert account["tokens"] > 1000

    code, out, _ = call(capsys, "stats", root)
    assert "quality.words.min" in out
    assert "duplicates.exact" in out

    code, out, _ = call(capsys, "sample", root, "--dropped-by", "quality")
    assert "http://a.example/short" in out
    assert "quality.words.min = 16" in out
    assert "(min = 50)" in out

    code, out, _ = call(capsys, "why", root, "http://a.example/3")
    assert "kept" in out
    assert "shards" in out
    documents = json.loads(call(capsys, "why", root, "http://a.example/3", "--json")[1])
    assert documents[0]["record"]["url"] == "http://a.example/3"

    code, _, err = call(capsys, "why", root, "http://a.example/never")
    assert code == 2
    assert err.startswith("error: http://a.example/never: no such URL or document id")


def test_a_run_that_keeps_nothing_says_where_to_look(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config_file: Path
) -> None:
    root = str(tmp_path / "run")
    code, _, err = call(
        capsys, "run", str(config_file), "--out", root, "--workers", "1", "--set", "quality.words.min=9000"
    )
    assert code == 2
    assert err == (
        f"error: {root}: nothing is left after the quality stage: quality.words.min dropped all 27 documents. Likely, "
        "quality.words.min is too strict, or is made for another kind of text; "
        f"python -m pipeline stats {root} counts every reason\n"
    )


def test_a_file_in_the_place_of_the_run_is_left_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config_file: Path
) -> None:
    (tmp_path / "run").write_text("not a directory")
    for out in (tmp_path / "run", tmp_path / "run" / "below"):
        code, _, err = call(capsys, "run", str(config_file), "--out", str(out))
        assert code == 2
        assert err == f"error: {out}: a file is in the way; choose another directory\n"


@pytest.mark.parametrize("command", [("run",), ("train",)])
@pytest.mark.parametrize("option", ["--out", "--set"])
def test_a_url_as_output_is_refused_before_anything_is_written(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str],
    option: str,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    value = "s3://bucket/run" if option == "--out" else 'out="s3://bucket/run"'
    code, out, err = call(capsys, *command, str(config_file), option, value)
    assert (code, out) == (2, "")
    assert err == (
        "error: s3://bucket/run: output goes to a directory on this machine; only input may be a URL. "
        "Copy the finished run there\n"
    )
    assert not list(Path().iterdir())


def test_recipes_are_listed_shown_and_run_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config_file: Path
) -> None:
    code, out, _ = call(capsys, "recipes")
    assert code == 0
    rows = [line.rstrip() for line in out.splitlines()]
    assert f"  {'fineweb':<20}FineWeb (2024), as in its paper" in rows
    assert f"  {'llama1':<20}{'Llama 1 (2023): CCNet, then a classifier':<60}a model" in rows
    assert rows[1].startswith("  c4 ")
    assert "[scores.badwords] kind" in " ".join(call(capsys, "recipes", "c4")[1].split())  # no markup
    assert call(capsys, "recipes", "c4", "--file")[1] == (ROOT / "configs" / "recipes" / "c4.toml").read_text()
    explained = call(capsys, "recipes", "c4-datatrove")[1]
    assert 'extractor = "' in explained
    assert "min_line_words = 3" in explained
    assert "citations = true" in explained
    assert "edited.datatrove_sentences" in explained
    assert "≥ 5" in explained
    code, _, err = call(capsys, "run", "finweb")
    assert (code, err[:54]) == (2, "error: finweb: no such recipe (did you mean fineweb?);")
    code, _, err = call(capsys, "recipes", "c5")
    assert (code, err[:26]) == (2, "error: c5: no such recipe;")
    given = [
        "--set",
        f'input.paths=["{config_file.parent}/input"]',
        "--out",
        str(tmp_path / "run"),
        "--until",
        "extract",
    ]
    code, out, err = call(capsys, "run", "gopher", *given, "--set", "extract.extractor=resiliparse", "--workers", "1")
    assert (code, err) == (0, "")
    assert "30 records: 30 pages" in out


def test_plain_values_follow_the_fields() -> None:
    from pipeline.core.plain_values import OPTIONAL, key, plain_values

    @dataclass(frozen=True)
    class Inner:
        entered: int = field(metadata=key("in"))
        bounds: tuple[int, ...] = field(default=(), metadata=OPTIONAL)
        last: int | None = None

    @dataclass(frozen=True)
    class Outer:
        inner: dict[str, Inner]
        several: tuple[Inner, ...]
        array: np.ndarray

    outer = Outer({"a": Inner(1)}, (Inner(2, (3,)),), np.array([0.5]))
    assert json.dumps(plain_values(outer)) == (
        '{"inner": {"a": {"in": 1, "last": null}}, "several": [{"in": 2, "bounds": [3], "last": null}], "array": [0.5]}'
    )


def test_a_command_calls_the_function_of_its_own_name() -> None:
    """No command imports what it calls under another name."""
    for file in sorted((ROOT / "pipeline" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not [alias.name for alias in node.names if alias.asname], file
    for command in COMMANDS:
        if command.__module__ != "pipeline.cli.run":  # run and train share a function, which calls run
            imports = re.findall(r"^    from .* import (.*)$", inspect.getsource(command), re.M)
            assert command.__name__ in ", ".join(imports).split(", "), command.__name__


def test_names_from_the_web_reach_the_terminal_escaped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    document = {"id": "[red]\x1b[2Jx", "url": "http://a.example/\x1b[2J[red]", "text": "Some words of a page. " * 9}
    (tmp_path / "a.jsonl").write_text(json.dumps(document) + "\n")
    (tmp_path / "c.toml").write_text(f'[input]\npaths = ["{tmp_path}/a.jsonl"]\n')
    root = str(tmp_path / "run")
    assert call(capsys, "run", str(tmp_path / "c.toml"), "--out", root, "--until", "clean", "--workers", "1")[0] == 0
    for command in (("sample", root), ("why", root, document["url"]), ("why", root, document["id"])):
        code, out, _ = call(capsys, *command)
        assert code == 0
        assert "\x1b" not in out
        assert "[red]\ufffd[2Jx" in out


def test_text_from_the_web_cannot_command_the_terminal() -> None:
    from pipeline.core.progress import safe

    assert safe("a\x1b[2Jb\u202ec\x07") == "a\ufffd[2Jb\ufffdc\ufffd"
    assert safe("[red]x[/red]") == r"\[red]x\[/red]"
