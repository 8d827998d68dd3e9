"""Our own extractor: which blocks are the main content, and the model that decides."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config
from pipeline.extract.native import MODEL_FILE, trees
from pipeline.extract.native.blocks import parse
from pipeline.extract.native.extract import shipped_model
from pipeline.extract.native.features import _O_HEADING, _O_SECTION, FEATURES, describe
from pipeline.extract.options import TextOptions
from pipeline.extract.pages.markup import extract_page
from pipeline.stages import extract as stage
from pipeline.stages.extract import EXTRACT

SENTENCE = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall."


def test_main_content_of_a_page() -> None:
    paragraphs = [f"{SENTENCE} {SENTENCE} Number {n}." for n in range(6)]
    page = (
        "<html><head><title>A &amp; B</title></head><body><ul class=menu><li><a href=/>Home</a><li><a href=/x>More</a></ul>"
        f"<div class=content><h1>The harbour</h1>{''.join(f'<p>{p}</p>' for p in paragraphs)}</div>"
        "<div class=footer><a href=/legal>Legal</a> Copyright by nobody</div></body></html>"
    )
    found = extract_page(page, TextOptions(extractor="native"))
    assert found.title == "A & B"
    assert found.text is not None
    assert found.text.split("\n")[-6:] == paragraphs
    assert "Home" not in found.text
    assert "Legal" not in found.text


@pytest.mark.parametrize("shape", [(50, 7), (1, 16), (15, 16), (16, 17), (17, 32), (33, 269)])
def test_trees_are_walked_as_written(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    forest = trees.Forest(
        rng.integers(0, shape[1], (40, 31)).astype(np.uint16),
        rng.random((40, 31), np.float32),
        rng.normal(0, 1, (40, 32)).astype(np.float32),
    )
    table = rng.random(shape, np.float32)
    table[0] = forest.threshold[0, 0]  # equal goes left

    def slow(row: np.ndarray, exits: bool) -> float:
        total = np.float32(0)
        for t in range(40):
            at = 0
            while at < 31:
                at = 2 * at + (2 if row[forest.feature[t, at]] > forest.threshold[t, at] else 1)
            total += forest.leaf[t, at - 31]
            if exits and t % 16 == 15 and abs(total) > 3.0:
                break
        return float(1 / (1 + np.exp(-np.float64(total))))

    for exits in (False, True):
        np.testing.assert_allclose(trees.score(table, forest, exits), [slow(row, exits) for row in table], rtol=1e-5)
    assert (trees.score(table, forest, False) != trees.score(table, forest, True)).any() or shape[0] == 1


def test_the_second_round_sees_the_verdicts_around() -> None:
    alone = np.array([0.9, 0.1, 0.8, 0.2], np.float32)
    around = np.zeros((4, 4), np.int32)
    around[2:, 0] = 3
    found = np.full((4, trees.CONTEXT + 2), 7, np.float32)
    trees.context(alone, np.full(4, 5, np.float32), around, found)
    assert trees.CONTEXT == 17 + 8
    assert list(found[1, :7]) == pytest.approx([0.1, 0, 0, 0.9, 0.8, 0.2, 0])
    assert found[0, 7:11] == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert found[1, 11:17] == pytest.approx([0.9, 9 / 20, 20, 10 / 20, 0, 0])
    assert found[3, 17:19] == pytest.approx([0.5, 0.5])
    assert (found[:, 25:] == 7).all()


def test_the_model_fits_the_features() -> None:
    model = shipped_model()
    assert model.alone.feature.max() < FEATURES
    assert model.together.feature.max() < FEATURES
    assert model.alone.feature[np.isfinite(model.alone.threshold)].min() >= trees.CONTEXT
    assert MODEL_FILE.stat().st_size < 300_000
    for forest in (model.alone, model.together):
        assert np.isfinite(forest.leaf).all()
        assert not np.isnan(forest.threshold).any()
    table, around = describe(parse(np.frombuffer(f"<p>{SENTENCE}".encode() * 5, np.uint8), 500, 100, False), b"")
    assert table.shape == (5, FEATURES)
    assert around.shape == (5, 4)
    assert np.isfinite(table).all()


def test_the_main_heading_is_the_one_like_the_title() -> None:
    html = b"<h1>Shop</h1><nav><h2>More of it</h2></nav><div><p>Early.</p><h3>Quiet harbours</h3><p>Late.</p></div>"
    page = parse(np.frombuffer(html, np.uint8), 500, 100, False)

    def heading(title: bytes) -> np.ndarray:
        return describe(page, title)[0][:, _O_HEADING:_O_SECTION]

    found = heading("QUIET harbours \N{EM DASH} by a shop".encode())
    assert list(found[:, 0]) == [-3, -2, -1, 0, 1]  # blocks
    assert list(found[:, 2]) == [-20, -16, -6, 0, 14]  # characters
    assert list(found[:, 3]) == [1, 2, 1, 0, 1]  # elements up to one that holds the heading
    assert list(found[:, 4]) == [2, 2, 1, 0, 1]  # and from there down to it
    assert list(found[:, 6]) == [5, 5, 3, 1, 3]  # blocks in it
    assert found[0, 7] == pytest.approx(2 * 8 / (8 + 18))
    assert found[0, 8] == pytest.approx(8 / 18)
    assert list(heading(b"Something else")[:, 0]) == [0, 1, 2, 3, 4]  # the first <h1>
    assert list(heading(b"")[:, 0]) == [0, 1, 2, 3, 4]
    alone = parse(np.frombuffer(b"<p>Words.<p>More.", np.uint8), 500, 100, False)
    assert (describe(alone, b"Nothing")[0][:, _O_HEADING : _O_HEADING + 7] == -1).all()


def test_a_section_goes_from_a_heading_to_the_next() -> None:
    html = f"<p>{SENTENCE}<h2>One</h2><p>{SENTENCE}<p><a href=/>Linked</a><h2>Two</h2><h3>Three</h3>".encode()
    found = describe(parse(np.frombuffer(html, np.uint8), 500, 100, False), b"")[0][:, _O_SECTION:]
    long = len(SENTENCE)
    part = [2, long + 9, 6 / (long + 9), 3, 1, 2]
    rows = np.array([[0, long, 0, 1, 1, 0], part, part, part, [2, 3, 0, 1, 0, 2], [3, 5, 0, 1, 0, 1]])
    np.testing.assert_allclose(found.astype(np.float64), rows, rtol=1e-6)


def test_a_page_without_anything_likely_keeps_nothing() -> None:
    assert trees.cut(np.array([0.1, 0.9], np.float32), 0.45) == 0.45
    assert trees.cut(np.array([0.1, 0.25], np.float32), 0.45) == pytest.approx(0.55 * 0.25)
    assert trees.cut(np.array([trees.NOTHING + 0.001], np.float32), 0.45) == pytest.approx(
        0.55 * (trees.NOTHING + 0.001)
    )
    assert trees.cut(np.array([trees.NOTHING - 0.001], np.float32), 0.45) == np.inf
    assert trees.cut(np.zeros(0, np.float32), 0.45) == np.inf


def test_a_model_is_saved_and_loaded_alike(tmp_path: Path) -> None:
    model = shipped_model()
    trees.save(tmp_path / "a.npz", model)
    again = trees.load(tmp_path / "a.npz")
    assert again.threshold == model.threshold
    for one, other in zip((*model.alone, *model.together), (*again.alone, *again.together), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_changed_model_extracts_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    native = Config.model_validate({"input": {"paths": ["x"]}, "extract": {"extractor": "native"}})
    before = EXTRACT.options(native, ())
    (tmp_path / "m.npz").write_bytes(b"other")
    monkeypatch.setattr(stage, "MODEL_FILE", tmp_path / "m.npz")
    assert EXTRACT.options(native, ()) != before
    other = Config.model_validate({"input": {"paths": ["x"]}, "extract": {"extractor": "resiliparse"}})
    assert EXTRACT.options(other, ()).model is None
