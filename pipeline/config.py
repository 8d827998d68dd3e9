"""The configuration of a run as typed, frozen tables: every key, its default, what it means, where its number is from.

`pipeline.config_file` reads it from a TOML file and checks it whole before any work starts. A feature is off when it is absent.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.errors import UserError
from pipeline.filters.plugins import Plugins, load, locate
from pipeline.filters.quantiles import Relative
from pipeline.filters.rules import Rule
from pipeline.train.config import TrainConfig

if TYPE_CHECKING:
    from pipeline.extract.inputs.documents import Columns, Dataset

RecordType = Literal[
    "warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"
]  # WARC/1.1, section 6


class Section(BaseModel):
    """A table of the file: every key known, nothing changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CommonCrawl(Section):
    """Files of Common Crawl, read from where it publishes them."""

    crawl: str
    """Such as CC-MAIN-2025-26; commoncrawl.org lists them."""
    files: int = Field(default=1, ge=1)
    """The first N files: a crawl has up to 100,000 of about 1 GB, each a random sample of it."""
    kind: Literal["warc", "wet"] = "warc"
    base: str = "https://data.commoncrawl.org"


class Input(Section):
    """Where the archives lie."""

    paths: tuple[str, ...] = ()
    """Files, directories, globs or URLs (http, s3, ...): .warc, .arc, .wet (.gz), .jsonl (.gz, .zst), .parquet."""
    common_crawl: CommonCrawl | None = None
    """Instead: files of a crawl."""
    dataset: str | None = None
    """Instead: what `datasets` can load by that name or path, read as a stream."""
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    text: str = "text"
    """The column (or key of a line) that is a document's text, in .jsonl, .parquet and datasets."""
    html: str | None = None
    """The column that is its HTML, from which the text is extracted then."""
    id: str | None = "id"
    """Columns that are used where they are there."""
    url: str | None = "url"
    date: str | None = "date"
    title: str | None = "title"
    part_bytes: str = "256MB"
    """A larger file is cut into parts of about this size, at the starts of records; the result is the same."""

    @property
    def columns(self) -> "Columns":
        """Which column is what."""
        from pipeline.extract.inputs.documents import Columns

        return Columns(text=self.text, html=self.html, id=self.id, url=self.url, date=self.date, title=self.title)

    @property
    def wanted(self) -> "Dataset | None":
        """The dataset."""
        from pipeline.extract.inputs.documents import Dataset

        if self.dataset is None:
            return None
        return Dataset(name=self.dataset, subset=self.subset, split=self.split, revision=self.revision)

    @property
    def named(self) -> str:
        """The input in words."""
        return ", ".join(self.paths) or self.dataset or (self.common_crawl.crawl if self.common_crawl else "nothing")

    @property
    def part_size(self) -> int:
        """`part_bytes` in bytes."""
        return parse_bytes(self.part_bytes, "input.part_bytes")


class Url(Section):
    """Pages dropped for their URL: by rules before they are extracted (RefinedWeb, appendix G.1), repeated ones after."""

    blocklists: tuple[str, ...] = ()
    """Files of domains and URLs, a line each, or directories in UT1's layout."""
    hard_words: str | None = None
    """A file of words, a line each: one of them in a URL is enough."""
    soft_words: str | None = None
    """A file of words of which two different ones must meet."""
    substrings: str | None = None
    """A file of strings that may not occur at all, within words neither."""
    curated: tuple[str, ...] = ()
    """Domains of sources that are added in a better form (RefinedWeb: Wikipedia, arXiv, GitHub, ...)."""
    duplicates: Literal["first", "latest"] | None = None
    """Of the pages with text that have one URL (as RFC 3986 normalizes it), keep this one; without it all."""

    @property
    def rules(self) -> bool:
        """Whether there is a rule to apply before extraction."""
        return self.model_copy(update={"duplicates": None}) != Url()


class Extract(Section):
    """HTML to text."""

    extractor: str = "native"
    """native, trafilatura or resiliparse; tests/benchmarks/extractors.py compares them."""
    main_content: bool = True
    """False keeps navigation and boilerplate too."""
    format: Literal["text", "markdown"] = "text"
    """Markdown marks headings, quotes, code, tables and emphasis; not with resiliparse."""
    comments: bool = False
    """True keeps readers' comments below the main content."""
    captions: bool | None = None
    """True keeps captions beside kept text, False leaves all out, and without it they are judged like all text; native's."""
    links: bool = False
    """True gives links their addresses, in Markdown, absolute where the page has a URL."""
    tables: bool = True
    """False leaves the rows of tables out; not with resiliparse."""
    max_record_bytes: int = Field(default=10_000_000, ge=1_000)
    """A record, or its decoded body, over this is dropped as too_large."""
    record_types: tuple[RecordType, ...] = ("response", "resource", "conversion")
    """Those of an archive that are read; "conversion" is the text of a WET file."""
    max_depth: int = Field(default=500, ge=10)
    """A page whose elements nest deeper is dropped as too_deep."""
    prescreen: float | None = Field(default=None, gt=0, lt=1)
    """Drop a page before extraction where its plain text has a lower probability of every language in language.keep."""


class Language(Section):
    """Language identification (fastText)."""

    model: str | None = None
    """A fastText model file; without it lid.176.ftz (Joulin et al. 2016), which an installed wheel carries."""
    keep: tuple[str, ...] | None = None
    """Language codes to keep; without it every language is kept."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """FineWeb and RefinedWeb keep pages at 0.65 and over."""
    characters: int = Field(default=2000, ge=1)
    """How much of the text is looked at; the first 2,000 characters decide as the whole text does (99.9 %)."""


class Range(Section):
    """What a rule keeps: `min` and `max` are kept themselves, `above` and `below` are not."""

    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None
    top: float | None = None
    """Instead, or too: this share of the run's documents, those with the highest values (filters/quantiles.py)."""
    bottom: float | None = None
    by: Literal["language"] | None = None
    """Shares of each language's documents."""
    pareto: float | None = None
    """Keep by chance, with the odds of GPT-3's sampling: 9."""
    seed: int | None = None
    """Of that chance; without it 0."""
    languages: tuple[str, ...] | None = None
    """The languages the rule is for; without it, all."""

    def fixed(self, signal: str) -> Rule | None:
        """The rule of fixed bounds, if there are any, or nothing else."""
        bounds = self.model_dump(include={"min", "max", "above", "below"}, exclude_none=True)
        if not bounds and self.relative(signal):
            return None
        return Rule(signal=signal, languages=self.languages, **bounds)

    def relative(self, signal: str) -> Relative | None:
        """The rule of shares and chance, if there is one."""
        asked = self.model_dump(include={"top", "bottom", "by", "pareto", "seed"}, exclude_none=True)
        return Relative(signal=signal, languages=self.languages, **asked) if asked else None


class Score(Section):
    """A signal that comes from a model file: [scores.NAME], and NAME in [quality]. Of the text as edits leave it."""

    kind: Literal["fasttext", "perplexity", "divergence", "words", "sklearn"]
    """fasttext: the probability of a label. perplexity: of a model of n-grams. divergence: of the
    distribution of its words from that of a model of order 1 (Llama 3). words: how many listed ones there are.
    sklearn: the probability of a class, of a model that skops has saved."""
    model: str
    """The model file, or the list, or a directory of lists by language."""
    label: str | None = None
    """Of a classifier of others; one of ours says it itself."""
    spelling: Literal["lines", "lower", "words"] | None = None
    """How its texts were spelt (filters/kernels/normalize.py), where the model does not say so itself."""
    share: bool = False
    """Of listed words: divided by the words of the text."""


CUT_OPTIONS = ("window", "min_characters", "max_pieces", "max_documents")
"""Of Decontaminate, for action = "cut"."""


class Decontaminate(Section):
    """Documents that hold texts of an evaluation (filters/decontaminate/index.py)."""

    against: tuple[str, ...] = ()
    """Files or globs of .jsonl(.gz, .zst), an item a line; without any, nothing is looked for."""
    fields: tuple[str, ...] = Field(default=("text",), min_length=1)
    """The keys whose texts, joined, are an item's."""
    id: str = "id"
    """The key of an item's name; without it in a line the line's number."""
    ngram: int = Field(default=13, ge=1)
    """Words; GPT-3's 13 (Brown et al. 2020, appendix C), PaLM's and Llama 3's 8."""
    threshold: float | None = Field(default=None, gt=0, le=1)
    """The share of an item's n-grams from which on a document goes (PaLM: 0.7); without it one is enough (GPT-3)."""
    action: Literal["drop", "flag", "cut"] = "drop"
    """flag: keep them, and only say so. cut: take the n-grams out, as GPT-3 does (filters/decontaminate/cuts.py)."""
    window: int = Field(default=200, ge=0)
    """Characters cut on either side of an n-gram."""
    min_characters: int = Field(default=200, ge=1)
    """Pieces shorter than this go."""
    max_pieces: int = Field(default=10, ge=1)
    """A document that falls into more goes whole."""
    max_documents: int = Field(default=10, ge=1)
    """An n-gram that more documents hold is let be."""


class Measure(Section):
    """What is measured beside the signals that always are."""

    families: tuple[str, ...] = ()
    """Families of signals to measure though no rule names one: other implementations' numbers, for analysis."""


class Edit(Section):
    """What goes out of a text, line by line, before the rules of [edited] judge what is left (pipeline.filters.edits)."""

    citations: bool = False
    """Wikipedia's [1], [edit] and [citation needed] (C4's code)."""
    blank_lines: bool = False
    """White space around lines, and blank lines (C4's code)."""
    max_word_characters: int | None = Field(default=None, ge=1)
    """Lines with a longer word (C4's code: 1,000)."""
    end_marks: tuple[str, ...] = ()
    """Lines that end with none of these characters, or with "..." (C4: . ! ? and the quotation mark)."""
    min_line_words: int | None = Field(default=None, ge=1)
    """Lines of fewer words (C4: 5; RefinedWeb: 2)."""
    phrases: tuple[str, ...] = ()
    """Lines that hold one of these, in any case (C4: "javascript"; its code: cookie and privacy notices too)."""
    max_uppercase_ratio: float | None = Field(default=None, ge=0, le=1)
    """Lines of whose characters a larger share is in upper case (RefinedWeb; 0.5 in DCLM's code)."""
    numeric_lines: bool = False
    """Lines of digits alone (RefinedWeb)."""
    counter_lines: bool = False
    """Lines such as "3 likes" (RefinedWeb)."""
    boilerplate: bool = False
    """"sign-in", "read more..." and "items in cart" in short lines (RefinedWeb)."""
    functions: tuple[str, ...] = ()
    """Edits that plugins define, by name, in the order in which they are applied, after the others."""

    def line_rules(self) -> dict[str, Any]:
        """The options of `pipeline.filters.edits.LineRules`."""
        return self.model_dump(exclude={"functions"})


class Lines(Section):
    """Lines that repeat across the kept documents (pipeline.filters.lines)."""

    most: int = Field(default=1, ge=1)
    """A line may occur at most N times (CCNet: 1; Llama 3: 6)."""
    keep: Literal["first", "none"] = "first"
    """Of a line that occurs more often: its first `most` occurrences stay (CCNet), or none (Llama 3)."""
    normalize: bool = True
    """Case, digits, punctuation and white space at the ends count for nothing, as in CCNet."""
    lower: bool = False
    """Without `normalize`: the case of ASCII letters and white space at the ends count for nothing (C4's code)."""
    bucket: int | None = Field(default=None, ge=1)
    """Count among N documents, then anew (Llama 3: 30,000,000); without it, among all."""


class Sentences(Section):
    """Spans of sentences that repeat across the kept documents (pipeline.filters.dedup.sentences)."""

    span: int = Field(default=3, ge=1)
    """Sentences one after another (C4: 3)."""
    most: int = Field(default=1, ge=1)
    """A span may occur at most N times (C4: 1)."""
    keep: Literal["first", "none"] = "first"
    """Of a span that occurs more often: its first `most` occurrences stay (C4), or none."""


class Ngrams(Section):
    """Paragraphs and documents whose n-grams have been seen, as DCLM's bff (pipeline.filters.dedup.bloom)."""

    size: int = Field(default=13, ge=1)
    """Tokens an n-gram."""
    shortest: int | None = Field(default=None, ge=1)
    """Paragraphs of fewer tokens stay; of `size` tokens without it, as for DCLM-Baseline."""
    threshold: float = Field(default=0.8, ge=0, lt=1)
    """What has more of its n-grams seen goes."""
    false_positives: float = Field(default=0.01, gt=0, lt=1)
    """How often the Bloom filter may take an n-gram for seen that is not."""
    remove: Literal["paragraph", "document", "old-both"] = "old-both"


class Substrings(Section):
    """Passages that stand in the corpus more than once (Lee et al. 2021; RefinedWeb; pipeline.filters.dedup.substrings)."""

    tokens: int = Field(default=50, ge=2)
    """The shortest passage; words and signs are tokens."""
    keep: Literal["first", "none"] = "first"
    """The first occurrence stays, or none."""


class Mask(Section):
    """Personal data that is masked in the clean text (pipeline.filters.pii)."""

    kinds: tuple[Literal["email", "phone", "ip"], ...] = ()
    email: str = "|||EMAIL_ADDRESS|||"
    """What stands in its place (dolma's)."""
    phone: str = "|||PHONE_NUMBER|||"
    ip: str = "|||IP_ADDRESS|||"
    public_ips_only: bool = False
    """Leave addresses of private networks alone (FineWeb)."""

    @property
    def placeholders(self) -> dict[str, str]:
        """What stands for each kind."""
        return {"email": self.email, "phone": self.phone, "ip": self.ip}


class Duplicates(Section):
    """Exact copies, then MinHash-LSH among what remains (defaults: FineWeb, section 3.4: 112 hashes, 14 x 8, 5-grams)."""

    unit: Literal["words", "characters"] = "words"
    ngram: int = Field(default=5, ge=1)
    """Words, or characters, a shingle."""
    bands: int = Field(default=14, ge=1, le=1000)
    rows: int = Field(default=8, ge=1, le=1000)
    seed: int = 1
    verify: Literal["exact", "signature", "none"] = "exact"
    """How candidates are compared: by the true Jaccard similarity of their shingles, by the estimate of their signatures
    (stored whole then: 8 bytes a hash), or not at all, which joins whatever hangs together by chains."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """No document goes but for a kept one that is so similar."""
    keep: tuple[str, ...] = ("longest",)
    """Which document of a cluster stays: a preference, or several that break one another's ties (dedup/keep_policy.py)."""
    against: tuple[str, ...] = ()
    """Directories of earlier runs: what is a copy of a document they kept goes too."""
    memory: str = "2GB"
    """What each step of the stage may use in the parent process, libraries included."""
    lines: Lines | None = None
    sentences: Sentences | None = None
    ngrams: Ngrams | None = None
    substrings: Substrings | None = None
    min_words: int = Field(default=1, ge=1)
    """What is left with fewer words after the cuts of these four goes."""
    min_sentences: int | None = Field(default=None, ge=1)
    """And with fewer sentences (C4's code: 3)."""

    @property
    def families(self) -> tuple[str, ...]:
        """Those of lines, sentences, ngrams and substrings that are on."""
        return tuple(name for name in ("lines", "sentences", "ngrams", "substrings") if getattr(self, name) is not None)

    @field_validator("keep", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return parse_bytes(self.memory)


class Tokenizer(Section):
    """Byte-level BPE, trained on the clean text or given."""

    file: str | None = None
    """A tokenizer.json, or tiktoken's ranks (.tiktoken) with their `pattern`, to encode with instead of training one."""
    vocab_size: int = Field(default=8192, ge=257)
    pattern: Literal["gpt2", "cl100k"] = "gpt2"
    memory: str = "2GB"
    """What training and measuring may use, as one process; beyond it the rarest pre-tokens are not learned from."""

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return parse_bytes(self.memory, "tokenizer.memory")


class Shards(Section):
    """Token arrays on disk."""

    tokens: int = Field(default=10_000_000, ge=1)
    """Tokens a shard; the last of a split is shorter."""
    validation: float = Field(default=0.02, ge=0, lt=1)
    """The share of duplicate clusters held out."""
    seed: int = 0
    memory: str = "1GB"
    """What merging the parts may use, as one process; it changes nothing in what is written."""

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes."""
        return parse_bytes(self.memory, "shards.memory")


class Config(Section):
    """A whole run."""

    input: Input
    out: str | None = None
    """The run directory; without it runs/ and the name of the config file."""
    until: str = "train"
    """The stage to stop after: python -m pipeline run --help names them."""
    plugins: tuple[str, ...] = ()
    """Python files that define further signals and edits (pipeline.filters.plugins)."""
    url: Url = Url()
    extract: Extract = Extract()
    language: Language = Language()
    measure: Measure = Measure()
    quality: dict[str, Range] = {}
    edit: Edit = Edit()
    edited: dict[str, Range] = {}
    scores: dict[str, Score] = {}
    decontaminate: Decontaminate = Decontaminate()
    duplicates: Duplicates = Duplicates()
    mask: Mask = Mask()
    tokenizer: Tokenizer = Tokenizer()
    shards: Shards = Shards()
    train: TrainConfig = TrainConfig()

    @property
    def plugged(self) -> Plugins:
        """What the plugins define, loaded once in a process."""
        return load(locate(self.plugins))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The quality rules on the text as it was extracted, in the order of the file."""
        return tuple(rule for name, bounds in self.quality.items() if (rule := bounds.fixed(name)))

    @property
    def families(self) -> tuple[str, ...]:
        """The families of signals that rules, preferences or `measure` name: what is measured beside the common ones."""
        preferred = [text.partition(" ")[2] for text in self.duplicates.keep if text.startswith(("highest", "lowest"))]
        named = {*self.quality, *self.edited, *preferred} - {*self.scores}
        if not named:
            return tuple(sorted(set(self.measure.families)))
        from pipeline.filters.signals import families_of  # brings Numba, which only a config with rules needs

        return tuple(sorted({*families_of(named), *self.measure.families}))

    @property
    def edits(self) -> bool:
        """Whether anything is edited."""
        return self.edit != Edit()

    @property
    def edited_rules(self) -> tuple[Rule, ...]:
        """The rules on the signals of the edited text, named "edited.words"."""
        return tuple(rule for name, bounds in self.edited.items() if (rule := bounds.fixed(f"edited.{name}")))

    @property
    def contamination(self) -> Literal["drop", "flag", "cut"] | None:
        """What is done with documents that hold texts of an evaluation; None where none is looked for."""
        return self.decontaminate.action if self.decontaminate.against else None

    @property
    def cuts(self) -> tuple[str, ...]:
        """What is cut out of the texts that are left after the choice among copies, in the order of the steps."""
        return (*self.duplicates.families, *(("contamination",) if self.contamination == "cut" else ()))

    @property
    def relative_rules(self) -> tuple[Relative, ...]:
        """The rules of shares and chance, on signals of the text and of the edited one."""
        ranges = [*self.quality.items(), *((f"edited.{name}", bounds) for name, bounds in self.edited.items())]
        return tuple(rule for name, bounds in ranges if (rule := bounds.relative(name)))


def parse_bytes(text: str, key: str = "duplicates.memory") -> int:
    """Bytes in a size such as "2GB" or "500 MB" (powers of 1,000, or of 1,024 with an i: "2GiB")."""
    units = {"": 1, "b": 1}
    for power, letter in enumerate("kmgt", 1):
        units |= {f"{letter}b": 1000**power, f"{letter}ib": 1024**power}
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text.strip()[len(digits) :].strip().lower()
    try:
        return int(float(digits) * units[unit])
    except (KeyError, ValueError, OverflowError):
        raise UserError(f"{key}: {text!r} is not a size; write for example 2GB or 500MB") from None
