"""The duplicates stage in whole runs: what goes, for whom, how alike; in any order, after any kill, against any run."""

import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import app as main
from pipeline.config_file import load
from pipeline.core import ledger
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.filters.minhash import jaccard
from pipeline.report.duplicates import differing_spans, duplicate_pairs, duplicates
from pipeline.report.why import why
from pipeline.run import runner
from pipeline.run.run import Run
from pipeline.stages.duplicates import candidates, features, verify
from pipeline.stages.duplicates.outcome import similarity_in_words

CONFIG = """
input.paths = {paths}
input.part_bytes = "300kB"  # the archives do not share a part
until = "duplicates"
extract.extractor = "resiliparse"
quality.words = {{ min = 20 }}
"""


def texts(count: int, seed: int) -> list[str]:
    """Texts of which most are copies of others, with none, few or many words changed: chains too."""
    draw = random.Random(seed)
    made: list[str] = []
    for _ in range(count):
        if made and draw.random() < 0.75:
            words = draw.choice(made[-6:]).split()
            for _ in range(draw.choice([0, 1, 2, 3, 6])):
                words[draw.randrange(len(words))] = f"word{draw.randrange(1000)}"
            made.append(" ".join(words))
        else:
            made.append(" ".join(f"word{draw.randrange(1000)}" for _ in range(draw.randrange(80, 160))))
    return made


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory, make_archive: Any) -> list[Path]:
    """Three archives of 30 pages and more each; the dates rise from the first page to the last."""
    folder = tmp_path_factory.mktemp("archives")
    found = texts(27, 1)
    pages = [(f"http://a.example/{n}", f"<p>{text}</p>", "200") for n, text in enumerate(found)]
    return [make_archive(folder / f"{n}.warc.gz", pages[n * 9 : n * 9 + 9]) for n in range(3)]


def go(root: Path, paths: list[Path], *sets: str, workers: int = 1) -> tuple[Run, Quiet]:
    root.parent.mkdir(parents=True, exist_ok=True)
    file = root.parent / f"{root.name}.toml"
    file.write_text(CONFIG.format(paths=[str(path) for path in paths]))
    reporter = Quiet()
    config = load(file, list(sets))
    return runner.run(root, config, workers=workers, engine="local", until="duplicates", reporter=reporter), reporter


def rows(done: Run, step: str = "duplicates") -> dict[str, dict[str, Any]]:
    """The step's rows by URL."""
    found: dict[str, dict[str, Any]] = {}
    for part in done.parts:
        urls = pq.read_table(done.file("extract", part), columns=["url"])["url"].to_pylist()
        found |= dict(zip(urls, pq.read_table(done.file(step, part)).to_pylist(), strict=True))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, archives: list[Path]) -> Run:
    return go(tmp_path_factory.mktemp("finished") / "run", archives)[0]


def test_nothing_goes_but_for_a_kept_document_as_similar(finished: Run) -> None:
    pages = rows(finished, "extract")
    of_id = {page["id"]: page["text"] for page in pages.values()}
    decided = rows(finished)
    dropped = {url: row for url, row in decided.items() if row["dropped"]}
    assert {tuple(row["dropped"]) for row in dropped.values()} == {("exact",), ("minhash",)}
    kept = {pages[url]["id"] for url, row in decided.items() if row["dropped"] == []}
    for url, row in decided.items():
        assert row["cluster"] in kept
        assert row["cluster_size"] == sum(other["cluster"] == row["cluster"] for other in decided.values())
        if row["dropped"]:
            assert row["similarity"] == pytest.approx(jaccard(pages[url]["text"], of_id[row["cluster"]]))
            assert row["similarity"] >= 0.8
        else:
            assert row["similarity"] is None
    [document] = why(finished, next(url for url, row in dropped.items() if row["dropped"] == ["minhash"]))
    [failure] = document.stages[-1].dropped or []
    assert re.fullmatch(r"similarity 0\.[89]\d*, kept the longest copy", str(failure.bound))
    assert not list((finished.root / "ledger").glob("*.work"))


def test_without_verification_chains_drop_more(tmp_path: Path, finished: Run, archives: list[Path]) -> None:
    shutil.copytree(finished.root, tmp_path / "run")
    done, reporter = go(tmp_path / "run", archives, "duplicates.verify=none")
    assert reporter.steps == ["duplicates.documents", "duplicates"]  # candidates are what they were
    believed, verified = rows(done), rows(finished)
    assert sum(row["dropped"] == [] for row in believed.values()) < sum(
        row["dropped"] == [] for row in verified.values()
    )
    for row in believed.values():
        assert row["similarity"] in (None, 1.0)


def test_signatures_verify_without_reading_a_text(
    tmp_path: Path, archives: list[Path], finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    original = ledger.row_groups

    def watching(path: Path, names: list[str]) -> Any:
        opened.append(path.parent.name)
        return original(path, names)

    monkeypatch.setattr(features, "row_groups", watching)
    done, _ = go(tmp_path / "run", archives, "duplicates.verify=signature")
    assert set(opened) == {"duplicates.signatures"}
    for row in rows(done).values():
        assert row["similarity"] is None or row["similarity"] >= 0.8
    same = [url for url, row in rows(done).items() if (row["dropped"] == []) == (rows(finished)[url]["dropped"] == [])]
    assert len(same) >= 24  # an estimate may err near the threshold


def test_any_order_and_any_number_of_workers(tmp_path: Path, finished: Run, archives: list[Path]) -> None:
    expected = rows(finished)
    for name, order, workers in (("a", [2, 0, 1], 1), ("b", [1, 2, 0], 2)):
        done, _ = go(tmp_path / name, [archives[i] for i in order], workers=workers)
        assert rows(done) == expected


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["roots", "features"])
def test_killed_half_way_it_goes_on_where_it_was(
    tmp_path: Path, finished: Run, archives: list[Path], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    saved: list[Path] = []
    original = features.save
    armed = True

    def dying(path: Path, array: Any) -> None:
        original(path, array)
        saved.append(path)
        if armed and path.name == {"roots": "roots-00007.npy", "features": "00001.npy"}[moment]:
            raise Killed

    monkeypatch.setattr(features, "save", dying)
    with pytest.raises(Killed):
        go(tmp_path / "run", archives)
    armed, before = False, len(saved)
    done, _ = go(tmp_path / "run", archives)
    again = [path.name for path in saved[before:]]
    if moment == "roots":
        assert again[:2] == ["roots-00008.npy", "roots-00009.npy"]
    else:
        assert again == ["00002.npy"]
    for part in done.parts:
        assert done.file("duplicates", part).read_bytes() == finished.file("duplicates", part).read_bytes()


def test_the_best_copy_is_the_users_choice(tmp_path: Path, finished: Run, archives: list[Path]) -> None:
    shutil.copytree(finished.root, tmp_path / "run")
    better: dict[str, Any] = {
        '"latest"': lambda page: page["date"],
        '["url *[05]", "earliest"]': lambda page: page["url"][-1] in "05",
        '"lowest words"': lambda page: -len(page["text"].split()),
    }
    for keep, value in better.items():
        done, reporter = go(tmp_path / "run", archives, f"duplicates.keep={keep}")
        assert reporter.steps == ["duplicates.documents", "duplicates"]
        pages = rows(done, "extract")
        of_id = {page["id"]: page for page in pages.values()}
        for url, row in rows(done).items():
            if row["dropped"]:
                assert value(of_id[row["cluster"]]) >= value(pages[url])


def test_keep_none_drops_whole_clusters(tmp_path: Path, finished: Run, archives: list[Path]) -> None:
    shutil.copytree(finished.root, tmp_path / "run")
    done, _ = go(tmp_path / "run", archives, "duplicates.keep=none")
    decided = rows(done)
    for row in decided.values():
        assert bool(row["dropped"]) == (row["cluster_size"] > 1)
    assert any(row["dropped"] == [] for row in decided.values())


def test_against_an_earlier_run_is_the_joint_run_under_earliest(tmp_path: Path, archives: list[Path]) -> None:
    order = 'duplicates.keep=["file *0.warc.gz", "file *1.warc.gz", "earliest"]'  # every later crawl has later dates
    joint = rows(go(tmp_path / "joint", archives, order)[0])
    old, _ = go(tmp_path / "old", archives[:1], order)
    middle, _ = go(tmp_path / "middle", archives[1:2], order, f'duplicates.against=["{old.root}"]')
    both = f'duplicates.against=["{old.root}", "{middle.root}"]'
    new, reporter = go(tmp_path / "new", archives[2:], order, both)
    assert not [note for note in reporter.notes if "prefers" in note]
    apart = rows(old) | rows(middle) | rows(new)
    assert {url: row["cluster"] for url, row in apart.items()} == {url: row["cluster"] for url, row in joint.items()}
    assert {url: bool(row["dropped"]) for url, row in apart.items()} == {
        url: bool(row["dropped"]) for url, row in joint.items()
    }
    foreign = {row["cluster"] for row in rows(new).values()} - {row["id"] for row in rows(new, "extract").values()}
    assert foreign  # some go for a document of an earlier run, whose id is named
    kept = [pair.kept for pair in duplicate_pairs(new, count=1000)]
    assert foreign <= {document.id for document in kept if document and document.text}
    _, reporter = go(tmp_path / "new", archives[2:], "duplicates.keep=latest", both)
    assert any("duplicates.keep prefers them" in note for note in reporter.notes)


def test_runs_that_cannot_be_compared_with_are_named(tmp_path: Path, finished: Run, archives: list[Path]) -> None:
    def against(root: Path, *sets: str) -> None:
        go(tmp_path / "new", archives[2:], f'duplicates.against=["{root}"]', *sets)

    with pytest.raises(UserError, match="nowhere: not a run directory"):
        against(tmp_path / "nowhere")
    with pytest.raises(UserError, match="signed with ngram = 5, not 4"):
        against(finished.root, "duplicates.ngram=4")
    with pytest.raises(UserError, match="is this run itself"):
        against(tmp_path / "new")
    shutil.copytree(finished.root, tmp_path / "half")
    victim = sorted((tmp_path / "half" / "ledger" / "duplicates.documents").glob("*.parquet"))[0]
    victim.unlink()
    with pytest.raises(UserError, match="half: its duplicates stage is not finished; run it first"):
        against(tmp_path / "half")


@pytest.mark.parametrize("step", ["duplicates.signatures", "duplicates.candidates"])
@pytest.mark.parametrize("harm", ["flip", "cut", "foreign", "rows"])
def test_damaged_and_foreign_files_are_made_again(
    tmp_path: Path, finished: Run, archives: list[Path], step: str, harm: str
) -> None:
    shutil.copytree(finished.root, tmp_path / "run")
    folder = tmp_path / "run" / "ledger" / step
    victim, other = sorted(folder.glob("*.parquet"))[:2]
    content = bytearray(victim.read_bytes())
    again = "duplicates.keep=shortest" if step == "duplicates.candidates" else "quality.words.min=21"
    if harm == "flip":
        content[40] ^= 1  # within the first page
        victim.write_bytes(content)
    elif harm == "cut":
        victim.write_bytes(content[:-200])
    elif harm == "foreign":
        shutil.copyfile(other, victim)
    else:
        table = pq.read_table(victim)
        pq.write_table(table.slice(1), victim)
    done, reporter = go(tmp_path / "run", archives, again)
    assert step in reporter.steps
    assert any(victim.name in note and "changed since it was written; made again" in note for note in reporter.notes)
    fresh = go(tmp_path / "fresh", archives, again)[0]
    assert rows(done) == rows(fresh)


def test_candidates_of_earlier_runs_that_were_harmed_are_made_again(tmp_path: Path, archives: list[Path]) -> None:
    old, _ = go(tmp_path / "old", archives[:1])
    against = f'duplicates.against=["{old.root}"]'
    done, _ = go(tmp_path / "run", archives[1:], against)
    for harmed in (b"", b"PAR1"):
        file = next((done.root / "ledger" / "duplicates.candidates").glob("against-*"))
        file.write_bytes(harmed) if harmed else file.unlink()
        again, _ = go(tmp_path / "run", archives[1:], against, f"duplicates.threshold={0.7 + len(harmed) / 100}")
        assert again.is_done("duplicates.candidates")
    assert rows(again) == rows(go(tmp_path / "fresh", archives[1:], against, "duplicates.threshold=0.74")[0])


def test_the_overview_counts_all_pairs(finished: Run) -> None:
    report = duplicates(finished)
    bands = report.bands
    pages = [row["text"] for row in rows(finished, "extract").values()]
    different = list(dict.fromkeys(pages))
    values = [jaccard(a, b) for i, a in enumerate(different) for b in different[:i]]
    assert (bands.documents, bands.pairs) == (len(different), len(values))
    assert bands.similar == sum(value >= 0.8 for value in values) > 0
    assert bands.both <= min(bands.similar, bands.proposed)
    assert sum(entry.pairs for entry in bands.bins) == sum(value >= 0.1 for value in values)
    sizes = [row["cluster_size"] for row in rows(finished).values() if row["dropped"]]
    assert report.clusters[0].size == max(sizes)
    assert report.clusters[0].url in rows(finished)


def test_pairs_stand_side_by_side(capsys: pytest.CaptureFixture[str], finished: Run) -> None:
    root = str(finished.root)
    for pair in duplicate_pairs(finished, count=50):
        assert pair.kept is not None
        assert pair.similarity == pytest.approx(jaccard(str(pair.kept.text), str(pair.dropped.text)))
    main(["duplicates", root, "--sample", "3"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert shown.count("similarity ") == 3
    one = next(duplicate_pairs(finished, count=1))
    main(["duplicates", root, "--url", str(one.dropped.url)], standalone_mode=False)
    assert one.dropped.id in capsys.readouterr().out
    main(["duplicates", root, "--cluster", one.kept.id if one.kept else ""], standalone_mode=False)
    assert one.dropped.id in capsys.readouterr().out
    main(["duplicates", root], standalone_mode=False)
    assert "predicted" in capsys.readouterr().out
    with pytest.raises(UserError, match="no such URL"):
        list(duplicate_pairs(finished, url="http://never.example/"))


def test_differing_spans() -> None:
    assert differing_spans("a b c d", "a x y c d e") == [("b", "x y"), ("", "e")]
    assert differing_spans("a b", "a  b") == []


def test_too_small_a_budget_says_what_is_needed(tmp_path: Path, archives: list[Path]) -> None:
    with pytest.raises(UserError, match=r"duplicates.memory: 27 documents need at least 450MB"):
        go(tmp_path / "run", archives, "duplicates.memory=449MB")
    assert candidates.left_over(50_000_000, 1_000_000_000, 10) == 150_000_000


def test_many_batches_decide_as_one_does_and_a_kill_costs_one(
    tmp_path: Path, finished: Run, archives: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[str] = []
    original = verify._decide_batch

    def dying(*args: Any) -> None:
        if len(decided) == 2:
            decided.append("")
            raise Killed
        original(*args)
        decided.append(args[-1].name)

    monkeypatch.setattr(verify, "PER_MEMBER", 3_000_000)  # some 10 documents a batch
    monkeypatch.setattr(verify, "_decide_batch", dying)
    with pytest.raises(Killed):
        go(tmp_path / "run", archives, "duplicates.memory=451MB")
    done, _ = go(tmp_path / "run", archives, "duplicates.memory=451MB")
    assert decided[2] == ""
    assert len({*decided}) == len(decided) > 3
    for part in done.parts:
        assert done.file("duplicates", part).read_bytes() == finished.file("duplicates", part).read_bytes()
    monkeypatch.setattr(verify, "PER_MEMBER", 30_000_000)
    with pytest.raises(UserError, match=r"duplicates.memory: a cluster of \d+ documents needs at least \d+MB"):
        go(tmp_path / "run", archives, "duplicates.memory=451MB", "duplicates.keep=shortest")


def test_a_killed_run_goes_on_with_another_budget(
    tmp_path: Path, finished: Run, archives: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = verify._decide_batch
    batches: list[Path] = []

    def dying(*args: Any) -> None:
        batches.append(args[-1])
        if len(batches) == 2:
            raise Killed
        original(*args)

    monkeypatch.setattr(verify, "PER_MEMBER", 3_000_000)
    monkeypatch.setattr(verify, "_decide_batch", dying)
    with pytest.raises(Killed):
        go(tmp_path / "run", archives, "duplicates.memory=451MB")
    done, _ = go(tmp_path / "run", archives, "duplicates.memory=470MB")
    for part in done.parts:
        assert done.file("duplicates", part).read_bytes() == finished.file("duplicates", part).read_bytes()


def test_batches_are_whole_clusters() -> None:
    sizes = np.array([3, 0, 0, 1, 2, 0, 9, 2, 0, 2], np.int32)  # under each root; 1 is no cluster
    assert verify.plan_batches(sizes, 5) == [(0, 6), (6, 7), (7, 10)]
    assert verify.plan_batches(sizes, 100) == [(0, 10)]
    assert verify.plan_batches(np.zeros(0, np.int32), 5) == [(0, 0)]


@pytest.mark.parametrize(
    ("rule", "similarity", "words"),
    [
        ("exact", None, ""),
        ("exact", 1.0, "similarity 1.000"),
        ("exact", 0.8543, "exact copy of another document, whose similarity with the kept one is 0.854"),
        ("minhash", 0.8543, "similarity 0.854"),
        ("minhash", None, ""),
    ],
)
def test_an_exact_copy_of_a_near_copy_is_told_as_what_it_is(rule: str, similarity: float | None, words: str) -> None:
    assert similarity_in_words(rule, similarity) == words
