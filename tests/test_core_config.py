import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.config import Config, parse_bytes
from pipeline.config_file import RENAMED, load, merge
from pipeline.errors import UserError
from pipeline.filters import c4, fineweb, gopher
from pipeline.filters.rules import Rule

MINIMAL = '[input]\npaths = ["a.warc.gz"]\n'


def write(folder: Path, text: str, name: str = "c.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_defaults_need_only_an_input(tmp_path: Path) -> None:
    config = load(write(tmp_path, MINIMAL))
    assert config.input.paths == ("a.warc.gz",)
    assert config.rules == ()
    assert config.duplicates.memory == 2_000_000_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.toml: input: missing"),
        (
            "[input]\npaths = []",
            "c.toml: input: give exactly one of paths (files, directories, globs, URLs), dataset and common_crawl",
        ),
        ('[input]\npath = ["x"]', "c.toml: input.path: unknown key (did you mean paths?)"),
        (MINIMAL + "[inptu]\n", "c.toml: inptu: unknown key (did you mean input?); known: input, "),
        (
            MINIMAL + "[language]\nkep = []",
            "c.toml: language.kep: unknown key (did you mean keep?); known: model, keep, min_score",
        ),
        (
            MINIMAL + "[language]\nmin_score = 2",
            "c.toml: language.min_score: input should be less than or equal to 1, not 2",
        ),
        (
            MINIMAL + '[extract]\nextractor = "x"',
            "c.toml: extract.extractor: 'x' is not one of ",
        ),
        (
            MINIMAL + '[mask]\nkinds = ["emial"]',
            "c.toml: mask.kinds.0: input should be 'email', 'phone' or 'ip', not 'emial' (did you mean email?)",
        ),
        (
            MINIMAL + '[measure]\nfamilies = ["dloma"]',
            "c.toml: measure.families: unknown family 'dloma' (did you mean dolma?); known: ",
        ),
        (MINIMAL + "[duplicates]\nlines = { lower = true }", "duplicates.lines.lower: needs normalize = false"),
        (MINIMAL + "[decontaminate]\nwindow = 201", 'decontaminate.window: needs action = "cut"'),
        (MINIMAL + "[duplicates]\nmin_sentences = 3", "duplicates.min_sentences: needs a table that makes cuts"),
        (
            MINIMAL + '[extract]\nrecord_types = ["respons"]',
            "'conversion' or 'continuation', not 'respons' (did you mean response?)",
        ),
        (
            MINIMAL + '[extract]\nextractor = "resiliparse"\nformat = "markdown"',
            'c.toml: extract.extractor: "resiliparse" has no format = "markdown"; "native" has',
        ),
        (MINIMAL + "[train]\nsteps = 0", "c.toml: train: steps = 0 must be above 0"),
        (MINIMAL + "[train]\nstep = 1", "c.toml: train.step: unknown key (did you mean steps?); known: steps, "),
        ("train = 3\n" + MINIMAL, "c.toml: train: must be a table, not 3; its keys: layers, width"),
        (
            MINIMAL + "[quality]\nwrods = { min = 5 }",
            "c.toml: quality.wrods: unknown signal (did you mean words?); known: ",
        ),
        (
            MINIMAL + "[quality]\nwords = { mni = 5 }",
            "c.toml: quality.words.mni: unknown key (did you mean min?); known: min, max, above",
        ),
        (MINIMAL + "[quality]\nwords = { min = 5, max = 2 }", "c.toml: quality.words: the range from 5 to 2 is empty"),
        (MINIMAL + "[quality]\nwords = {}", "c.toml: quality.words: a bound is needed: min, max, above, below"),
        (
            MINIMAL + '[duplicates]\nmemory = "2 parsecs"',
            "duplicates.memory: '2 parsecs' is not a size; write for example 2GB",
        ),
        (MINIMAL + '[duplicates]\nkeep = "best"', "c.toml: duplicates.keep: unknown policy 'best' "),
        ("[input\n", "c.toml: not valid TOML: "),
        (MINIMAL + "base = 3", "c.toml: input.base: unknown key"),
        ("base = 3\n" + MINIMAL, "c.toml: base: must be the path of one config file"),
        ('base = "c.toml"\n' + MINIMAL, "c.toml: base: c.toml extends itself"),
        (
            'base = "none.toml"\n' + MINIMAL,
            "none.toml: no such file; python -m pipeline run quickstart is a good start",
        ),
        (
            'base = "cc.toml"\n' + MINIMAL,
            "cc.toml: no such file (did you mean c?); python -m pipeline run quickstart is a good start",
        ),
    ],
)
def test_a_mistake_is_one_line_with_the_accepted_names(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value).strip()


MUST_BE_A_TABLE = "must be a table, not {}; its keys: min, max, above, below, top, bottom, by, pareto, seed, languages"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('words = "off"', 'quality.words: ' + MUST_BE_A_TABLE.format("'off'") + "; words = false switches off what a base sets"),
        ('words = "None"', 'quality.words: ' + MUST_BE_A_TABLE.format("'None'") + "; words = false switches off what a base sets"),
        ("words = 0", 'quality.words: ' + MUST_BE_A_TABLE.format("0")),
        ("words = {}", "quality.words: an empty table changes nothing; words = false switches the rule off"),
        ("lines = false", "quality.lines: false switches off what a base sets, and no base sets lines"),
        ("lines = { max = false }", "quality.lines: a bound is needed: min, max, above, below, top, bottom, pareto; false switches off a base's rule"),
        ("lines = { max = true }", "quality.lines.max: a number is needed, not true"),
        ('words = { min = "off" }', "quality.words.min: input should be a valid number, unable to parse string as a number, "
         "not 'off'; min = false switches off what a base sets"),
    ],
)  # fmt: skip
def test_what_is_meant_to_switch_a_rule_off_is_answered_with_false(tmp_path: Path, rule: str, message: str) -> None:
    write(tmp_path, MINIMAL + "[quality]\nwords = { min = 50 }\n", "base.toml")
    path = write(tmp_path, f'base = "base.toml"\n[quality]\n{rule}\n')
    with pytest.raises(UserError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {message}"
    assert not load(write(tmp_path, 'base = "base.toml"\n[quality]\nwords = false\n')).rules


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("duplicates.threshold=false", "duplicates.threshold: false switches off what a base sets, and no base sets threshold"),
        ("duplicates.lines={max_count=true}", "duplicates.lines.max_count: a number is needed, not true"),
        ("train.steps=true", "train.steps: a number is needed, not true"),
    ],
)  # fmt: skip
def test_a_boolean_is_no_number(tmp_path: Path, setting: str, message: str) -> None:
    path = write(tmp_path, MINIMAL)
    with pytest.raises(UserError) as caught:
        load(path, [setting])
    assert str(caught.value) == f"--set: {message}"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("quality.wrods.min=3", "quality.wrods: unknown signal (did you mean words?); known: words, "),
        ("quality.qqq.min=3", "quality.qqq: unknown signal; known: "),
        ('duplicates.keep="highest wrods"', "unknown signal wrods (did you mean words?); known: words, "),
        ("train.stepz=3", "train.stepz: unknown key (did you mean steps?); known: steps, "),
        ("trian.steps=3", "trian: unknown key (did you mean train?); known: train, "),
        ("train=3", "train: must be a table, not 3; its keys: layers, "),
    ],
)
def test_of_many_known_names_a_message_has_the_nearest(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, MINIMAL), [setting])
    assert message in str(caught.value)
    names, _, all_in = str(caught.value).rpartition(": ")[2].partition(", …; ")
    assert names.count(", ") == 7
    assert re.fullmatch(r"docs/reference/(signals|config)\.md lists all", all_in)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("words = { top = 2 }", "c.toml: edited.words.top: a share between 0 and 1 is needed, not 2"),
        ("words = { min = 5, max = 2 }", "c.toml: edited.words: the range from 5 to 2 is empty"),
        ("wrods = { top = 0.5 }", "c.toml: edited.wrods: unknown signal (did you mean edited.words?); known: "),
        (
            'stopwords_distinct = { min = 2, languages = ["en", "br"] }',
            "c.toml: edited.stopwords_distinct.languages: no list ",
        ),
        (
            'stopwords_distinct = { top = 0.5, languages = ["en", "br"] }',
            "c.toml: edited.stopwords_distinct.languages: no list ",
        ),
    ],
)
def test_a_mistake_in_edited_names_a_key_that_there_is(tmp_path: Path, rules: str, message: str) -> None:
    file = write(tmp_path, MINIMAL + f'[edit]\nphrases = ["x"]\n[quality]\nwords = {{ min = 1 }}\n[edited]\n{rules}\n')
    with pytest.raises(UserError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import pipeline.config_file", ["numba", "numpy", "pyarrow", "torch"]),
        ("from pipeline.config_file import check; check({'input': {'paths': ['x']}}, 'c')", ["numba", "torch"]),
    ],
)
def test_a_config_loads_no_heavy_library(code: str, heavy: list[str]) -> None:
    code += f"; import sys; sys.exit(' '.join({{*{heavy}}} & {{*sys.modules}}))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_a_signal_is_named_by_its_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"c\.toml: quality\.words\.signal: unknown key"):
        load(write(tmp_path, MINIMAL + '[quality]\nwords = { min = 1, signal = "lines" }\n'))


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_key_is_answered_with_its_new_name(tmp_path: Path, old: str) -> None:
    key, new = old.replace("*", "mine"), RENAMED[old].partition(",")[0]
    score = '[scores.mine]\nkind = "perplexity"\nmodel = "m"\n' if key.startswith("scores") else ""
    with pytest.raises(UserError, match=rf"--set: {key}: is now called {new}\b"):
        load(write(tmp_path, MINIMAL + score), [f"{key}=3"])
    table, _, _ = key.rpartition(".")
    with pytest.raises(UserError, match=rf"{table}\.nothing: unknown key.*\b{new}\b"):
        load(tmp_path / "c.toml", [f"{table}.nothing=3"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing.toml: no such file"):
        load(tmp_path / "nothing.toml")


def test_a_file_lies_over_its_base(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL + "[quality]\nwords = { min = 50, max = 100 }\nsentences = { min = 3 }\n", "base.toml")
    config = load(
        write(tmp_path, 'base = "base.toml"\n[quality]\nwords = { min = 60 }\nsentences = false\nlines = { min = 1 }\n')
    )
    assert [(rule.signal, rule.bounds()) for rule in config.rules] == [
        ("words", (("min", 60.0), ("max", 100.0))),
        ("lines", (("min", 1.0),)),
    ]


def test_false_takes_away_what_it_lies_on_and_switches_stay_switches(tmp_path: Path) -> None:
    write(
        tmp_path,
        MINIMAL + '[language]\nkeep = ["en"]\n[quality]\nlines = { above = 1, max = 9 }\nwords = { min = 1 }\n',
        "base.toml",
    )
    path = write(
        tmp_path,
        'base = "base.toml"\n[language]\nkeep = false\n[quality]\nlines = { above = false, min = 2 }\n[extract]\nmain_content = false\n',
    )
    config = load(path, ["quality.words=false"])
    assert config.language.keep is None
    assert config.extract.main_content is False
    assert [(rule.signal, rule.bounds()) for rule in config.rules] == [("lines", (("min", 2.0), ("max", 9.0)))]


@pytest.mark.parametrize(
    "recipe", sorted((Path(__file__).parents[1] / "configs" / "recipes").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_recipe_says_where_it_is_from_and_loads(recipe: Path) -> None:
    assert recipe.read_text().startswith("# ")
    config = load(recipe, ['input.paths=["x"]'])
    assert config.rules or config.scores or "[duplicates]" in recipe.read_text()


def test_recipes_hold_the_rules_that_the_filters_name() -> None:
    """The published numbers stand in two places, for those who run and those who call; they must not drift apart."""

    def bounds(rules: Iterable[Rule]) -> dict[str, object]:
        return {rule.measured: rule.bounds() for rule in rules}

    def recipe(name: str, *, edited: bool = False) -> dict[str, object]:
        place = Path(__file__).parents[1] / "configs" / "recipes" / f"{name}.toml"
        config = load(place, ['input.paths=["x"]'])
        return bounds((config.edited if edited else config.quality).values())

    published = bounds(gopher.GOPHER_QUALITY + gopher.GOPHER_REPETITION)
    assert recipe("gopher") == recipe("gopher-paper") == recipe("fineweb") == recipe("refinedweb") == published
    assert recipe("c4", edited=True) == bounds(c4.RULES)
    assert recipe("fineweb", edited=True) == bounds(c4.RULES) | bounds(fineweb.RULES)
    quickstart = bounds(load(Path(__file__).parents[1] / "configs" / "quickstart.toml").rules)
    assert quickstart == published | bounds(c4.RULES) | bounds(fineweb.RULES)


def test_set_reaches_every_key(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "[quality]\nwords = { min = 50 }\n")
    config = load(
        path,
        [
            "quality.words.min=100",
            "quality.lines.max=7",
            'input.paths=["x", "y"]',
            "extract.extractor=resiliparse",
            "train.steps=3",
            'language.keep=["no"]',
            "out=runs/x",
        ],
    )
    assert [(rule.signal, rule.bounds()) for rule in config.rules] == [
        ("words", (("min", 100.0),)),
        ("lines", (("max", 7.0),)),
    ]
    assert config.input.paths == ("x", "y")
    assert config.extract.extractor == "resiliparse"
    assert config.train.steps == 3
    assert config.language.keep == ("no",)  # Norwegian, which YAML would read as false
    assert config.out == "runs/x"


@pytest.mark.parametrize("setting", ["words", "=3", "a..b=3", "out.x=3"])
def test_a_bad_setting_is_named(tmp_path: Path, setting: str) -> None:
    with pytest.raises(UserError, match=r"--set "):
        load(write(tmp_path, 'out = "o"\n' + MINIMAL), [setting])


def test_the_config_in_a_run_directory_reads_back_as_itself(tmp_path: Path) -> None:
    config = load(Path(__file__).parents[1] / "configs" / "quickstart.toml")
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert len(config.rules) > 20


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("500mb", 5 * 10**8), ("12", 12), ("3 b", 3)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text, "size") == size


def test_merge_leaves_its_arguments_alone() -> None:
    below = {"a": {"b": 1, "c": [1]}, "d": 1}
    assert merge(below, {"a": {"c": [2]}, "d": {"e": 2}}) == {"a": {"b": 1, "c": [2]}, "d": {"e": 2}}
    assert below == {"a": {"b": 1, "c": [1]}, "d": 1}


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("input.paths=b.warc.gz", ("b.warc.gz",)),
        ("language.keep=en", ("en",)),
        ("language.keep='en'", ("en",)),
        ("language.keep=['en', 'de']", ("en", "de")),
        ("duplicates.keep=shortest", ("shortest",)),
        ("duplicates.against=runs/old", ("runs/old",)),
        ("decontaminate.fields=question", ("question",)),
        ("extract.record_types=response", ("response",)),
        ("mask.kinds=email", ("email",)),
        ("measure.families=dolma", ("dolma",)),
        ("url.blocklists=list.txt", ("list.txt",)),
        ("edit.phrases=lorem ipsum", ("lorem ipsum",)),
    ],
)
def test_one_string_stands_for_a_list_of_one(tmp_path: Path, setting: str, values: tuple[str, ...]) -> None:
    value: object = load(write(tmp_path, MINIMAL), [setting])
    for name in setting.partition("=")[0].split("."):
        value = getattr(value, name)
    assert value == values


def test_one_string_in_a_rule(tmp_path: Path) -> None:
    rule = load(write(tmp_path, MINIMAL + '[quality]\nstop_words = { min = 2, languages = "en" }')).quality[
        "stop_words"
    ]
    assert rule.languages == ("en",)
    with pytest.raises(UserError, match=r"language\.keep: .*, not 3"):
        load(write(tmp_path, MINIMAL), ["language.keep=3"])


def test_a_home_directory_in_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "[quality]\nwords = { min = 7 }\n", "below.toml")
    text = 'base = "~/below.toml"\nout = "~/run"\n[input]\npaths = ["~/a.warc", "b~/c.warc"]\n'
    config = load(write(tmp_path, text), ["url.hard_words=~/words.txt"])
    assert (config.out, config.url.hard_words) == (f"{tmp_path}/run", f"{tmp_path}/words.txt")
    assert config.input.paths == (f"{tmp_path}/a.warc", "b~/c.warc")
    assert config.quality["words"].limits() == load(tmp_path / "c.toml").quality["words"].limits()
    assert load(Path("~/c.toml")) == load(tmp_path / "c.toml")


def test_configs_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no checkout here
    (tmp_path / "gopher").mkdir()  # a folder of the name is no config
    assert load(Path("quickstart")).input.paths == ("runs/demo.warc.gz",)
    for name in ("fineweb", "gopher", "quickstart"):
        by_name = load(write(tmp_path, f'base = "{name}"\n' + MINIMAL))
        assert by_name == load(Path(name), ["input.paths=a.warc.gz"])
    write(tmp_path, MINIMAL, "fineweb")
    assert load(Path("fineweb")).rules == load(write(tmp_path, 'base = "fineweb"')).rules == ()


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (
            "finweb",
            "c.toml: base: finweb: no such recipe (did you mean fineweb?); known: common-crawl, ",
        ),
        ("fineweb.toml", "fineweb.toml: no such file; fineweb without .toml is the one that comes with this package"),
        ("recipes/fineweb", "recipes/fineweb: no such file; fineweb is the one that comes"),
        ("other.toml", "other.toml: no such file; python -m pipeline run quickstart is a good start"),
    ],
)
def test_a_base_that_is_not_there(tmp_path: Path, base: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load(write(tmp_path, f'base = "{base}"\n' + MINIMAL))
    assert message in str(error.value)


def test_two_inputs_say_how_to_drop_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset and common_crawl; paths = \[\] takes away those of the base"):
        load(write(tmp_path, MINIMAL), ["input.dataset=x"])
    assert load(write(tmp_path, MINIMAL), ["input.dataset=x", "input.paths=[]"]).input.paths == ()
