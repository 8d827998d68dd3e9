"""English texts to measure on: the sample web pages beside this checkout, or made-up ones where there are none."""

import random
from pathlib import Path

_ENGLISH = {"the", "of", "and", "to", "in", "a", "is", "for"}


def english_pages(*, main_content: bool = True) -> tuple[list[str], str]:
    """Texts of English pages, each once, and a line that says where they come from."""
    sample = Path(__file__).resolve().parents[3] / "shared" / "data" / "web-sample"
    if not sample.is_dir():
        return _generated(2000), "2,000 generated texts (no sample pages beside this checkout)"
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    texts: dict[str, None] = {}
    for archive in sorted(sample.glob("sample-0[0-6].warc.gz")):  # 07 holds the same kind of page, content-coded
        for record in ArchiveIterator(str(archive), record_types=WarcRecordType.response):
            body = record.reader.read()
            html = bytes_to_str(body, detect_encoding(body) or "utf-8")
            text = extract_plain_text(html, main_content=main_content, alt_texts=False)
            words = text.lower().split()
            # A tenth of running English is these eight words; no other language comes near.
            if len(words) >= 20 and sum(word in _ENGLISH for word in words) >= 0.1 * len(words):
                texts[text] = None
    kind = "main content" if main_content else "whole page"
    return list(texts), f"{len(texts):,} English pages of web-sample ({kind}, resiliparse)"


def repeat_to(texts: list[str], count: int) -> list[str]:
    """The texts over and over until there are `count`."""
    return (texts * (count // len(texts) + 1))[:count]


def _generated(count: int) -> list[str]:
    rng = random.Random(0)
    letters = "etaoinshrdlucmfwygpbvk"
    words = ["".join(rng.choices(letters, weights=range(22, 0, -1), k=rng.randint(1, 10))) for _ in range(20_000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]

    def sentence() -> str:
        return " ".join(rng.choices(words, weights, k=rng.randint(4, 30))).capitalize() + rng.choice(".....?!:")

    def line() -> str:
        return " ".join(sentence() for _ in range(rng.randint(1, 6)))

    return ["\n".join(line() for _ in range(rng.randint(1, 40))) for _ in range(count)]
