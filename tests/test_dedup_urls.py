"""Pages of one URL: which URLs are one, and that one page stays, whatever the parts and workers."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config_file import load
from pipeline.core.ledger import read
from pipeline.core.progress import Quiet
from pipeline.filters.url import normalize, page_key
from pipeline.report.stats import stats
from pipeline.report.why import FailedRule, why
from pipeline.run.run import Run
from pipeline.run.runner import run


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://User@EXAMPLE.com:80/A", "http://User@example.com/A"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com:?q", "http://example.com/?q"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://[2001:DB8::1]/x", "http://[2001:db8::1]/x"),
        ("http://a.example/x#part", "http://a.example/x"),
        ("http://a.example/x#", "http://a.example/x"),
        (" http://a.example/%7euser/%c3%a9%2f ", "http://a.example/~user/%C3%A9%2F"),
        ("http://a.example/a/./b/../c", "http://a.example/a/c"),
        ("http://a.example/../..", "http://a.example/"),
        ("http://a.example/b/..", "http://a.example/"),
        ("http://a.example/b/.", "http://a.example/b/"),
        ("http://a.example/.hidden", "http://a.example/.hidden"),
        ("http://a.example/?B=1&a=2", "http://a.example/?B=1&a=2"),
        ("urn:x:Y", "urn:x:Y"),
        ("no url", "no url"),
        ("", ""),
    ],
)
def test_normal_forms(url: str, normal: str) -> None:
    assert normalize(url) == normal
    assert normalize(normal) == normal
    assert page_key(url) == page_key(normal)


def test_what_only_mostly_means_the_same_stays_apart() -> None:
    urls = ["http://a.example/x", "https://a.example/x", "http://www.a.example/x", "http://a.example/x/"]
    urls += ["http://a.example/X", "http://a.example/x?", "http://a.example/x?a&b", "http://a.example/x?b&a"]
    assert len({page_key(url) for url in urls}) == len(urls)


DOCUMENTS: list[list[dict[str, Any]]] = [
    [
        {"id": "a0", "url": "http://a.example/", "date": "2026-01-01", "text": "One page of some words."},
        {"id": "a1", "url": "http://b.example/", "date": "2026-01-02", "text": ""},  # fails: takes nobody's place
        {"id": "a2", "url": None, "date": "2026-01-01", "text": "No URL at all."},
        {"id": "a3", "url": "HTTP://A.example:80#x", "date": "2026-01-03", "text": "The same page, later."},
        {"id": "a4", "url": "http://c.example/", "date": None, "text": "A page without a date."},
    ],
    [
        {"id": "b0", "url": "http://a.example", "date": "2026-01-03", "text": "The same page, as late."},
        {"id": "b1", "url": "http://b.example/", "date": "2026-01-01", "text": "The other page."},
        {"id": "b2", "url": None, "date": "2026-01-01", "text": "No URL either."},
        {"id": "b3", "url": "http://c.example/", "date": "2020-01-01", "text": "The page with a date."},
    ],
]  # fmt: skip


def ran(folder: Path, name: str, sets: list[str], workers: int = 1) -> Run:
    for number, documents in enumerate(DOCUMENTS):
        lines = "".join(json.dumps(document) + "\n" for document in documents)
        (folder / f"{number}.jsonl").write_text(lines)
    config = folder / "c.toml"
    config.write_text(f'[input]\npaths = ["{folder}/0.jsonl", "{folder}/1.jsonl"]\n')
    return run(folder / name, load(config, sets), workers=workers, engine="local", until="language", reporter=Quiet())


def dropped(done: Run, step: str) -> dict[str, tuple[list[str] | None, str | None]]:
    found: dict[str, tuple[list[str] | None, str | None]] = {}
    for part in done.parts:
        ids = read(done.file("extract", part), ["id"])["id"].to_pylist()
        table = read(done.file(step, part), ["dropped", "kept"] if step == "extract.urls" else ["dropped"])
        kept = table["kept"].to_pylist() if step == "extract.urls" else [None] * len(table)
        found |= dict(zip(ids, zip(table["dropped"].to_pylist(), kept, strict=True), strict=True))
    return found


@pytest.mark.parametrize(
    ("policy", "goes"),
    [
        ("first", {"a3": "a0", "b0": "a0", "b3": "a4"}),
        ("latest", {"a0": "a3", "b0": "a3", "a4": "b3"}),  # of two as late the smaller id; a date comes before none
    ],
)
def test_one_page_of_a_url_stays(tmp_path: Path, policy: str, goes: dict[str, str]) -> None:
    done = ran(tmp_path, "run", [f"url.duplicates={policy}"])
    found = dropped(done, "extract.urls")
    assert {name: kept for name, (rules, kept) in found.items() if rules == ["url_duplicate"]} == goes
    assert {name: kept for name, (_, kept) in found.items() if kept} == goes
    assert found["a1"] == (["empty_text"], None)
    assert sum(rules == [] for rules, _ in found.values()) == 9 - 1 - 3
    after = dropped(done, "language.decide")
    assert all((after[name][0] is None) == bool(rules) for name, (rules, _) in found.items())
    stage = stats(done).stages[0]
    assert (stage.entered, stage.kept, stage.rules["url_duplicate"].failed) == (9, 5, 3)
    name, kept = next(iter(goes.items()))
    [document] = why(done, name)
    assert document.stages[0].dropped == [
        FailedRule(rule="extract.url_duplicate", value=kept, bound=f"duplicates = {policy}")
    ]


def test_workers_parts_and_memory_change_nothing(tmp_path: Path) -> None:
    digests = set()
    for name, workers, size in (("one", 1, "256MB"), ("two", 2, "50kB"), ("cut", 1, "150B")):
        (tmp_path / name).mkdir()
        done = ran(tmp_path / name, "run", ["url.duplicates=latest", f"input.part_bytes={size}"], workers)
        digests.add(repr(sorted(dropped(done, "extract.urls").items())))
    assert len(digests) == 1


def test_without_it_there_is_no_such_step(tmp_path: Path) -> None:
    done = ran(tmp_path, "run", [])
    assert not (done.root / "ledger" / "extract.urls").exists()
    assert ("extract.urls", None) not in done.keys
    assert stats(done).stages[0].kept == 8
