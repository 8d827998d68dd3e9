"""What a run did, computed from the files on disk and from nothing else."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from pipeline.core.ledger import kept, read, rows_in
from pipeline.core.progress import safe
from pipeline.core.step import Step
from pipeline.run.run import Run
from pipeline.run.steps import cut_steps, stage_of
from pipeline.stages.clean import CLEAN
from pipeline.stages.extract import EXTRACT
from pipeline.stages.language import LANGUAGE
from pipeline.stages.quality_rules import QUALITY_DECIDE, SHARES, read_bounds
from pipeline.stages.shards import SHARDS
from pipeline.stages.tokenizer import TOKENIZER
from pipeline.stages.train import TRAIN

NOT_PAGES = "record_type"
"""The reason of records that are no pages at all: requests, archive headers."""


def collect(run: Run) -> dict[str, Any]:
    """The whole account of a run.

    `{"run", "input", "pages", "kept", "records": {type: n}, "stages": [{"name", "in", "kept", "dropped", "rules":
    {rule: {"failed", "only"}}, "seconds", "parts": {"done", "total"}}], "cuts": {step: {"documents", "places", "bytes"}},
    "languages": {code: {"in", "kept"}}, "clean", "tokenizer", "tokens", "train"}`. At every stage in = kept + dropped; "only"
    counts the rows dropped by that rule alone.
    A stage that is not finished counts the parts it has done.
    """
    seconds = run.seconds()
    stages = [_stage(run, name, step, seconds[name]) for name, step in run.deciders.items()]
    account: dict[str, Any] = {
        "run": str(run.root),
        "input": stages[0]["in"],
        "pages": stages[0]["in"] - stages[0]["rules"].get(NOT_PAGES, {"failed": 0})["failed"],
        "kept": stages[-1]["kept"],
        "records": _value_counts(run, EXTRACT, "record_type"),
        "stages": stages,
        "languages": _languages(run),
    }
    account["cuts"] = {step.name: _cuts(run, step) for step in cut_steps(run.config)}
    clean = run.done_parts(CLEAN)
    documents = sum(rows_in(run.file(CLEAN, part)) for part in clean)
    size = sum(_text_bytes(run.file(CLEAN, part)) for part in clean)
    account["clean"] = {"documents": documents, "bytes": size, "folder": str(run.root / "clean")}
    for step in run.steps:
        if step.documents is not None and (not step.whole or run.is_done(step)):
            done, total = (1, 1) if step.whole else (len(run.done_parts(step)), len(run.parts))
            count = documents if step is CLEAN else step.documents(run.run_files(step))
            stages.append(_passing(step.name, count, seconds[stage_of(step)], done, total))
    if run.is_done(TOKENIZER):
        account["tokenizer"] = json.loads((run.root / "tokenizer" / "report.json").read_text())
    account["tokens"] = 0
    if run.is_done(SHARDS):
        manifest = json.loads((run.root / "shards" / "manifest.json").read_text())
        account["tokens"] = sum(split["tokens"] for split in manifest["splits"].values())
        account["shards"] = {
            name: {k: v for k, v in split.items() if k != "shards"} for name, split in manifest["splits"].items()
        }
    if run.is_done(TRAIN):
        account["train"] = json.loads((run.root / "train" / "result.json").read_text()) | {"seconds": seconds["train"]}
    return account


def _stage(run: Run, name: str, step: Step, seconds: float) -> dict[str, Any]:
    parts = run.done_parts(step)
    came_in = stayed = 0
    failed: dict[str, int] = {}
    only: dict[str, int] = {}
    for part in parts:
        dropped = read(run.file(step, part), ["dropped"])["dropped"].combine_chunks()
        came_in += len(dropped) - dropped.null_count
        stayed += int(pc.sum(kept(dropped)).as_py() or 0)
        _count(failed, pc.list_flatten(dropped))
        _count(only, pc.list_flatten(dropped.filter(pc.fill_null(pc.equal(pc.list_value_length(dropped), 1), False))))
    rules = {
        rule: {"failed": failed[rule], "only": only.get(rule, 0)}
        for rule in sorted(failed, key=lambda r: (-failed[r], r))
    }
    bounds = _found_bounds(run) if step is QUALITY_DECIDE else []
    return {
        "name": name,
        "in": came_in,
        "kept": stayed,
        "dropped": came_in - stayed,
        "rules": rules,
        **({"bounds": bounds} if bounds else {}),
        "seconds": round(seconds, 3),
        "parts": {"done": len(parts), "total": len(run.parts)},
    }


def _found_bounds(run: Run) -> list[dict[str, Any]]:
    """What the rules on shares came to: each part's file has all of them."""
    done = run.done_parts(SHARES)
    return [asdict(bound) for bound in read_bounds(run.file(SHARES, done[0]))] if done else []


def _passing(name: str, documents: int, seconds: float, done: int, total: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": documents,
        "kept": documents,
        "dropped": 0,
        "rules": {},
        "seconds": round(seconds, 3),
        "parts": {"done": done, "total": total},
    }


def _count(totals: dict[str, int], values: pa.Array) -> None:
    for entry in values.value_counts().to_pylist():
        totals[str(entry["values"])] = totals.get(str(entry["values"]), 0) + entry["counts"]


def _value_counts(run: Run, step: Step, column: str) -> dict[str, int]:
    totals: dict[str, int] = {}
    for part in run.done_parts(step):
        _count(totals, read(run.file(step, part), [column])[column].combine_chunks())
    return dict(sorted(totals.items(), key=lambda entry: (-entry[1], entry[0])))


def _languages(run: Run) -> dict[str, dict[str, int]]:
    """Documents of each language that entered the language stage, and that are kept at the end of quality."""
    came: dict[str, int] = {}
    stayed: dict[str, int] = {}
    for part in run.done_parts(QUALITY_DECIDE):
        labels = read(run.file(LANGUAGE, part), ["language"])["language"].combine_chunks()
        _count(came, labels.drop_null())
        _count(stayed, labels.filter(kept(read(run.file(QUALITY_DECIDE, part), ["dropped"])["dropped"])))
    return {code: {"in": came[code], "kept": stayed.get(code, 0)} for code in sorted(came, key=lambda c: (-came[c], c))}


def _text_bytes(path: Path) -> int:
    text = read(path, ["text"])["text"]
    return int(pc.sum(pc.binary_length(text)).as_py() or 0)


def _cuts(run: Run, step: Step) -> dict[str, int]:
    """What a step takes out of texts: of how many documents, how many places and bytes."""
    total = {"documents": 0, "places": 0, "bytes": 0}
    for part in run.done_parts(step):
        column = read(run.file(step, part), ["cuts"])["cuts"].combine_chunks()
        places = column.flatten()
        total["documents"] += pc.sum(pc.greater(pc.list_value_length(column), 0)).as_py() or 0
        total["places"] += len(places)
        total["bytes"] += pc.sum(pc.subtract(places.field("end"), places.field("start"))).as_py() or 0
    return total


def show(account: Mapping[str, Any], console: Console) -> None:
    """The account as tables: the funnel, the rules, the languages, the products."""
    show_funnel(account, console)
    for stage in account["stages"]:
        if not stage["rules"]:
            continue
        table = Table(
            "rule",
            "failed",
            "by this alone",
            title=f"{stage['name']}: dropped {stage['dropped']:,}",
            title_justify="left",
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for rule, counts in stage["rules"].items():
            table.add_row(safe(f"{stage['name']}.{rule}"), f"{counts['failed']:,}", f"{counts['only']:,}")
        console.print(table)
        for bound in stage.get("bounds", ()):
            whose = f" {safe(bound['language'])}" if bound["language"] else ""
            console.print(
                f"  {safe(bound['rule'])}: bound {bound['value']:.6g} among {bound['documents']:,}{whose} documents",
                highlight=False,
            )
    for name, cut in account["cuts"].items():
        console.print(
            f"{name} cuts {cut['bytes']:,} bytes in {cut['places']:,} places of {cut['documents']:,} documents",
            highlight=False,
        )
    if account["languages"]:
        table = Table("language", "in", "kept after quality", title="languages", title_justify="left")
        for code, counts in list(account["languages"].items())[:15]:
            table.add_row(safe(code), f"{counts['in']:,}", f"{counts['kept']:,}")
        console.print(table)


def show_funnel(account: Mapping[str, Any], console: Console) -> None:
    """One line a stage: what came in, what stayed, a bar to look at."""
    table = Table("stage", "in", "kept", "dropped", "of input", "CPU s", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    widest = max(1, account["pages"])
    for stage in account["stages"]:
        share = stage["kept"] / widest
        bar = "█" * round(20 * share)
        state = (
            ""
            if stage["parts"]["done"] == stage["parts"]["total"]
            else f" ({stage['parts']['done']} of {stage['parts']['total']} parts)"
        )
        table.add_row(
            stage["name"] + state,
            f"{stage['in']:,}",
            f"{stage['kept']:,}",
            f"{stage['dropped']:,}",
            f"{bar:<20} {share:6.1%}",
            f"{stage['seconds']:,.1f}",
        )
    others = account["input"] - account["pages"]
    console.print(
        f"[bold]{account['input']:,} records[/]: {account['pages']:,} pages and {others:,} requests and archive headers"
    )
    console.print(table)


def top_rules(account: Mapping[str, Any], count: int = 3) -> list[tuple[str, int]]:
    """The rules that removed most pages, whatever their stage."""
    found = [
        (f"{stage['name']}.{rule}", counts["failed"])
        for stage in account["stages"]
        for rule, counts in stage["rules"].items()
        if rule != NOT_PAGES
    ]
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))[:count]


def show_summary(run: Run, account: Mapping[str, Any], console: Console) -> None:
    """The end of a run: the funnel, what removed most, tokens, loss, where things lie, what to type next."""
    console.print()
    show_funnel(account, console)
    clean = account["clean"]
    removed = ", ".join(f"{safe(rule)} ({count:,})" for rule, count in top_rules(account))
    if removed:
        console.print(f"removed most      {removed}", highlight=False)
    lines = [
        (
            "clean text",
            f"{clean['documents']:,} documents, {clean['bytes'] / 1e6:,.1f} MB   {run.root}/clean/*.parquet",
        )
    ]
    if report := account.get("tokenizer"):
        lines.append(
            ("tokenizer", f"{report['bytes_per_token']:.2f} bytes a token   {run.root}/tokenizer/tokenizer.json")
        )
    if account["tokens"]:
        held_out = account["shards"].get("validation", {}).get("tokens", 0)
        lines.append(("tokens", f"{account['tokens']:,} ({held_out:,} held out)   {run.root}/shards/"))
    if result := account.get("train"):
        loss = f"{result['validation_loss']:.3f} nats a token"
        if result["bits_per_byte"] is not None:
            loss += f", {result['bits_per_byte']:.3f} bits a byte"
        lines.append(("validation loss", f"{loss}   {run.root}/train/loss.png"))
    for name, text in lines:
        console.print(f"{name:<17} {text}", highlight=False, soft_wrap=True)
    rules = top_rules(account, 1)
    following = [f"python -m pipeline stats {run.root}"]
    if rules:
        following.append(f"python -m pipeline sample {run.root} --dropped-by {rules[0][0]}")
    if account.get("train"):
        following.append(f'python -m pipeline generate {run.root} --prompt "The module"')
    console.print("\nnext: " + "\n      ".join(following), highlight=False, soft_wrap=True)
