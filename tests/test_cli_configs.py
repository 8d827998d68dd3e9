import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from pipeline.config_file import load
from pipeline.config_names import recipe_files
from pipeline.core.plain_values import toml_key, toml_value
from pipeline.tools.configs import config_schema, show_config

ROOT = Path(__file__).parents[1]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = 0
    try:
        main(list(arguments))
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "value",
    ["a \"quoted\" \\\\ word", "line\nand\ttab\x7f\x00", "ünïcode …", True, False, 0, -3, 1e-05, 1e300, float("inf"), 0.1, [], ["a", "b"],
     {"a b": {"c": [1, 2]}, "ü": 1.5}, {}],
)  # fmt: skip
def test_toml_values_read_back(value: Any) -> None:
    text = f"{toml_key('a key')} = {toml_value(value)}"
    assert tomllib.loads(text) == {"a key": value}


@pytest.mark.parametrize(
    "path",
    [*recipe_files().values(), *sorted((ROOT / "configs").glob("*.toml"))],
    ids=lambda path: path.stem,
)
def test_a_shown_config_loads_as_the_same_config(path: Path, tmp_path: Path) -> None:
    sets = [] if path.stem == "common-crawl" else ['input.paths=["x"]']
    config = load(path, sets)
    copy = tmp_path / "copy.toml"
    copy.write_text(show_config(config))
    assert load(copy) == config


def test_config_show_has_the_base_the_settings_and_the_defaults(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "base.toml").write_text('[input]\npaths = ["x"]\n[quality]\nwords.min = 50\nlines.min = 2\n')
    (tmp_path / "c.toml").write_text('base = "base.toml"\n[quality]\nwords.max = 900\nlines = false\n')
    code, out, err = call(capsys, "config", "show", str(tmp_path / "c.toml"), "--set", "shards.seed=7")
    assert (code, err) == (0, "")
    shown = tomllib.loads(out)
    assert shown["quality"] == {"words": {"min": 50, "max": 900}}
    assert shown["shards"]["seed"] == 7
    assert shown["shards"]["validation"] == 0.02
    assert max(map(len, out.splitlines())) < 80

    code, out, err = call(capsys, "config", "show", str(tmp_path / "c.toml"), "--set", "shards.sed=7")
    assert (code, out) == (2, "")
    assert "shards.sed: unknown key (did you mean seed?)" in err


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value is as a JSON Schema says, of the words that ours uses."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema and not any(fits(value, one, root) for one in schema["anyOf"]):
        return False
    if "const" in schema and (value != schema["const"] or type(value) is not type(schema["const"])):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
    names = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", list(kinds))
    if not any(isinstance(value, kinds[name]) and isinstance(value, bool) <= (name == "boolean") for name in names):  # type: ignore[arg-type]
        return False
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if isinstance(value, list):
        return all(fits(entry, schema.get("items", {}), root) for entry in value)
    if not isinstance(value, dict):
        return True
    known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
    if not {*schema.get("required", ())} <= {*value} or (other is False and not {*value} <= {*known}):
        return False
    return all(fits(entry, known.get(name, other or {}), root) for name, entry in value.items())


@pytest.mark.parametrize(
    "path",
    [*recipe_files().values(), *sorted((ROOT / "configs").glob("*.toml"))],
    ids=lambda path: path.stem,
)
def test_configs_fit_the_schema_as_written_and_as_shown(path: Path) -> None:
    schema = config_schema()
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    assert fits(written | {"input": written.get("input", {"paths": ["x"]})}, schema, schema)
    sets = [] if path.stem == "common-crawl" else ['input.paths=["x"]']
    assert fits(tomllib.loads(show_config(load(path, sets))), schema, schema)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('base = "b.toml"', True),
        ("[quality]\nwords.min = 3", False),
        ('base = "b.toml"\n[quality]\nwords.min = 3\nlines = false\nsentences.max = false', True),
        ('base = "b.toml"\n[quality]\nwords = "off"', False),
        ('base = "b.toml"\n[quality]\nwords.mni = 3', False),
        ('base = "b.toml"\n[quality.words]\nsignal = "words"', False),
        ('base = "b.toml"\n[language]\nmin_score = 2', False),
        ('base = "b.toml"\n[language]\nkeep = ["en"]\nmin_score = true', False),
        ('base = "b.toml"\n[duplicates]\nmemory = "2GB"\nkeep = "none"\nlines = false', True),
        ('base = "b.toml"\n[duplicates]\nkeep = ["none"]\nlines = { max_count = 2 }', True),
        ('base = "b.toml"\n[duplicates]\nverify = "exactly"', False),
        ('base = "b.toml"\n[scores.x]\nkind = "fasttext"\nmodel = "m.bin"', True),
        ('[input]\npaths = "x"\n[language]\nkeep = "en"\n[mask]\nkinds = "ip"', True),
        ('[input]\npaths = "x"\n[mask]\nkinds = "pi"', False),
        ("base = 3", False),
        ('base = "b.toml"\n[inptu]', False),
    ],
)
def test_the_schema_takes_what_load_takes(text: str, good: bool) -> None:
    schema = config_schema()
    assert fits(tomllib.loads(text), schema, schema) is good


def test_every_key_of_the_schema_has_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "config", "schema")
    assert (code, err) == (0, "")
    schema = json.loads(out)
    assert schema == config_schema()
    assert schema["$defs"]["Rule"]["properties"]["min"]["description"] == "The lowest value that is kept."
    assert "null" not in out


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(root.rglob("*"))}


def test_a_dry_run_says_what_would_be_done_and_why_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config_file: Path
) -> None:
    root = tmp_path / "run"

    def dry(*more: str) -> dict[str, str]:
        before = files_of(tmp_path)
        code, out, err = call(
            capsys, "run", str(config_file), "--out", str(root), "--until", "clean", "--dry-run", *more
        )
        assert (code, err) == (0, "")
        assert files_of(tmp_path) == before
        dry.lines = out.splitlines()  # type: ignore[attr-defined]
        return dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  "))

    steps = dry()
    assert set(steps.values()) == {"to do: not done yet"}
    assert dry.lines[0] == f"{root}: 2 parts of input"  # type: ignore[attr-defined]
    assert not root.exists()

    assert call(capsys, "run", str(config_file), "--out", str(root), "--until", "clean", "-q", "--workers", "1")[0] == 0
    assert set(dry().values()) == {"up to date"}
    assert dry.lines[-1] == f"dry run: 0 of {len(steps)} steps to do; nothing was written"  # type: ignore[attr-defined]

    changed = dry("--set", "quality.words.min=60")
    assert "changed since the last run: quality.words.min = 60.0, was 50.0" in dry.lines  # type: ignore[attr-defined]
    assert changed["extract"] == changed["quality"] == "up to date"
    assert changed["quality.decide"] == "to do: its settings changed"
    assert changed["duplicates"].startswith("to do: follows from ")
    assert changed["clean"] == "to do: follows from duplicates"

    part = next((root / "ledger" / "language").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    broken = dry()
    assert broken["language"] == (f"to do, 1 of 2 parts: {part.relative_to(root)}: changed since it was written")
    assert broken["clean"] == "up to date"

    (root / "config.json").write_text(json.dumps({**json.loads((root / "config.json").read_text()), "old": 1}))
    other = dry("--set", "quality.words.min=60")
    assert other["quality.decide"] == "to do: made from other input, or with other settings, code or libraries"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--until", "cleen"], "--until cleen: unknown stage (did you mean clean?)"),
        (["--set", "input.paths=['nowhere']"], "nowhere: no such file or directory"),
        (["--engine", "locl"], "--engine locl: unknown (did you mean local?)"),
        (["--set", "language.model=none.ftz"], "language.model: none.ftz: no such file"),
    ],
)
def test_a_dry_run_finds_the_mistakes_that_a_run_finds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config_file: Path, arguments: list[str], message: str
) -> None:
    root = tmp_path / "run"
    code, out, err = call(capsys, "run", str(config_file), "--out", str(root), "--dry-run", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not root.exists()
