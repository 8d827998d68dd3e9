"""Runs that read nothing, or of which a stage drops everything: an error in words, wherever the run was to stop."""

import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.run.runner import run


def ended(root: Path, config_file: Path, *sets: str, until: str = "clean") -> str:
    """The message that a run ends with."""
    with pytest.raises(UserError) as error:
        run(root, load(config_file, sets), workers=1, engine="local", until=until, reporter=Quiet())
    message = str(error.value)
    assert message.startswith(f"{root}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("setting", "until", "message"),
    [
        (
            "language.keep=['de']",
            "language",
            "nothing is left after the language stage: language.keep dropped all 27 documents. "
            "Likely, language.keep does not name the languages of this input; python -m pipeline stats ",
        ),
        (
            "quality.words.min=100000",
            "clean",
            "quality.words.min dropped all 27 documents. Likely, quality.words.min is too strict",
        ),
        ("language.min_score=1.0", "clean", "Likely, language.min_score is too high for this input"),
        ("extract.record_types=['request']", "extract", "extract.record_type dropped all 30 records. Likely, "),
        (
            "quality.words.max=60",
            "clean",
            "quality.words.max dropped 26 of 27 (96%) documents, other rules the rest. Likely, ",
        ),
        ("url.substrings=SUBSTRINGS", "extract", "Likely, the rules in [url] match every address"),
    ],
)
def test_a_rule_that_drops_everything(
    tmp_path: Path, config_file: Path, setting: str, until: str, message: str
) -> None:
    (tmp_path / "substrings.txt").write_text("example\n")
    setting = setting.replace("SUBSTRINGS", str(tmp_path / "substrings.txt"))
    first = ended(tmp_path / "run", config_file, setting, until=until)
    assert message in first
    # a second run has nothing to do, and says the same
    assert ended(tmp_path / "run", config_file, setting, until=until) == first
    assert not (tmp_path / "run" / "clean").exists()


def test_nothing_was_read(tmp_path: Path, config_file: Path) -> None:
    with pa.CompressedOutputStream(held := pa.BufferOutputStream(), "lz4") as out:
        out.write(b"")
    inputs = {
        "a.warc": b"",
        "a.warc.gz": b"",
        "b.warc.gz": gzip.compress(b""),
        "b.warc.zst": zstandard.compress(b""),
        "b.warc.lz4": bytes(held.getvalue()),
        "a.arc": b"",
        "nul.warc": bytes(500),
        "c.jsonl": b"\n \n",
        "a.jsonl.zst": zstandard.compress(b""),
        "a.csv": b"id,text\n",
        "a.tsv.xz": lzma.compress(b""),
    }
    for name, data in inputs.items():
        (tmp_path / name).write_bytes(data)
        message = ended(tmp_path / f"run-{name}", config_file, f"input.paths=['{tmp_path / name}']", until="extract")
        assert f"nothing was read: {tmp_path / name} has no record; is the input empty?" in message
    (tmp_path / "a.txt").write_bytes(b"")
    message = ended(tmp_path / "run-txt", config_file, f"input.paths=['{tmp_path / 'a.txt'}']", until="extract")
    assert "empty_body dropped the only record. Likely, the pages have no text of their own" in message


def test_damage_is_told_with_its_first_detail(tmp_path: Path, config_file: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(b"WARC, but no record\n")
    message = ended(tmp_path / "run", config_file, f"input.paths=['{path}']", until="extract")
    assert "extract.bad_record dropped the only record (the first: no record starts here)" in message
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": n, "text": " "}) + "\n" for n in range(3)))
    message = ended(tmp_path / "run2", config_file, f"input.paths=['{path}']", until="extract")
    assert "extract.empty_text dropped all 3 records. Likely, 'text' is not the right key for input.text" in message


def test_everything_is_in_an_earlier_run(tmp_path: Path, config_file: Path) -> None:
    run(tmp_path / "old", load(config_file), workers=1, engine="local", until="duplicates", reporter=Quiet())
    archive = config_file.parent / "input" / "one.warc.gz"
    sets = [f"input.paths=['{archive}']", f"duplicates.against=['{tmp_path / 'old'}']"]
    message = ended(tmp_path / "run", config_file, *sets, until="duplicates")
    assert (
        "duplicates.exact dropped all 12 documents. Likely, the input, or a copy of it, is also in a run of" in message
    )
