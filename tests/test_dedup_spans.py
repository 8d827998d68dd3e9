"""Duplicates within texts in whole runs: what is cut, why, what is left, and who goes for having too little."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import app as main
from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.report.contamination import contamination
from pipeline.report.stats import stats
from pipeline.report.why import FailedRule, why
from pipeline.run import runner
from pipeline.run.run import Run
from pipeline.stages.duplicates import spans

CONFIG = """
input.paths = {paths}
input.part_bytes = "100kB"  # the archives do not share a part
until = "clean"
extract.extractor = "resiliparse"
extract.main_content = false
duplicates.keep = "first"
"""
MENU = "<p>Start, products, prices and contact</p>"


def passage(start: int, count: int) -> str:
    letters = str.maketrans("0123456789", "abcdefghij")  # digits are all one to the lines' normal form
    return " ".join(f"word{n}".translate(letters) for n in range(start, start + count))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory, make_archive: Any) -> list[Path]:
    """Pages of one site with a menu, two that quote the same 60 words, one that is all menu, and an exact copy."""
    folder = tmp_path_factory.mktemp("archives")
    own = [f"<p>{passage(1000 * n, 40)}</p>" for n in range(1, 9)]
    quoted = passage(50_000, 60)
    pages = [
        ("http://a.example/1", MENU + own[0], "200"),
        ("http://a.example/2", MENU + own[1] + f"<p>as one said: {quoted} and so on</p>", "200"),
        ("http://a.example/3", own[2], "200"),
        ("http://a.example/4", f"<p>ÿes, ünd: {quoted}</p>" + own[3] + MENU.upper().replace("P>", "p>"), "200"),
        ("http://a.example/menu", MENU, "200"),
        ("http://a.example/copy", own[2], "200"),
    ]
    return [make_archive(folder / f"{n}.warc.gz", pages[n * 3 : n * 3 + 3]) for n in range(2)]


def go(root: Path, paths: list[Path], *sets: str, workers: int = 1) -> tuple[Run, Quiet]:
    root.parent.mkdir(parents=True, exist_ok=True)
    file = root.parent / f"{root.name}.toml"
    file.write_text(CONFIG.format(paths=[str(path) for path in paths]))
    reporter = Quiet()
    config = load(file, list(sets))
    return runner.run(root, config, workers=workers, engine="local", until="clean", reporter=reporter), reporter


def clean(done: Run) -> dict[str, str]:
    """The text of each page that is left."""
    rows = [row for part in done.parts for row in pq.read_table(done.file("clean", part)).to_pylist()]
    return {row["url"].rpartition("/")[2]: row["text"] for row in rows}


def reasons(done: Run) -> dict[str, list[str]]:
    """Why each page goes."""
    found: dict[str, list[str]] = {}
    for part in done.parts:
        urls = pq.read_table(done.file("extract", part), columns=["url"])["url"].to_pylist()
        dropped = pq.read_table(done.file("duplicates", part), columns=["dropped"])["dropped"].to_pylist()
        found |= {url.rpartition("/")[2]: why for url, why in zip(urls, dropped, strict=True) if why}
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, archives: list[Path]) -> Run:
    """The run without any of it."""
    done, reporter = go(tmp_path_factory.mktemp("plain") / "run", archives)
    assert reporter.steps[-3:] == ["duplicates.documents", "duplicates", "clean"]
    return done


def test_off_is_absent(plain: Run) -> None:
    assert reasons(plain) == {"copy": ["exact"]}
    assert clean(plain)["menu"] == "Start, products, prices and contact"


def test_lines_that_occur_again_go_and_the_first_stays(tmp_path: Path, plain: Run, archives: list[Path]) -> None:
    shutil.copytree(plain.root, tmp_path / "run")
    done, reporter = go(tmp_path / "run", archives, "duplicates.lines={}")
    assert reporter.steps == ["duplicates.lines", "duplicates", "clean"]  # the rest is as it was
    before, left = clean(plain), clean(done)
    assert reasons(done) == {"copy": ["exact"], "menu": ["lines"]}
    assert left["1"] == before["1"]
    seen: Counter[str] = Counter()
    for page in ("1", "2", "3", "4"):
        lines = before[page].split("\n")
        expected = [line for line in lines if not (line.strip() and seen[line.lower().strip()])]
        seen.update(line.lower().strip() for line in lines)
        assert left[page] == "\n".join(expected).rstrip("\n") or left[page] == "\n".join(expected)
    assert "START" not in left["4"]
    [document] = why(done, "http://a.example/menu")
    assert [(cut.rule, cut.text) for cut in document.cuts] == [
        ("duplicates.lines", "Start, products, prices and contact")
    ]
    assert document.stages[-1].dropped == [
        FailedRule(rule="duplicates.lines", value=None, bound="too little is left: min_words = 1")
    ]


def test_c4s_code_keeps_a_line_in_one_page_and_asks_for_sentences_after(
    tmp_path: Path, plain: Run, archives: list[Path]
) -> None:
    shutil.copytree(plain.root, tmp_path / "run")
    rule = "duplicates.lines={normalize = false, lower = true}"
    done, _ = go(tmp_path / "run", archives, rule)
    assert reasons(done) == {"copy": ["exact"], "menu": ["lines"]}  # no word is left
    assert [page for page, text in clean(done).items() if "products" in text.lower()] == ["1"]
    done, _ = go(tmp_path / "run", archives, rule, "duplicates.min_sentences=1")  # they have none, and 3 had none cut
    assert reasons(done) == {"copy": ["exact"], "menu": ["lines"], "2": ["lines"], "4": ["lines"]}
    assert why(done, "http://a.example/2")[0].stages[-1].dropped == [
        FailedRule(
            rule="duplicates.lines",
            value=None,
            bound="too little is left: min_words = 1 or min_sentences = 1",
        )
    ]


def test_llama_3s_lines_go_in_every_bucket_of_their_own(tmp_path: Path, plain: Run, archives: list[Path]) -> None:
    shutil.copytree(plain.root, tmp_path / "run")
    rule = "duplicates.lines={{max_count = {}, keep = 'none', normalize = false, bucket = {}}}"
    menu = "Start, products"
    for most, bucket, with_menu in (
        (1, 100, set()),
        (2, 100, set()),  # three pages have the menu as it is
        (3, 100, {"1", "2", "menu"}),
        (1, 3, {"menu"}),  # of pages 1 to 3 two have it; of 4 and the menu, one
        (1, 1, {"1", "2", "menu"}),
    ):
        done, _ = go(tmp_path / "run", archives, rule.format(most, bucket))
        assert {page for page, text in clean(done).items() if menu in text} == with_menu, (most, bucket)
        assert reasons(done) == {"copy": ["exact"]} | ({} if "menu" in with_menu else {"menu": ["lines"]})


def test_passages_that_stand_elsewhere_go(tmp_path: Path, plain: Run, archives: list[Path]) -> None:
    shutil.copytree(plain.root, tmp_path / "run")
    before = clean(plain)
    done, _ = go(tmp_path / "run", archives, "duplicates.substrings={}", "duplicates.min_words=44")
    left = clean(done)
    assert left["1"] == before["1"]
    assert left["2"] == before["2"]
    assert "wordfaaaa" not in left["4"]
    assert left["4"].startswith("ÿes, ünd\n")  # ": " stands before both
    assert "wordeaaa wordeaab" in left["4"]
    assert reasons(done) == {"copy": ["exact"]}  # 46 words are left of page 4; page 3 has 40 and nothing was cut
    done, _ = go(tmp_path / "run", archives, "duplicates.substrings={}", "duplicates.min_words=48")
    assert reasons(done) == {"copy": ["exact"], "4": ["substrings"]}
    done, _ = go(tmp_path / "run", archives, "duplicates.substrings.min_tokens=62", "duplicates.min_words=48")
    assert clean(done) == before
    done, _ = go(tmp_path / "run", archives, "duplicates.substrings.keep=none")
    assert all("wordfaaaa" not in text for text in clean(done).values())


def test_ngrams_seen_before_go(tmp_path: Path, plain: Run, archives: list[Path]) -> None:
    shutil.copytree(plain.root, tmp_path / "run")
    sets = ["duplicates.ngrams={size = 5, min_tokens = 5}"]
    done, _ = go(tmp_path / "run", archives, *sets)
    assert reasons(done) == {"copy": ["exact"], "menu": ["ngrams"]}
    assert "products" not in clean(done)["2"]
    assert "wordfaaaa" not in clean(done)["4"]
    assert "START" in clean(done)["4"]  # case counts here
    paragraphs, _ = go(tmp_path / "run", archives, *sets, "duplicates.ngrams.remove=document")
    assert clean(paragraphs) == {page: text for page, text in clean(plain).items() if page != "menu"}


def test_all_families_together_with_two_workers(
    tmp_path: Path, archives: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["duplicates.lines={}", "duplicates.substrings={}", "duplicates.ngrams={size = 5}", "duplicates.min_words=5"]
    one, _ = go(tmp_path / "one", archives, *sets)
    two, _ = go(tmp_path / "two", archives, *sets, workers=2)
    for part in one.parts:
        for step in ("duplicates", "clean"):
            assert one.file(step, part).read_bytes() == two.file(step, part).read_bytes()
    assert reasons(one) == {"copy": ["exact"], "menu": ["lines", "ngrams"]}
    main(["why", str(one.root), "http://a.example/4"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "cuts: 3 places, each with the step that cuts it" in shown
    assert "duplicates.substrings" in shown
    total: Counter[str] = Counter()
    for page in ("1", "2", "3", "4", "menu"):
        for span in why(one, f"http://a.example/{page}")[0].cuts:
            total[span.rule] += len(span.text.encode())
    assert {name: cut.bytes for name, cut in stats(one).cuts.items()} == total
    main(["stats", str(one.root)], standalone_mode=False)
    assert (
        f"duplicates.substrings cuts {total['duplicates.substrings']:,} bytes in 1 place of" in capsys.readouterr().out
    )
    main(["duplicates", str(one.root), "--sample", "9"], standalone_mode=False)
    assert capsys.readouterr().out.count("similarity 1.000") == 1  # what is cut to nothing went for nobody


def test_too_small_a_filter_says_what_is_needed(
    tmp_path: Path, archives: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "table_memory", lambda options: 50)
    with pytest.raises(UserError, match=r"duplicates.memory: a filter of \d+ n-grams at 0.01 needs 350MB"):
        go(tmp_path / "run", archives, "duplicates.ngrams={size = 2}")


def test_an_unknown_key_of_a_family_comes_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"duplicates.lines.max_cuont: unknown key \(did you mean max_count\?\); known: max_count, keep"
    ):
        go(tmp_path / "run", [tmp_path], "duplicates.lines.max_cuont=2")


SAID = ("The mill stood by the river for two hundred years.", "Nobody lived there after the flood.", "Then came Ann!")


def page(name: str, *sentences: str) -> dict[str, str]:
    """A page with words of its own, so that no two are copies."""
    own = " ".join(f"{name}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    return {"id": name, "text": " ".join([*sentences, own + "."])}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of pages that say the same three sentences, or nearly."""
    one, two, three = SAID
    pages = [
        page("first", one, two, three),
        page("two", one, two, "But then.", three),  # two in a row are no span of three
        page("sign", one, two, three.replace("!", "?")),
        page("case", "A heading\n" + one.upper() + "\n", two + "\n", three + "\nAnother heading\n"),
        page("again", "Well.", one, two, three, "So.", one, two, three),
    ]
    folder = tmp_path_factory.mktemp("spoken")
    files = [folder / "a.jsonl", folder / "b.jsonl"]
    files[0].write_text("".join(json.dumps(row) + "\n" for row in pages[:2]))
    files[1].write_text("".join(json.dumps(row) + "\n" for row in pages[2:]))
    return files


def spoken_of(done: Run) -> dict[str, str]:
    """What is left of each page before its own words."""
    rows = [row for part in done.parts for row in pq.read_table(done.file("clean", part)).to_pylist()]
    return {row["id"]: row["text"].partition(row["id"] + "a")[0] for row in rows}


def test_spans_of_three_sentences_that_occur_again_go(tmp_path: Path, spoken: list[Path]) -> None:
    rule = "duplicates.sentences={span = 3}"
    done, reporter = go(tmp_path / "run", spoken, rule, "duplicates.min_sentences=2")
    assert reporter.steps[-3:] == ["duplicates.sentences", "duplicates", "clean"]
    one, two, three = SAID
    left = {
        "first": f"{one} {two} {three} ",
        "two": f"{one} {two} But then. {three} ",
        "sign": f"{one} {two} Then came Ann? ",
        "again": "Well. So. ",
    }
    assert spoken_of(done) == left
    [document] = why(done, "case")  # of it one sentence is left
    assert [(cut.rule, cut.text) for cut in document.cuts] == [
        ("duplicates.sentences", f"{one.upper()}\n {two}\n {three}\n")
    ]
    assert document.stages[-1].dropped == [
        FailedRule(
            rule="duplicates.sentences",
            value=None,
            bound="too little is left: min_words = 1 or min_sentences = 2",
        )
    ]
    again, _ = go(tmp_path / "two", spoken, rule, "duplicates.min_sentences=2", workers=2)
    for part in done.parts:
        for step in ("duplicates", "clean"):
            assert done.file(step, part).read_bytes() == again.file(step, part).read_bytes()
    done, _ = go(tmp_path / "run", spoken, rule)
    assert spoken_of(done) == left | {"case": "A heading\nAnother heading\n "}
    done, _ = go(tmp_path / "run", spoken, "duplicates.sentences={span = 4}")
    assert len(spoken_of(done)["again"]) > len(left["again"]) + 2 * sum(map(len, SAID))
    done, _ = go(tmp_path / "run", spoken, "duplicates.sentences={max_count = 3}")
    assert spoken_of(done)["again"] == f"Well. {one} {two} {three} So. "
    done, _ = go(tmp_path / "run", spoken, "duplicates.sentences={keep = 'none'}")
    assert spoken_of(done)["first"] == ""


def test_evaluation_texts_are_cut_out_of_the_documents_that_hold_them(tmp_path: Path) -> None:
    item = passage(70_000, 16)
    pages = [
        {"id": "long", "text": f"{passage(0, 100)} {item} {passage(200, 100)}"},
        {"id": "other", "text": f"{passage(1000, 100)} {item} {passage(1200, 100)}"},
        {"id": "short", "text": f"{passage(2000, 5)} {passage(70_000, 13)} {passage(2200, 5)}"},
        {"id": "free", "text": f"{passage(3000, 50)} {passage(70_000, 12)} {passage(3200, 50)}"},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pages))
    (tmp_path / "eval.jsonl").write_text(json.dumps({"id": "q1", "text": item}))
    sets = [f"decontaminate.against=['{tmp_path}/eval.jsonl']", "decontaminate.action=cut"]
    done, _ = go(tmp_path / "run", [tmp_path / "in.jsonl"], *sets)
    rows = {row["id"]: row for part in done.parts for row in pq.read_table(done.file("clean", part)).to_pylist()}
    assert rows.keys() == {"long", "other", "free"}
    assert rows["free"]["text"] == pages[3]["text"]
    assert rows["long"]["contaminated_by"] == [{"item": "eval.jsonl#q1", "share": 1.0}]
    before, _, after = pages[0]["text"].partition(item)
    head, tail = before[:-200], after[200:]
    assert before[-200] != " " != after[199]  # so both windows end within words
    assert rows["long"]["text"] == f"{head.rpartition(' ')[0]} {tail.partition(' ')[2]}"
    [document] = why(done, "short")
    assert document.stages[-1].dropped == [
        FailedRule(
            rule="duplicates.contamination",
            value=None,
            bound="too little is left: min_words = 1; a document in more than 10 pieces is dropped, and so are pieces of fewer than 200 characters",
        )
    ]
    assert stats(done).cuts["decontaminate.cut"].documents == 3
    [match] = contamination(done).matches
    assert {holder.id: (holder.kept, holder.cut) for holder in match.documents} == {
        "long": (True, True),
        "other": (True, True),
        "short": (False, True),
    }
    done, reporter = go(tmp_path / "run", [tmp_path / "in.jsonl"], *sets, "decontaminate.max_documents=2")
    assert reporter.steps == ["decontaminate.cut", "duplicates", "clean"]
    rows = {row["id"]: row for part in done.parts for row in pq.read_table(done.file("clean", part)).to_pylist()}
    assert rows["short"]["text"] == pages[2]["text"]  # three have its n-gram; two, the others
    assert {holder.id for holder in contamination(done).matches[0].documents if not holder.cut} == {"short"}
    assert len(rows["long"]["text"]) < len(pages[0]["text"])
    done, _ = go(tmp_path / "run", [tmp_path / "in.jsonl"], *sets, "decontaminate.max_documents=1")
    assert len(pq.read_table(done.root / "clean")) == 4
    assert stats(done).cuts["decontaminate.cut"].documents == 0
    with pytest.raises(UserError, match=r"decontaminate.threshold: not with action = .cut."):
        go(tmp_path / "run", [tmp_path], *sets, "decontaminate.threshold=0.5")
