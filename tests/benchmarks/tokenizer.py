"""Tokenizer speed beside its peers, on one core and on two: `python tests/benchmarks/tokenizer.py [--rustbpe PYTHON]`.

Every figure comes from a process of its own that may use so many cores and no more. Encoding (the texts of texts.py, a vocabulary
of 32,000 trained on them here) is cold: the engine is built anew and sees each text once, for such encoders keep what they
have met; ids must be equal. Training gets the texts enlarged to 110 MB, one by one. Memory is the peak of the whole process,
and what of it came on top of the libraries and a first, small run. What other processes used of the cores meanwhile is told: where
it is much, two cores were not to be had. PYTHON is an interpreter that has rustbpe, which our own need not have.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from memory import peak_bytes

VOCAB_SIZE = 32_000
TRAINING_BYTES = 110_000_000
TOKENIZERS_SHARE = 4  # every fourth text: it is slow


def texts_of(corpus: str) -> Iterator[str]:
    with open(corpus, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def now() -> float:
    """MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def machine_cpu() -> float:
    """CPU seconds of everything that runs here."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def train(engine: str, pattern: str, corpus: str, threads: int) -> Any:
    """Train on a corpus; the small one before is for kernels and imports."""
    if engine == "ours":
        from pipeline.tokenize.bpe import train_bpe

        train_bpe(texts_of(corpus), VOCAB_SIZE, pattern=pattern, threads=threads)
    elif engine == "tokenizers":
        import tokenizers
        from tokenizers import pre_tokenizers

        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        cut = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, level])
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=VOCAB_SIZE, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(texts_of(corpus), trainer)
    else:
        import rustbpe  # type: ignore[import-not-found]

        rustbpe.Tokenizer().train_from_iterator(texts_of(corpus), VOCAB_SIZE, pattern=pattern)


def encode(engine: str, pattern: str, corpus: str, trained: str, threads: int) -> tuple[Any, Any]:
    """The work, and what describes its result: what the engine needs is loaded outside the clock, but for the engine itself."""
    from pipeline.tokenize.bpe import Tokenizer

    texts = list(texts_of(corpus))[:: TOKENIZERS_SHARE if engine == "tokenizers" else 1]
    tokenizer = Tokenizer.from_file(trained)

    def work() -> Any:
        if engine == "ours":
            with ThreadPoolExecutor(threads) as pool:
                return tokenizer.encode_batch(texts, pool)[0]
        if engine == "tiktoken":
            import tiktoken

            ranks = {token: number for number, token in tokenizer.vocab.items()}
            oracle = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
            return oracle.encode_ordinary_batch(texts, num_threads=threads)
        import tokenizers

        return tokenizers.Tokenizer.from_file(trained).encode_batch_fast(texts)

    def describe(found: Any) -> tuple[int, str]:
        """Bytes of the texts, and a digest of every fourth text's ids, which all engines encode."""
        import numpy as np

        size = sum(len(text.encode()) for text in texts)
        if engine == "ours":
            found = np.split(found, tokenizer.encode_batch(texts)[1][1:-1])
        elif engine == "tokenizers":
            found = [each.ids for each in found]
        some = found if engine == "tokenizers" else found[::TOKENIZERS_SHARE]
        ids = np.concatenate([np.asarray(each, np.uint32) for each in some])
        return size, hashlib.sha256(ids.tobytes()).hexdigest()[:12]

    return work, describe


def child(job: dict[str, Any]) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job["threads"]])
    describe = None
    if job["kind"] == "train":
        train(job["engine"], job["pattern"], job["small"], job["threads"])
    else:
        work, describe = encode(job["engine"], job["pattern"], job["corpus"], job["trained"], job["threads"])
    before, all_cpu, began, cpu = now(), machine_cpu(), time.perf_counter(), time.process_time()
    found = train(job["engine"], job["pattern"], job["corpus"], job["threads"]) if describe is None else work()
    wall, cpu, memory = time.perf_counter() - began, time.process_time() - cpu, peak_bytes() / 1e6
    others = max(0.0, machine_cpu() - all_cpu - cpu)
    size, digest = (job["bytes"], "") if describe is None else describe(found)
    work_memory = memory - before
    figures = {"bytes": size, "wall": wall, "cpu": cpu, "others": others, "peak": memory, "work": work_memory}
    print(json.dumps(figures | {"digest": digest}))


def run(python: str, **job: Any) -> float:
    """Start a child, print its line; returns MB a second: of CPU on one core, where other work would be counted, else of wall."""
    threads = str(job["threads"])
    names = ("RAYON_NUM_THREADS", "NUMBA_NUM_THREADS")
    env = os.environ | dict.fromkeys(names, threads) | {"TOKENIZERS_PARALLELISM": "true" if threads != "1" else "false"}
    env["FASTOKENS_BPE_THREADS"] = "1"  # beside the pool that is given
    done = subprocess.run(
        [python, __file__, "--child", json.dumps(job)], env=env, capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    speed = float(result["bytes"] / 1e6 / result["cpu" if job["threads"] == 1 else "wall"])
    print(
        f"{job['kind']:7}{job['name']:8}{job['threads']} core(s)  {job['engine']:11}{speed:8.1f} MB/s {result['cpu']:7.1f} s CPU {result['wall']:7.1f} s wall, others {result['others']:.1f} s CPU"
        f"   peak {result['peak']:4.0f} MB, {result['work']:4.0f} of it work  {result['digest']}",
        flush=True,
    )
    return speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--rustbpe", metavar="PYTHON")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    if options.child:
        child(json.loads(options.child))
        return
    from texts import enlarged, real_texts

    from pipeline.tokenize.bpe import train_bpe
    from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN

    texts = real_texts()
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: f"{folder}/{name}.jsonl" for name in ("small", "real", "large")}
        size = 0
        for name, some in (
            ("small", iter(texts[:1])),
            ("real", iter(texts)),
            ("large", enlarged(texts, TRAINING_BYTES)),
        ):
            with open(paths[name], "w", encoding="utf-8") as file:
                for text in some:
                    file.write(json.dumps(text) + "\n")
                    size += len(text.encode()) if name == "large" else 0
        print(
            f"load {os.getloadavg()[0]:.1f}; training on {size / 1e6:.0f} MB, encoding {sum(len(t.encode()) for t in texts) / 1e6:.0f} MB"
        )
        for name, pattern in (("gpt2", GPT2_PATTERN), ("cl100k", CL100K_PATTERN)):
            trained = train_bpe(texts, VOCAB_SIZE, pattern=pattern).save(f"{folder}/{name}/tokenizer.json")
            for threads in (1, 2):
                common = {"name": name, "pattern": pattern, "threads": threads, "bytes": size, "small": paths["small"]}
                speeds = {
                    engine: run(
                        sys.executable,
                        kind="encode",
                        engine=engine,
                        corpus=paths["real"],
                        trained=str(trained),
                        **common,
                    )
                    for engine in ("ours", "tiktoken", "tokenizers")
                }
                print(
                    f"        encode: {speeds['ours'] / speeds['tiktoken']:.1f} x tiktoken, {speeds['ours'] / speeds['tokenizers']:.1f} x tokenizers"
                )
                pythons = {"ours": sys.executable, "tokenizers": sys.executable}
                pythons |= {"rustbpe": options.rustbpe} if options.rustbpe else {}
                speeds = {
                    engine: run(python, kind="train", engine=engine, corpus=paths["large"], **common)
                    for engine, python in pythons.items()
                }
                print(
                    "        train: "
                    + ", ".join(f"{speeds['ours'] / speed:.1f} x {engine}" for engine, speed in speeds.items())
                )


if __name__ == "__main__":
    main()
