"""A page in no wanted language goes before it is extracted, and only then does the language enter the extract's key."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config
from pipeline.config_file import load
from pipeline.core.ledger import Part, Piece
from pipeline.errors import UserError
from pipeline.extract.inputs.archive import Record
from pipeline.extract.page import Row, rows
from pipeline.filters.language import LanguageIdentifier
from pipeline.run.run import Run
from pipeline.stages.prescreen import Prescreen, language_sample, prescreen

ENGLISH = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall of the town. "
GERMAN = "Der Hafen war am Morgen still, und die Boote lagen Seite an Seite an der alten steinernen Mauer der Stadt. "
MENU = "".join(f"<li><a href=/{n}>Startseite Nachrichten Wetter</a></li>" for n in range(40))


def config(**extract: Any) -> Config:
    return Config.model_validate({"input": {"paths": ["x"]}, "language": {"keep": ["en"]}, "extract": extract})


def extracted(html: str, least: float = 0.01) -> Row:
    record = Record("response", http_status=200, content_type="text/html; charset=utf-8", body=html.encode())
    asked = config(extractor="resiliparse", prescreen=least)
    (row,) = rows([record], asked.extract, archive="x", prescreen=prescreen(Prescreen.of(asked), asked.extract))
    return row


@pytest.mark.parametrize(
    ("html", "dropped"),
    [
        (f"<p>{ENGLISH * 5}", []),
        (f"<p>{GERMAN * 5}", ["prescreen_language"]),
        (f"<ul>{MENU}</ul><p>{ENGLISH * 3}", []),  # German menus around an English text
        (f"<ul>{MENU}</ul><p>{GERMAN * 3}", ["prescreen_language"]),
        (f"<p>{ENGLISH * 5}<p>{GERMAN * 5}", []),
        ("<p>", ["empty_text"]),  # nothing to judge by: left to the extractor
    ],
)
def test_pages_far_from_the_wanted_languages(html: str, dropped: list[str]) -> None:
    row = extracted(html)
    assert row.dropped == dropped
    if dropped == ["prescreen_language"]:
        assert row.detail is not None
        assert row.detail.startswith("plain text looks like de (")


def test_the_least_probability_is_the_bound() -> None:
    identifier = LanguageIdentifier()
    text = f"{ENGLISH}\n{GERMAN * 2}"
    every = identifier.probable(text, 0.0)
    assert list(every.values()) == sorted(every.values(), reverse=True)
    assert sum(every.values()) == pytest.approx(1, abs=0.01)
    share = every["en"]
    assert 0 < share < 0.5
    assert "en" in identifier.probable(text, share * 0.99)
    assert "en" not in identifier.probable(text, share * 1.01)
    assert identifier.probable(" \n", 0.0) == {}
    html = f"<p>{ENGLISH}<p>{GERMAN * 2}"
    assert extracted(html, share * 0.9).dropped == []
    assert extracted(html, min(share * 1.1, 0.99)).dropped == ["prescreen_language"]


def test_a_sample_comes_from_long_lines() -> None:
    menu = "home\nnews\n" * 100
    assert language_sample(menu + f"{'x' * 60}\n{'y' * 59}\n{'x' * 140}\n") == f"{'x' * 60} {'x' * 140}"
    assert language_sample(f"short\n{'x' * 199}") == f"short\n{'x' * 199}"  # too little of it: everything
    long = "a" * 2000 + "b" * 2000 + "c" * 2000 + "d" * 2000
    assert language_sample(long) == " ".join(letter * 250 for letter in "abcd")


def test_the_language_enters_the_key_only_when_it_is_asked_for(tmp_path: Path) -> None:
    def key(keep: list[str], least: float | None) -> str:
        extract = {} if least is None else {"prescreen": least}
        values = Config.model_validate({"input": {"paths": ["x"]}, "language": {"keep": keep}, "extract": extract})
        return Run(tmp_path, values, (Part(0, (Piece("x", 1, "0"),)),)).keys["extract", 0]

    assert key(["en"], None) == key(["de"], None)
    assert len({key(["en"], None), key(["en"], 0.01), key(["de"], 0.01), key(["en"], 0.02)}) == 4


def test_it_needs_languages_to_keep(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[input]\npaths = ["x"]\n[extract]\nprescreen = 0.01\n')
    with pytest.raises(UserError, match=r"extract\.prescreen: needs language\.keep"):
        load(path)
    assert load(path, ['language.keep=["en"]']).extract.prescreen == 0.01
