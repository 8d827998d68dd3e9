"""Real documents of several languages to compare filters on: the sample pages by our extractor, and the texts beside them."""

import gzip
import json
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.extract import html_to_text

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def documents(cache: Path, *, main_content: bool = True) -> list[str]:
    """Texts, each once: web-sample's pages (all languages), reference texts in passages, sentences of many languages in blocks.

    Extracting takes a minute; `cache` keeps the result.
    """
    place = cache / ("main.jsonl" if main_content else "whole.jsonl")
    if place.is_file():
        return [json.loads(line) for line in place.read_text(encoding="utf-8").split("\n")[:-1]]
    texts: dict[str, None] = {}
    for archive in sorted((DATA / "web-sample").glob("sample-0[0-6].warc.gz")):
        with archive.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                text = html_to_text(record.reader.read(), extractor="resiliparse", main_content=main_content)
                if text.strip():
                    texts[text] = None
    for file in sorted((DATA / "reference").glob("*.txt.gz")):
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        for start in range(0, min(len(lines), 4000), 40):
            passage = "\n".join(lines[start : start + 40]).strip()
            if passage:
                texts[passage] = None
    blocks: dict[str, list[str]] = {}
    for line in (DATA / "langid-dev.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n"):
        row = json.loads(line)
        blocks.setdefault(row["lang"], []).append(row["text"])
    for sentences in blocks.values():
        for start in range(0, len(sentences), 15):
            texts["\n".join(sentences[start : start + 15])] = None
    cache.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    return list(texts)
