"""The guides of ARCHITECTURE.md, followed to the letter in a copy of the package: their blocks are the code that runs."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def blocks(heading: str, language: str = "python") -> list[str]:
    """The code of a guide."""
    guide = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(f"```{language}\n(.*?)```", guide, re.DOTALL)


def code_in(heading: str, number: int = 0, language: str = "python") -> tuple[str, str]:
    """(the file that the first line of a block names, the block)."""
    block = blocks(heading, language)[number]
    return block.partition("\n")[0].lstrip("# ").split(",")[0], block


class House:
    """A copy of the package, to build onto."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.printed: list[str] = []
        for folder in ("pipeline", "filters", "tokenize", "train", "configs"):
            shutil.copytree(ROOT / folder, root / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))

    def change(self, file: str, old: str, new: str) -> None:
        """Put something into a file at a place that it has once."""
        text = (self.root / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, (file, old, text.count(old))
        (self.root / file).write_text(text.replace(old, new), encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        """Write a new file."""
        assert not (self.root / file).exists(), file
        (self.root / file).write_text(text, encoding="utf-8")

    def run(self, commands: list[list[str]]) -> list[str]:
        """What commands of the command line print, one after another in one process of this house."""
        script = [sys.executable, "-c", SCRIPT, json.dumps(commands)]
        done = subprocess.run(script, cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed: list[str] = json.loads(done.stdout)
        return printed


SCRIPT = """
import json, sys
from typer.testing import CliRunner
from pipeline.cli.main import app
from pipeline.tools.reference import write
from pathlib import Path

printed = []
for command in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, (command, result.output)
    printed.append(result.output)
write(Path("reference"))
print(json.dumps(printed))
"""

TIDE = "The tide turns twice a day, and the harbour turns with it. " * 3
PAGES = {
    "good": f"<p>{TIDE}</p><p>{TIDE} All rights reserved by the harbour.</p>",
    "asks": "<p>What is it? Who is it? Why is it so? Is it the tide of the day that turns?</p>",
    "semicolons": "<p>one; two; three; four; five; six; seven; eight; nine; ten; it is so.</p>",
    "list": "".join(
        f"<p>{word} tide</p>"
        for word in ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    ),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The copy with all that the guides add, and a finished run over four pages."""
    house = House(tmp_path_factory.mktemp("house"))

    file, code = code_in("Add a filter")
    house.change(file, "\nSIGNALS = (", f"\n{code}\n\nSIGNALS = (question_ratio, ")

    file, code = code_in("Add a family")
    house.write(file, code)

    file, code = code_in("Add an edit")
    house.write(file, code)

    file, code = code_in("Add a stage")
    [field] = re.findall(r"`(prose: [^`]+)`", TEXT)
    (house.root / file).write_text(f"{(house.root / file).read_text()}\n\n{code}")
    house.change("pipeline/config.py", "    MaskOptions,\n", "    MaskOptions,\n    ProseOptions,\n")
    house.change("pipeline/config.py", "\n    tokenizer: ", f"\n    {field}\n    tokenizer: ")
    file, code = code_in("Add a stage", 1)
    house.write(file, code)
    house.change("pipeline/run/steps.py", "\nSTEPS = (", "\nfrom pipeline.stages.prose import PROSE\n\nSTEPS = (")
    house.change("pipeline/run/steps.py", " QUALITY_DECIDE,\n", " QUALITY_DECIDE,\n    PROSE,\n")

    export, extractor = blocks("Add an export or an extractor")
    function, entry = export.split("\n# in FORMATS:\n")
    house.change("tokenize/exports.py", "\n\n@dataclass", f"\n\n{function}\n\n@dataclass")
    house.change("tokenize/exports.py", "FORMATS: dict[str, Format] = {\n", f"FORMATS: dict[str, Format] = {{\n{entry}")
    function, entry = extractor.split("\n# in EXTRACTORS:\n")
    markup = "pipeline/extract/pages/markup.py"
    house.change(markup, "\nEXTRACTORS: ", f"\n{function}\n\nEXTRACTORS: ")
    house.change(markup, "    for extractor in (\n", f"    for extractor in (\n{entry}")
    house.write("mine.py", "import re\n\n\ndef text(html):\n    return re.sub('(<[^>]*>)+', '\\n', html).strip()\n")
    (house.root / "mine-1.0.dist-info").mkdir()
    house.write("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")

    rows = [{"id": name, "html": f"<html><body>{page}</body></html>"} for name, page in PAGES.items()]
    house.write("pages.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    tables = [blocks("Add a filter", "toml")[0], blocks("Add an edit", "toml")[0]]
    quality, plugins = tables
    house.write(
        "run.toml",
        f'{plugins}\n[input]\npaths = ["pages.jsonl"]\nhtml = "html"\n[extract]\nextractor = "mine"\n{quality}'
        "marks_semicolons = { max = 0.5 }\n[prose]\nmin_words = 4\n[tokenizer]\nvocab_size = 300\n[shards]\nvalidation = 0.0\n",
    )
    [recipe] = blocks("Add a recipe", "toml")
    house.write("configs/recipes/short-fineweb.toml", recipe)
    once = ["--workers", "1", "--until"]
    house.printed = house.run(
        [
            ["run", "run.toml", "--out", "out", *once, "shards"],
            ["stats", "out", "--json"],
            ["why", "out", "list"],
            ["export", "out", "lengths", "lengths"],
            ["recipes"],
            [
                "run",
                "short-fineweb",
                "--set",
                "input.paths=pages.jsonl",
                "--set",
                "input.html=html",
                "--out",
                "recipe",
                *once,
                "extract",
            ],
        ]
    )
    return house


@pytest.fixture(scope="module")
def account(house: House) -> dict[str, Any]:
    """What `stats` says."""
    account: dict[str, Any] = json.loads(house.printed[1])
    return account


def dropped(account: dict[str, Any], stage: str) -> dict[str, int]:
    """Rule -> how many rows failed it."""
    [found] = [entry for entry in account["stages"] if entry["name"] == stage]
    return {rule: counts["failed"] for rule, counts in found["rules"].items() if counts["failed"]}


def test_a_filter_and_a_family_drop_what_they_should(account: dict[str, Any]) -> None:
    assert dropped(account, "quality") == {"question_ratio.max": 1, "marks_semicolons.max": 1}


def test_a_stage_drops_what_it_should_and_is_in_every_report(house: House, account: dict[str, Any]) -> None:
    assert dropped(account, "prose") == {"min_words": 1}
    [prose] = [entry for entry in account["stages"] if entry["name"] == "prose"]
    assert (prose["in"], prose["kept"]) == (2, 1)
    assert "min_words = 4" in house.printed[2]
    assert "`prose.min_words`" in (house.root / "reference" / "reasons.md").read_text()
    assert "| `prose.min_words` | number | absent |" in (house.root / "reference" / "config.md").read_text()


def test_an_edit_and_an_extractor_make_the_text(house: House) -> None:
    [file] = (house.root / "out" / "clean").glob("*.parquet")
    assert pq.read_table(file)["text"].to_pylist() == [f"{TIDE}\n{TIDE} "]


def test_an_export_writes_its_files(house: House) -> None:
    assert "np.load('lengths/train.npy')" in house.printed[3]
    assert len(np.load(house.root / "lengths" / "train.npy")) == 1


def test_a_recipe_is_listed_and_runs(house: House) -> None:
    [line] = [line for line in house.printed[4].splitlines() if "short-fineweb" in line]
    assert "Penedo et al. 2024" in line
    assert (house.root / "recipe" / "ledger" / "extract").is_dir()
