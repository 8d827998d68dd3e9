"""URL rules, each just inside and just outside."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.filters.url import UrlRules, curated, domains_and_pages, hash_entries, read_blocklists, read_words
from pipeline.run.run import Run
from pipeline.run.runner import run


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A directory in UT1's layout."""
    for name, text in {
        "games/domains": "play.example\nWWW.Upper.example\r\n\n# comment.example\n  spaced.example \n10.0.0.7\n",
        "games/urls": "host.example/bad\nhttps://www.scheme.example/Deep/Path/\nasked.example/?page=1\n",
        "games/usage": "black\nusage.example",
        "more/domains": "deep.sub.example\nplay.example",
    }.items():
        (tmp_path / "ut1" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ut1" / name).write_bytes(text.encode())
    return tmp_path / "ut1"


@pytest.mark.parametrize(
    ("url", "blocked"),
    [
        ("http://play.example/", True),
        ("https://user:pw@WWW.Play.Example.:8080/x?y#z", True),
        ("http://a.b.play.example/", True),  # what lies under a domain
        ("http://display.example/", False),
        ("http://play.example.org/", False),
        ("http://example/", False),
        ("http://upper.example", True),
        ("http://spaced.example", True),
        ("http://comment.example", False),
        ("http://usage.example", False),  # no list of UT1's
        ("http://10.0.0.7/x", True),
        ("http://0.0.7/x", False),
        ("http://deep.sub.example/", True),
        ("http://sub.example/", False),
        ("http://host.example/bad", True),
        ("http://host.example/bad/more?x", True),
        ("http://host.example/badly", False),
        ("http://sub.host.example/bad", False),
        ("http://host.example/", False),
        ("http://scheme.example/deep/path", True),
        ("http://scheme.example/deep", False),
        ("http://asked.example/?page=1", True),
        ("http://asked.example/?page=2", False),
        ("urn:no:host", False),
        ("http://", False),
        ("", False),
    ],
)
def test_blocklists(lists: Path, url: str, blocked: bool) -> None:
    rules = UrlRules(blocked=read_blocklists([lists]))
    assert rules.reasons(url) == ["url_blocklist"] * blocked


def test_hashes_are_sorted_and_each_once(lists: Path) -> None:
    hashes = read_blocklists([lists, lists / "more" / "domains"])
    assert len(hashes) == 8
    assert np.all(hashes[1:] > hashes[:-1])
    assert (
        hash_entries(b"A.example/\nhttp://www.a.example\na.example").tolist()
        == [int(hash_entries(b"a.example")[0])] * 3
    )
    assert len(np.unique(hash_entries("\n".join(f"{n}.example" for n in range(100_000)).encode()))) == 100_000


def test_words_and_curated_sites() -> None:
    rules = UrlRules(
        hard=frozenset({"casino"}),
        soft=frozenset({"free", "win", "bonus"}),
        substrings=("xyzzy",),
        curated=curated(["www.Encyclopedia.example", "code.example"]),
    )
    for url, reasons in [
        ("http://a.example/casino-guide", ["url_hard_word"]),
        ("http://a.example/casinos", []),  # a hard word is a whole word
        ("http://CASINO.example/", ["url_hard_word"]),
        ("http://a.example/free_win", ["url_soft_words"]),
        ("http://a.example/free/free", []),  # one and the same
        ("http://a.example/free", []),
        ("http://a.example/axyzzyb", ["url_substring"]),
        ("http://de.encyclopedia.example/wiki", ["url_curated"]),
        ("http://encyclopedia.example.org/", []),
        (
            "http://code.example/xyzzy/casino?win&bonus",
            ["url_hard_word", "url_soft_words", "url_substring", "url_curated"],
        ),
    ]:
        assert rules.reasons(url) == reasons, url
    assert UrlRules().reasons("http://casino.example/") == []


def test_domains_and_pages() -> None:
    assert domains_and_pages("http://www.a.b.example/x//y/?q") == (
        ["a.b.example", "b.example"],
        ["a.b.example/x", "a.b.example/x/", "a.b.example/x//y", "a.b.example/x//y/?q"],
    )
    assert domains_and_pages("http://[::1]:80/x") == (["[::1]"], ["[::1]/x"])


def test_a_long_url_has_few_domains_and_pages() -> None:
    """A URL of n labels or segments would otherwise take n**2 bytes."""
    host, path = "a." * 126 + "ab", "b/" * 2046 + "b"
    domains, pages = domains_and_pages(f"http://{host}/{path}")
    assert (len(host), len(domains)) == (254, 126)
    assert domains[-1] == "a.ab"
    assert len(pages) == len([page for page in pages if len(page) <= 4096]) + 1
    assert pages[-1] == f"{host}/{path}"
    short = path[: 4096 - len(host) - 1]
    assert domains_and_pages(f"http://{host}/{short}")[1][-1] == f"{host}/{short}".rstrip("/")
    domains, pages = domains_and_pages("http://" + "a." * 50_000 + "ab/" + "b/" * 50_000 + "?c")
    assert len(domains) == 127
    assert {domain.removesuffix("ab").strip("a.") for domain in domains} == {""}
    assert max(map(len, domains[1:])) <= 255
    assert sum(map(len, pages)) < 10_000_000


def test_bad_lists_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"url\.blocklists: .*none: no such file"):
        read_blocklists([tmp_path / "none"])
    with pytest.raises(UserError, match="no file named domains or urls"):
        read_blocklists([tmp_path])
    with pytest.raises(UserError, match=r"words\.txt: cannot be read"):
        read_words(tmp_path / "words.txt")


def go(root: Path, config_file: Path, *sets: str) -> tuple[Run, list[dict[str, Any]]]:
    done = run(root, load(config_file, list(sets)), workers=1, engine="local", until="extract", reporter=Quiet())
    return done, [row for part in done.parts for row in pq.read_table(done.file("extract", part)).to_pylist()]


def test_a_run_drops_by_url_before_it_extracts(tmp_path: Path, config_file: Path, lists: Path) -> None:
    (lists / "games" / "domains").write_text("b.example\n")
    (tmp_path / "hard.txt").write_text("# ours\nLost\n")
    sets = [f'url.blocklists=["{lists}"]', f"url.hard_words={tmp_path / 'hard.txt'}"]
    done, found = go(tmp_path / "run", config_file, *sets)
    reasons = {row["url"].removeprefix("http://"): row["dropped"] for row in found}
    assert reasons["b.example/copy"] == ["url_blocklist"]
    assert reasons["b.example/empty"] == ["url_blocklist"]  # its body was not looked at
    assert reasons["a.example/lost"] == ["http_status", "url_hard_word"]
    assert reasons["a.example/3"] == []
    assert all(row["text"] is None for row in found if row["dropped"])
    # another list is another key, the same list under another name is not
    (lists / "games" / "domains").rename(lists / "domains")
    again, _ = go(tmp_path / "run", config_file, *sets)
    assert again.keys == done.keys
    (lists / "domains").write_text("c.example\n")
    changed, found = go(tmp_path / "run", config_file, *sets)
    assert changed.keys["extract", 0] != done.keys["extract", 0]
    assert not any("url_blocklist" in row["dropped"] for row in found)
    with pytest.raises(UserError, match=r"url\.blocklists: nowhere: no such file or directory"):
        go(tmp_path / "run", config_file, 'url.blocklists=["nowhere"]')
