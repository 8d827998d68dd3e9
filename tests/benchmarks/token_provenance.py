"""Random tokens back to the web: `python tests/benchmarks/token_provenance.py RUN [COUNT] [SEED]`.

For each, `why --token` names a byte range of an archive; the range alone is cut out, read and extracted again with the run's
options, and the token's bytes must stand at the place that was said in the text that comes out.
"""

import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.extract.inputs.archive import read_records
from pipeline.extract.page import rows
from pipeline.report.tokens import find_token
from pipeline.report.why import raw_record, why_token
from pipeline.run.run import open_run
from pipeline.tokenize import shards


def main() -> None:
    run = open_run(Path(sys.argv[1]))
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    draw = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    splits = shards.open(run.root / "shards").splits
    options = run.config.extract
    sizes = [split.tokens for split in splits.values()]
    right = ends = 0
    documents = set()
    for _ in range(count):
        [name] = draw.choices(list(splits), sizes)
        place = find_token(run, name, draw.randrange(splits[name].tokens))
        document = why_token(run, place)
        with tempfile.TemporaryDirectory() as folder:
            cut = Path(folder) / Path(document.record.file).name
            cut.write_bytes(raw_record(document))
            records = list(read_records(cut, max_record_bytes=options.max_record_bytes))
            texts = [row.text for row in rows(records, options, archive=cut) if row.text]
        text = texts[0].encode() if len(texts) == 1 else b""
        token = text[place.text_start : place.text_end].decode("utf-8", "backslashreplace")
        is_end = place.text_start == place.text_end
        same = text == (document.record.text or "").encode() and document.record.id == place.document.id
        right += same and (place.text_start == len(text) if is_end else token == place.bytes)
        ends += is_end
        documents.add(place.document.id)
    print(
        f"{right} of {count} tokens (of {sum(sizes):,}; {len(documents)} documents; {ends} of them end a document) "
        "stand in the text extracted again from the byte range named"
    )
    sys.exit(right != count)


if __name__ == "__main__":
    main()
