"""What looking before extracting saves and costs: python tests/benchmarks/prescreen.py [--extractors NAME...] [--least P...]

The sample pages (or --input) through the whole run up to clean/, English kept at 0.65 under the rules of quickstart.toml:
without the prescreen and with it. For each: CPU seconds, pages a second and core of the whole run, pages sorted out, and,
of the documents that the run without it keeps in the end, how many are missing. One worker.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.core.ledger import read
from pipeline.report.stats import stats
from pipeline.run.run import open_run

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT.parent / "shared" / "data" / "web-sample" / "sample-*.warc.gz"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--extractors", nargs="+", default=["trafilatura", "resiliparse", "native"])
    parser.add_argument("--least", nargs="+", default=["0.005", "0.01", "0.02"])
    parser.add_argument("--keep", default="en")
    parser.add_argument("--input", default=str(SAMPLE))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for extractor in arguments.extractors:
            before: set[str] = set()
            for least in [None, *arguments.least]:
                root = Path(folder) / f"{extractor}-{least}"
                sets = [f'input.paths=["{arguments.input}"]', f'extract.extractor="{extractor}"']
                sets += [f'language.keep=["{arguments.keep}"]'] + ([f"extract.prescreen={least}"] if least else [])
                command = [sys.executable, "-m", "pipeline", "run", "configs/quickstart.toml", "--out", str(root)]
                command += ["--until", "clean", "--workers", "1", *(part for one in sets for part in ("--set", one))]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
                done = open_run(root)
                report = stats(done)
                kept: set[str] = set()
                for part in done.parts:
                    kept |= set(read(done.file("clean", part), ["id"])["id"].to_pylist())
                before = before or kept
                cpu = sum(stage.seconds for stage in report.stages)
                extract = report.stages[0]
                out = extract.rules["prescreen_language"].failed if "prescreen_language" in extract.rules else 0
                print(
                    f"{extractor:12} prescreen {least or 'off':6} {cpu:7.1f} CPU s (extract {extract.seconds:.1f})"
                    f" {report.pages / cpu:6.1f} pages/s  sorted out {out:5,} of {report.pages:,}  kept {len(kept):,}"
                    f"  missing {len(before - kept)} ({len(before - kept) / len(before):.2%})  new {len(kept - before)}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
