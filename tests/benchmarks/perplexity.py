"""Our models of n-grams against the `kenlm` package: the same ARPA files, the same lines, differences and speed.

    python -m venv /tmp/peer && /tmp/peer/bin/pip install kenlm
    python tests/benchmarks/perplexity.py --kenlm /tmp/peer/bin/python --reference 'reference/*.txt.gz' --texts RUN:raw

ARPA files: one trained here on the reference (order 5), the same pruned, and one made by hand that lacks suffixes, <unk> and
backoff weights. Times are CPU seconds of one core; kenlm's include its Python loop over lines, ours the normalizing.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.filters.kernels.normalize import normalize
from pipeline.filters.models.kneser_ney import Options, train
from pipeline.filters.models.perplexity import NgramModel, read_arpa
from pipeline.tools.text_sources import read_texts

PEER = """
import json, sys, time, kenlm
model = kenlm.Model(sys.argv[1])
lines = open(sys.argv[2], encoding="utf-8").read().split("\\n")
began = time.process_time()
scores = [model.score(line, bos=True, eos=True) for line in lines]
print(json.dumps({"seconds": time.process_time() - began, "scores": scores}))
"""
BY_HAND = """\\data\\
ngram 1=7
ngram 2=4
ngram 3=2

\\1-grams:
-99\t<s>\t-0.5
-0.7\t</s>
-1.3\tthe\t-0.25
-1.5e0\tof\t-0.125
-2.9\ta
-1.7\tand\t-0.3
-3.25\tto\t0.1

\\2-grams:
-0.1\t<s> the\t-1
-0.2\tthe of\t-0.75
-0.9\tof the\t-0.2
-0.8\tand the

\\3-grams:
-0.05\t<s> the of
-0.04\tthe of a

\\end\\
"""


def main() -> None:
    """Train, write, score, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kenlm", required=True, help="a Python that has the kenlm package")
    parser.add_argument("--reference", nargs="+", required=True)
    parser.add_argument("--texts", nargs="+", required=True)
    parser.add_argument("--language", default="en")
    parser.add_argument("--lines", type=int, default=20_000)
    options = parser.parse_args()
    found_texts = read_texts(options.texts, language=options.language)
    documents = pa.chunked_array([array.cast(pa.large_string()) for array in found_texts], pa.large_string())
    spelt = normalize(documents, "words", keep_lines=True)
    lines = [line for text in spelt.to_pylist() for line in text.split("\n") if line][: options.lines]
    words = sum(len(line.split()) for line in lines)
    print(f"{len(documents):,} documents, {len(lines):,} lines, {words:,} words")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
        files = {"by hand": folder / "hand.arpa"}
        files["by hand"].write_text(BY_HAND)
        for title, wanted in (("trained", Options()), ("pruned", Options(prune=(0, 0, 1)))):
            began = time.process_time()
            trained = train(read_texts(options.reference), wanted)
            seconds = time.process_time() - began
            files[title] = folder / f"{title}.arpa"
            with open(files[title], "w", encoding="utf-8") as file:
                file.writelines(trained.arpa())
            counts = ", ".join(f"{count:,}" for count in trained.about["ngrams"])
            print(f"{title}: {trained.about['words']:,} words in {seconds:,.1f} s with compiling; n-grams {counts}")
            if title == "trained":
                trained.model().save(folder / "model")
        array = pa.array(lines, pa.large_string())
        for title, arpa in files.items():
            peer = json.loads(
                subprocess.run(
                    [options.kenlm, "-c", PEER, str(arpa), str(folder / "lines.txt")],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            began = time.process_time()
            model = read_arpa(arpa, "whitespace")
            reading = time.process_time() - began
            model.score(array.slice(0, 10))
            began = time.process_time()
            scores = model.score(array)
            seconds = time.process_time() - began
            tokens = scores.words + scores.lines
            apart = np.abs(scores.log10 - np.array(peer["scores"])) / tokens
            print(
                f"{title}: largest difference {apart.max():.2e}, mean {apart.mean():.2e} log10 a token; "
                f"{scores.unknown.sum() / words:.1%} unknown; ours {tokens.sum() / seconds:,.0f} tokens/s "
                f"(ARPA read in {reading:.1f} s), kenlm {tokens.sum() / peer['seconds']:,.0f}, "
                f"ratio {peer['seconds'] / seconds:.2f}"
            )
        loaded = NgramModel.load(folder / "model")
        loaded.perplexity(documents.slice(0, 3))
        began = time.process_time()
        found = loaded.perplexity(documents)
        seconds = time.process_time() - began
        print(f"documents: {len(documents) / seconds:,.0f}/s; median perplexity {np.nanmedian(found):,.0f}")


if __name__ == "__main__":
    main()
