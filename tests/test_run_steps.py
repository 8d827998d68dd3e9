"""A step is one value: what follows from it holds for a stage that nobody has written yet, and products are checked."""

import importlib
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline import stages
from pipeline.core.deciding import write_decision
from pipeline.core.engines import Progress, Retry
from pipeline.core.fingerprint import fingerprint, plain
from pipeline.core.ledger import DROPPED, read, row_groups, writer
from pipeline.core.part import PartFiles, RunFiles
from pipeline.core.step import Failing, Step
from pipeline.errors import UserError
from pipeline.files import write_text
from pipeline.filters.decisions import failing_rules
from pipeline.filters.options import EditOptions
from pipeline.report.diff import diff
from pipeline.report.sample import sample
from pipeline.report.stats import stats
from pipeline.report.tokens import find_token
from pipeline.report.why import FailedRule, why, why_token
from pipeline.run import steps
from pipeline.run.open_shards import open_shards
from pipeline.run.run import open_run
from pipeline.stages.clean import CLEAN
from pipeline.stages.duplicates.signatures import SIGNATURES
from pipeline.stages.duplicates.verify import DOCUMENTS
from pipeline.stages.edit import EDIT
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import LANGUAGE_DECIDE
from pipeline.stages.quality import QUALITY
from pipeline.stages.quality_rules import QUALITY_DECIDE

Go = Callable[..., tuple[Any, list[str]]]


def line(seed: int) -> str:
    """A sentence of our own."""
    words = ("river", "garden", "winter", "letter", "market", "window", "summer", "village", "teacher", "engine")
    one, two, three = (words[seed * step % 10] for step in (1, 3, 7))
    return f"The {one} of the {two} has a {three} and people go to number {seed} with that in mind."


def drop_even(files: PartFiles, options: str, progress: Progress, retry: Retry) -> int:
    """Drop pages whose URL ends in an even digit."""
    table = read(files.file(EXTRACT), ["id", "url"])

    def failing(table: pa.Table) -> pa.Array:
        even = pc.match_substring_regex(table["url"], options).to_numpy()
        return failing_rules({"even": np.asarray(even, np.bool_)}, len(table))

    return write_decision(files, table, failing)


def explain(rule: str, row: Mapping[str, Any], options: str, file: Callable[[Step], Path | None]) -> Failing:
    return Failing(None, f"URLs like {options}")


PARITY = Step(
    name="parity",
    title="decide on parity",
    version=1,
    run=drop_even,
    options=lambda config, earlier: "[02468]$",
    reads=(EXTRACT,),
    drops=explain,
)


@pytest.mark.parametrize("before", ["quality", "duplicates.signatures", "clean"])
def test_a_stage_that_nobody_has_written_yet(
    tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    usual, _ = go(tmp_path / "usual")
    assert usual.deciders  # as they are without the new stage
    assert usual.keys
    assert usual.steps
    place = [step.name for step in steps.STEPS].index(before)
    monkeypatch.setattr(steps, "STEPS", (*steps.STEPS[:place], PARITY, *steps.STEPS[place:]))
    done, worked = go(tmp_path / "run")
    assert "parity" in worked
    report = stats(done)
    names = [stage.name for stage in report.stages]
    assert names == [name for name in steps.stages() if name in names]
    for stage, following in pairwise(report.stages):
        assert stage.entered == stage.kept + stage.dropped
        assert following.entered == stage.kept
    parity = next(stage for stage in report.stages if stage.name == "parity")
    assert parity.rules["even"].failed == parity.dropped > 5
    clean = [url for part in done.parts for url in pq.read_table(done.file(CLEAN, part))["url"].to_pylist()]
    assert clean
    assert not [url for url in clean if url[-1] in "02468"]

    [document] = why(done, "http://a.example/4")
    assert FailedRule(rule="parity.even", value=None, bound="URLs like [02468]$") in [
        failure for stage in document.stages for failure in stage.dropped or ()
    ]
    assert document.clean is None
    assert len(list(sample(done, "parity.even", 3))) == 3
    assert diff(usual, done).first_because["parity.even"] > 5


def drop_all(files: PartFiles, options: Any, progress: Progress, retry: Retry) -> int:
    """A stage written wrongly: it drops rows that never came to it."""
    schema = pa.schema([("dropped", DROPPED)])
    with writer(files.out, schema, files.key) as out:
        for group in row_groups(files.gate, ["dropped"]):
            out.write_table(pa.table([pa.array([["all"]] * len(group), DROPPED)], schema=schema))
    return 0


def drop_all_at_once(files: RunFiles, options: None, progress: Progress) -> int:
    """The same, by a step that sees all parts."""
    schema = pa.schema([("dropped", DROPPED)])
    for part in files.parts:
        with writer(files.out(part), schema, files.part_key(part)) as out:
            for group in row_groups(files.file(files.gates[0], part), ["dropped"]):
                out.write_table(pa.table([pa.array([["all"]] * len(group), DROPPED)], schema=schema))
    return 0


@pytest.mark.parametrize("whole", [False, True])
def test_a_stage_that_breaks_the_ledger_is_a_bug(
    tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    work = drop_all_at_once if whole else drop_all
    broken = Step(name="broken", title="break", version=1, run=work, drops=explain, whole=whole)
    place = steps.STEPS.index(QUALITY)
    monkeypatch.setattr(steps, "STEPS", (*steps.STEPS[:place], broken, *steps.STEPS[place:]))
    with pytest.raises(RuntimeError, match="must be a list for the rows that came in and null for the others"):
        go(tmp_path / "run")


def test_a_step_cannot_read_what_its_key_does_not_depend_on(
    tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_signatures(files: PartFiles, options: Any, progress: Progress, retry: Retry) -> int:
        table = read(files.file(SIGNATURES), ["content_hash"])
        return write_decision(files, table, lambda table: failing_rules({}, len(table)))

    careless = Step(name="careless", title="read", version=1, run=read_signatures, quick=True, drops=explain)
    place = steps.STEPS.index(SIGNATURES) + 1
    monkeypatch.setattr(steps, "STEPS", (*steps.STEPS[:place], careless, *steps.STEPS[place:]))
    with pytest.raises(RuntimeError, match="careless reads duplicates.signatures, which its `reads` does not name"):
        go(tmp_path / "run")


def test_every_step_that_a_module_declares_is_in_the_order() -> None:
    folder = Path(stages.__path__[0])
    for file in sorted(folder.rglob("*.py")):
        module = importlib.import_module(".".join(["pipeline.stages", *file.relative_to(folder).with_suffix("").parts]))
        for value in vars(module).values():
            assert not isinstance(value, Step) or value in steps.STEPS, f"{file}: {value.name} is not in STEPS"


def test_a_stage_that_ends_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stray = Step(name="stray", title="stray", version=1, run=drop_even)
    monkeypatch.setattr(steps, "STEPS", (*steps.STEPS, stray))
    with pytest.raises(ValueError, match="stray belongs to no stage"):
        steps.stages()


def test_every_step_is_declared_once_with_a_title_of_its_own() -> None:
    assert len({step.name for step in steps.STEPS}) == len({step.title for step in steps.STEPS}) == len(steps.STEPS)
    usual = ["extract", "language", "quality", "duplicates", "clean", "tokenizer", "shards", "train"]
    assert [name for name in steps.stages() if name in usual] == usual
    for step in steps.STEPS:
        for other in step.reads:
            assert steps.STEPS.index(other) < steps.STEPS.index(step), (
                f"{step.name} reads {other.name}, which comes later"
            )


def test_what_has_no_stable_form_is_no_key() -> None:
    assert plain({"a": (1, 2.5, None, True)}) == {"a": [1, 2.5, None, True]}
    assert fingerprint(1, "a") == fingerprint(1, "a") != fingerprint("1", "a")
    for value in ({1, 2}, object(), Path("x"), {1: 2}):
        with pytest.raises(TypeError, match="no stable form"):
            fingerprint(value)


def test_keys_name_the_library_that_decides_the_numbers(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.run import run as module

    done, _ = go(tmp_path / "run", until="quality")
    before = dict(done.keys)
    usual = module.library_version
    monkeypatch.setattr(module, "library_version", lambda name: "another" if name == "regex" else usual(name))
    after = dict(open_run(done.root).keys)
    changed = {step for step, index in before if index is None and before[step, index] != after[step, index]}
    assert "quality" in changed
    assert not {"extract", "language", "language.decide"} & changed


def tampered(file: Path) -> None:
    table = pq.read_table(file)
    text = pa.array([f"changed {value}" for value in table["text"].to_pylist()], table.schema.field("text").type)
    pq.write_table(
        table.set_column(table.column_names.index("text"), "text", text), file
    )  # its metadata, and key, stay


@pytest.mark.parametrize("harm", ["edited", "cut", "gone"])
def test_clean_text_that_was_changed_by_hand_is_made_again(tmp_path: Path, go: Go, harm: str) -> None:
    done, _ = go(tmp_path / "run")
    file = done.file(CLEAN, done.parts[0])
    whole = file.read_bytes()
    if harm == "edited":
        tampered(file)
    elif harm == "cut":
        file.write_bytes(whole[:-50])
    else:
        file.unlink()
    assert not open_run(done.root).is_done(CLEAN)
    again, worked = go(tmp_path / "run")
    assert worked == ["clean"]
    assert file.read_bytes() == whole
    assert again.is_done(CLEAN)


@pytest.mark.parametrize("name", ["tokenizer/tokenizer.json", "shards/train-00000.npy", "shards/documents.parquet"])
def test_a_product_that_was_deleted_is_made_again(tmp_path: Path, go: Go, name: str) -> None:
    done, _ = go(tmp_path / "run", until="shards")
    whole = (done.root / name).read_bytes()
    (done.root / name).unlink()
    with pytest.raises(UserError):
        open_shards(open_run(done.root))
    _, worked = go(tmp_path / "run", until="shards")
    assert worked == [name.partition("/")[0]]
    assert (done.root / name).read_bytes() == whole


@pytest.mark.parametrize(
    ("name", "harm"), [("model.safetensors", "edited"), ("metrics.jsonl", "gone"), ("loss.png", "gone")]
)
def test_a_model_that_was_harmed_is_trained_again(tmp_path: Path, go: Go, name: str, harm: str) -> None:
    done, _ = go(tmp_path / "run", until="train")
    file = done.root / "train" / name
    whole = file.read_bytes()
    if harm == "edited":
        file.write_bytes(bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]]))
    else:
        file.unlink()
    again, worked = go(tmp_path / "run", until="train")
    assert worked == ["train"]
    assert file.read_bytes() == whole
    assert again.is_done("train")


@pytest.mark.parametrize("harm", ["", "truncated", "gone"])
def test_a_model_of_an_earlier_version_is_not_trained_again_unless_harmed(tmp_path: Path, go: Go, harm: str) -> None:
    """It lacks files that this version writes, and its config.json says otherwise."""
    done, _ = go(tmp_path / "run", until="train")
    folder = done.root / "train"
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    (folder / "tokenizer.json").unlink()
    settings = json.loads(whole["config.json"])
    (folder / "config.json").write_text(json.dumps(settings | {"bos_token_id": settings["eos_token_id"]}))
    done.journal.record("train", None, "an earlier key", 0.0, done.made(steps.by_name("train")))
    weights = folder / "model.safetensors"
    if harm == "truncated":
        weights.write_bytes(whole["model.safetensors"][:-9])
    elif harm:
        weights.unlink()
    other = tmp_path / "second name"  # holds the old file, so that a new one cannot get its number
    if weights.is_file():
        other.hardlink_to(weights)
    again, worked = go(tmp_path / "run", until="train")
    assert worked == ["train"]
    assert again.is_done("train")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
    assert (other.is_file() and other.samefile(weights)) == (not harm)


def test_a_line_of_the_journal_that_was_cut_short_costs_no_other(tmp_path: Path, go: Go) -> None:
    done, _ = go(tmp_path / "run")
    lines = done.journal.path.read_bytes().splitlines(keepends=True)
    done.journal.path.write_bytes(b"".join(lines[:-2]) + lines[-2][:-20])
    assert go(tmp_path / "run")[1] == ["clean"]
    assert go(tmp_path / "run")[1] == []


@pytest.mark.parametrize("harmed", ["", '[{"path": "a'])
def test_a_list_of_parts_that_was_harmed_is_made_again(tmp_path: Path, go: Go, harmed: str) -> None:
    done, _ = go(tmp_path / "run", until="language")
    file = done.root / "parts.json"
    whole = file.read_text()
    file.write_text(harmed)
    assert go(tmp_path / "run", until="language")[1] == []
    assert file.read_text() == whole


def test_lines_of_the_journal_that_are_none_are_passed_over(tmp_path: Path, go: Go) -> None:
    done, _ = go(tmp_path / "run", until="language")
    strange = b'\xff\x00\n7\n{}\n{"step": "clean", "part": null, "files": [1]}\n'
    done.journal.path.write_bytes(strange + done.journal.path.read_bytes())
    assert go(tmp_path / "run", until="language")[1] == []


@pytest.mark.parametrize("last", ["parts.json", "config.json"])
def test_a_run_killed_while_it_was_planned_goes_on(
    tmp_path: Path, go: Go, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, text: str) -> None:
        if path.name == last:
            path.with_name(f".{last}.1.tmp").write_text(text[:9])
            raise KeyboardInterrupt
        write_text(path, text)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.run.runner.write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path / "run", until="language")
    done, _ = go(tmp_path / "run", until="language")
    assert done.is_done("language")
    assert not list(done.root.glob(".*.tmp"))


def test_shards_of_another_tokenizer_are_refused(tmp_path: Path, go: Go) -> None:
    done, _ = go(tmp_path / "run", until="shards")
    other, _ = go(tmp_path / "other", ["tokenizer.vocab_size=290"], until="shards")
    journal = (done.root / "journal.jsonl").read_text().splitlines()
    (done.root / "tokenizer" / "tokenizer.json").write_bytes((other.root / "tokenizer" / "tokenizer.json").read_bytes())
    with pytest.raises(UserError, match="tokenizer"):
        open_shards(open_run(done.root))
    assert json.loads(journal[-1])["step"] == "shards"


def test_a_changed_cut_leaves_no_files_behind(tmp_path: Path, go: Go) -> None:
    go(tmp_path / "run", ["input.part_bytes=1kB"], until="shards")
    many = [file.name for file in (tmp_path / "run" / "ledger").rglob("*.*") if file.is_file()]
    done, _ = go(tmp_path / "run", until="shards")
    names = {part.name for part in done.parts}
    left = [file for file in sorted((tmp_path / "run" / "ledger").rglob("*.*")) if file.is_file()]
    assert len(left) < len(many)
    assert not [file for file in left if not any(file.name.startswith(f"{name}.") for name in names)]


def test_every_token_of_a_cut_input_names_its_own_document(tmp_path: Path, go: Go) -> None:
    """What a shard calls a file is the number of the input file, not of the part."""
    lines = tmp_path / "input" / "a.jsonl"
    lines.parent.mkdir()
    for path, seeds in ((lines, range(40)), (lines.with_name("b.jsonl"), range(100, 110))):
        rows = ({"id": f"{path.stem}{n}", "text": " ".join(line(n * 17 + k) for k in range(6))} for n in seeds)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    sets = [f'input.paths=["{lines.parent}/*.jsonl"]', "input.part_bytes=4kB"]
    done, _ = go(tmp_path / "run", sets, until="shards")
    assert len(done.parts) > 5
    opened, _ = open_shards(done)
    for position in range(0, opened.splits["train"].tokens, 101):
        place = find_token(done, "train", position)
        assert why_token(done, place).record.id == place.document.id
    with pytest.raises(IndexError, match="has no such row"):
        done.locate(0, 40)


def test_gates_and_text_follow_from_the_order(go: Go, tmp_path: Path) -> None:
    done, _ = go(tmp_path / "run", until="extract")
    assert steps.gate_of(SIGNATURES, done.config) is LANGUAGE_DECIDE
    assert steps.gate_of(DOCUMENTS, done.config) is QUALITY_DECIDE
    assert steps.gate_of(EXTRACT, done.config) is None
    assert steps.layers_of(SIGNATURES, done.config) == (EXTRACT,)
    edited = done.config.model_copy(update={"edit": EditOptions(citations=True)})
    assert steps.layers_of(SIGNATURES, edited) == (EDIT, EXTRACT)
    assert steps.layers_of(EDIT, edited) == (EXTRACT,)


def test_a_filter_added_to_a_finished_run_measures_again(
    tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promised four lines, on a run that exists: no "damaged", and the new column is there."""
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from pipeline.filters.batch import Batch, FloatArray, ratio\n\n\n"
        "def question_ratio(docs: Batch) -> FloatArray:\n"
        '    """Question marks per sentence."""\n'
        '    return ratio(docs.count("?"), docs.words.sentences)\n\n\n'
        "SIGNALS = (question_ratio,)\n"
    )
    go(tmp_path / "run")
    done, worked = go(tmp_path / "run", [f'plugins=["{plugin}"]', "quality.question_ratio={max=0.5}"])
    assert worked[0] == "quality"
    assert "question_ratio" in pq.read_schema(done.file(CLEAN, done.parts[0])).names
    _, again = go(tmp_path / "run", [f'plugins=["{plugin}"]', "quality.question_ratio={max=0.5}"])
    assert again == []
