"""Real text to measure tokenizers on: the shared samples beside this checkout."""

import gzip
import json
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def real_texts() -> list[str]:
    """The reference texts, sentences in 448 languages, the visible text of the web sample, and Python's library sources."""
    found = [gzip.decompress(path.read_bytes()).decode() for path in sorted((DATA / "reference").glob("*.txt.gz"))]
    with (DATA / "langid-dev.jsonl").open(encoding="utf-8") as file:
        found += [json.loads(line)["text"] for line in file]
    for path in sorted((DATA / "web-sample").glob("sample-0[0-6].warc.gz")):
        with path.open("rb") as archive:
            for record in ArchiveIterator(archive, record_types=WarcRecordType.response, parse_http=True):
                found.append(extract_plain_text(record.reader.read().decode("utf-8", "replace")))
    library = Path(sysconfig.get_path("stdlib"))
    sources = [path for path in sorted(library.rglob("*.py")) if "site-packages" not in path.parts]
    found += [path.read_text("utf-8", "replace") for path in sources]
    return [text for text in found if text]


def enlarged(texts: list[str], size: int) -> Iterator[str]:
    """The texts again and again up to `size` bytes, in each further copy one word in twenty spelt with two letters swapped.

    So new pre-tokens keep coming, faster than in real text of that size, and a trainer cannot live off its first copy.
    """
    draw = random.Random(0)
    copy = 0
    while True:
        for text in texts:
            changed = re.sub(r"\w{4,}", lambda match: _swapped(match.group(), draw), text) if copy else text
            yield changed
            size -= len(changed.encode())
            if size <= 0:
                return
        copy += 1


def _swapped(word: str, draw: random.Random) -> str:
    place = int(draw.random() * 20 * (len(word) - 1))  # a twentieth of the places is in the word
    return word if place >= len(word) - 1 else word[:place] + word[place + 1] + word[place] + word[place + 2 :]
