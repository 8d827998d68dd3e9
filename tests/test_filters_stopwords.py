"""Stop words by language: what counts, what has no list, and what a rule on them says of a language without one."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config_file import load
from pipeline.core.progress import Quiet
from pipeline.errors import UserError
from pipeline.filters.families.stopwords import ATTACHED, LISTS
from pipeline.filters.signals import measure
from pipeline.run.run import Run
from pipeline.run.runner import run

Go = Callable[..., tuple[Run, list[str]]]


def test_words_of_the_documents_own_language() -> None:
    cases: list[tuple[str | None, str | None, float, float]] = [
        ("The dog of THE house", "en", 2, 3 / 5),
        ("The dog of the house", "de", 0, 0),
        ("Der Hund und das Haus", "de", 3, 3 / 5),
        ("derby undo dashing", "de", 0, 0),  # whole words only
        ("我的书是你的书", "zh", 3, 4 / 7),
        ("ที่นี่", "th", 1, 1 / 2),
        ("", "en", 0, math.nan),
        ("Der Hund", "xx", math.nan, math.nan),
        ("Der Hund", None, math.nan, math.nan),
        (None, "de", math.nan, math.nan),
    ]
    texts, labels = pa.array([case[0] for case in cases]), pa.array([case[1] for case in cases])
    found = measure(texts, ["stopwords_distinct", "stopwords_ratio"], labels)
    for name, place in (("stopwords_distinct", 2), ("stopwords_ratio", 3)):
        values = found[name].to_pylist()
        assert values[-1] is None
        assert values[:-1] == pytest.approx([case[place] for case in cases[:-1]], nan_ok=True)
    alone = measure(pa.array(["The dog of the house"]), ["stopwords_distinct"])
    assert alone["stopwords_distinct"].to_pylist() == [2]  # without labels texts are taken as English


def test_lists_are_of_single_words_in_lower_case() -> None:
    assert LISTS.keys() >= ATTACHED
    for label, text in LISTS.items():
        words = text.split()
        assert len(words) >= 12, label
        assert len(set(words)) == len(words), label
        assert text == text.lower(), label


def test_a_language_without_a_list_is_said(tmp_path: Path) -> None:
    english = "The river runs under the bridge and to the sea. That is what we have seen with our own eyes. "
    basque = "Ibaia zubiaren azpitik doa eta itsasora heltzen da. Hori da guk gure begiekin ikusi duguna. "
    breton = "Ar stêr a red dindan ar pont hag a ya betek ar mor. Setu ar pezh hon eus gwelet gant hon daoulagad. "
    rows = [{"id": str(place), "text": text * 3} for place, text in enumerate((english, basque, breton))]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = tmp_path / "c.toml"
    config.write_text(
        f'[input]\npaths = ["{tmp_path}/in.jsonl"]\n[edit]\nphrases = ["zzz"]\n'
        "[quality]\nstopwords_distinct = { min = 2 }\n[edited]\nstopwords_ratio = { min = 0.01 }\n"
    )
    done = run(tmp_path / "run", load(config), workers=1, engine="local", until="quality", reporter=Quiet())
    assert pq.read_table(tmp_path / "run" / "ledger" / "language")["language"].to_pylist() == ["en", "eu", "br"]
    dropped = pq.read_table(tmp_path / "run" / "ledger" / "quality.decide")["dropped"].to_pylist()
    assert dropped == [[], [], ["stopwords_distinct.language", "edited.stopwords_ratio.language"]]
    assert Counter(done.config.families) == {"stopwords": 1}
    refused = r"quality.stopwords_distinct.languages: no list for "
    with pytest.raises(UserError, match=refused + "'br'; known: "):
        load(config, ['quality.stopwords_distinct.languages=["en", "br"]'])
    with pytest.raises(UserError, match=refused + r"'eng' \(did you mean en\?\); known: en, "):
        load(config, ['quality.stopwords_distinct.languages=["de", "eng"]'])
    only = load(config, ['quality.stopwords_distinct.languages=["en"]', 'edited.stopwords_ratio.languages=["en"]'])
    run(tmp_path / "run", only, workers=1, engine="local", until="quality", reporter=Quiet())
    dropped = pq.read_table(tmp_path / "run" / "ledger" / "quality.decide")["dropped"].to_pylist()
    assert dropped == [[], [], []]
