"""dolma's side of the comparison, run by a Python that has dolma's package files and not this project.

    python dolma_peer.py < texts.jsonl     a line a text: the attributes that `gopher_v1` and `c4_v1` write, by their names
    python dolma_peer.py time < texts.jsonl    {"seconds": CPU seconds of both}

Only dolma's own functions count; its package imports a compiled extension and many libraries, which these two do not use.
"""

import importlib.util
import json
import sys
import time
import types
from pathlib import Path
from typing import Any


def load() -> tuple[Any, Any]:
    """dolma's gopher and c4 taggers without the package's own imports."""
    spec = importlib.util.find_spec("dolma")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0])
    for package in ("dolma", "dolma.core", "dolma.taggers"):
        module = types.ModuleType(package)
        module.__path__ = [str(root.joinpath(*package.split(".")[1:]))]
        sys.modules[package] = module
    return importlib.import_module("dolma.taggers.gopher"), importlib.import_module("dolma.taggers.c4")


def main() -> None:
    gopher, c4 = load()
    texts = [json.loads(line) for line in sys.stdin]
    if sys.argv[1:] == ["time"]:
        start = time.process_time()
        for text in texts:
            gopher.get_attributes(text)
            c4.get_attributes(text)
        print(json.dumps({"seconds": time.process_time() - start}))
        return
    for text in texts:
        found = {span.type: span.score for span in gopher.get_attributes(text).as_spans()}
        page = c4.get_attributes(text)
        found["has_curly_brace"], found["has_lorem_ipsum"] = page.has_curly_brace, page.has_lorem_ipsum
        print(json.dumps(found))


if __name__ == "__main__":
    main()
