"""Pages from the documentation of the user's own Python, for the demo's archive.

Three kinds, for each module of the standard library or topic of its reference manual:

- `python-docs.example/NAME.html`: what `python -m pydoc` itself serves, tables for layout and all;
- `python-manual.example/library/NAME.html`: the prose of the same docstrings, without signatures and code, marked up
  as a site of today would. Rules made for prose leave little of pydoc's pages; this is the text to train on;
- `python-manual.example/topics/NAME.html`: the prose of the language reference behind `help("compound")`.

To document a module is to import it, so `python_pages` has a child process do it: alone with the standard library,
without terminal, settings or environment, in an empty folder. The child runs this file as a script.
"""

import html
import importlib
import inspect
import json
import os
import pkgutil
import pydoc
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType

# These open windows, print, need a display or are not documents.
SKIPPED = {
    *("__main__", "antigravity", "ensurepip", "idlelib", "lib2to3", "msilib", "pydoc_data", "test", "this"),
    *("tkinter", "turtle", "turtledemo", "venv"),
}
PYDOC, LIBRARY, LANGUAGE = "python-docs.example", "python-manual.example/library", "python-manual.example/topics"
TOPICS = "pydoc_data.topics"
UNSTEADY = (
    r"(?: |&nbsp;)(?:at(?: |&nbsp;)0x|handle )[0-9a-fA-F]+"  # "<function f at 0x7f...>", "<PyDLL 'None', handle 7f...>"
    r"|(?<=\.\.\.)[0-9a-fA-F]+(?=&gt;)"
    r"|(?<= from ')/[^'&]*\.\.\.[^'&]*(?=')"  # "<module '_bz2' from '/home/somebo...so'>"
)
CHILD_SECONDS = 120  # the 400 modules of Python 3.11 take about 10 s


def stdlib_modules() -> list[str]:
    """Return the public modules of this Python's standard library and their submodules, by name.

    Found in the file system, without importing any. The codecs under `encodings` are tables, not documents.
    """
    library = sysconfig.get_path("stdlib")
    names, modules = [name for name in sys.stdlib_module_names if name not in SKIPPED], []
    while names:
        name = names.pop()
        if any(part.startswith("_") or part in ("test", "tests") for part in name.split(".")):
            continue
        modules.append(name)
        if name != "encodings":
            names += [sub.name for sub in pkgutil.iter_modules([f"{library}/{name.replace('.', '/')}"], f"{name}.")]
    return sorted(modules)


def python_pages(modules: Sequence[str] | None = None) -> dict[str, str]:
    """Return the pages of the modules (all of the standard library's, and the topics, by default) by path.

    A module that cannot be imported (another platform's) has no page; nor has one that ends or hangs the child: the next
    child continues with the module after it.
    """
    pending = [TOPICS, *stdlib_modules()] if modules is None else list(modules)
    pages: dict[str, str] = {}
    while pending:
        with tempfile.TemporaryDirectory() as folder:
            _run_child(folder, pending)
            for path in sorted(Path(folder).rglob("*.html")):
                pages[path.relative_to(folder).as_posix()] = path.read_text("utf-8")
            tried = len(list(Path(folder).glob("*.done")))
        pending = pending[tried + 1 :]
    return pages


def _run_child(folder: str, names: Sequence[str]) -> None:
    # No site-packages, no user site, no script folder (it holds `tokenize`), no bytecode, sets in one order.
    command = [sys.executable, "-S", "-s", "-P", "-B", "-X", "utf8", "-W", "ignore", os.path.abspath(__file__)]
    environment = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "SYSTEMROOT") if key in os.environ}
    # What a child that hangs has written is kept, and the module it hangs on is skipped.
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            command,
            input=json.dumps({"folder": folder, "names": names, "home": os.path.expanduser("~")}).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**environment, "PYTHONHASHSEED": "0"},
            timeout=CHILD_SECONDS,
            start_new_session=True,
        )


def _child() -> None:
    settings = json.load(sys.stdin)
    folder = Path(settings["folder"])
    private = _private_paths(settings["home"], settings["folder"])
    # What pydoc prints of `os` and `sys` is this process: leave nothing of the user's in it.
    os.environ.clear()
    vars(sys.modules.get("posix", sys.modules.get("nt")))["environ"].clear()
    sys.argv, sys.orig_argv = [""], [""]
    for kind in (PYDOC, LIBRARY, LANGUAGE):
        (folder / kind).mkdir(parents=True)
    for number, name in enumerate(settings["names"]):
        for path, page in _topic_pages() if name == TOPICS else _module_pages(name):
            (folder / path).write_text(_without(private, page), "utf-8")
        (folder / f"{number}.done").touch()
    os._exit(0)  # no exit hooks, and no waiting for threads of the modules imported


def _private_paths(home: str, folder: str) -> list[tuple[str, str]]:
    """Return the paths of this machine, longest first, and what stands in for each."""
    named = {
        **dict.fromkeys((sys.prefix, sys.base_prefix, sys.exec_prefix), "/python"),
        **dict.fromkeys((home, folder, os.path.realpath(folder), os.getcwd()), "/home/reader"),
        os.path.dirname(sys.executable): "/python/bin",
        os.path.dirname(os.path.abspath(__file__)): "/pipeline",
        sysconfig.get_path("stdlib"): "/python/lib",
    }
    return sorted(((path, to) for path, to in named.items() if path not in ("", "/", "/usr")), key=lambda p: -len(p[0]))


def _without(private: list[tuple[str, str]], page: str) -> str:
    for path, stand_in in private:
        page = page.replace(path, stand_in)
    # Addresses differ from run to run, and pydoc may have cut them short, or a path before we knew it.
    return re.sub(UNSTEADY, "", page)


def _module_pages(name: str) -> Iterator[tuple[str, str]]:
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit):  # any failure of an import: the module has no page
        return
    yield f"{PYDOC}/{name}.html", pydoc.html.page(pydoc.describe(module), pydoc.html.document(module, name))
    if blocks := list(_library_blocks(module)):
        yield f"{LIBRARY}/{name}.html", _page(name, blocks)


def _topic_pages() -> Iterator[tuple[str, str]]:
    for name, text in sorted(importlib.import_module(TOPICS).topics.items()):
        yield f"{LANGUAGE}/{name}.html", _page(name, list(_blocks(text)))


def _library_blocks(module: ModuleType) -> Iterator[str]:
    """Yield the module's docstrings as HTML: its own, then those of its public classes, methods and functions."""
    seen: set[str] = set()
    yield from _documented(module.__name__, module, 1, seen)
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            yield from _documented(name, value, 2, seen)
            for member, attribute in sorted(vars(value).items()):
                function = getattr(attribute, "__func__", attribute)
                if not member.startswith("_") and (inspect.isroutine(function) or isinstance(function, property)):
                    yield from _documented(f"{name}.{member}", function, 3, seen)
        elif inspect.isroutine(value):
            yield from _documented(name, value, 2, seen)


def _documented(name: str, value: object, level: int, seen: set[str]) -> Iterator[str]:
    """Yield a heading and the paragraphs of a docstring that the page does not have yet; nothing where there are none."""
    text = inspect.cleandoc(value.__doc__) if isinstance(value.__doc__, str) else ""
    new = [block for block in _blocks(text) if block not in seen]
    if not new:
        return
    seen.update(new)
    yield f"<h{level}>{html.escape(name)}</h{level}>"
    yield from new


def _blocks(text: str) -> Iterator[str]:
    """Yield plain documentation as HTML: its underlined titles and its prose, however indented."""
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip().split("\n")
        if len(lines) == 2 and re.fullmatch(r"([*=~^\"-])\1+", lines[1].strip()):
            yield f"<h2>{html.escape(lines[0])}</h2>"
            continue
        # An item of a list is a paragraph of its own; reStructuredText's ``code`` and *emphasis* lose their marks.
        block = re.sub(r"``([^`]*)``|\*(\w+)\*", r"\1\2", block.strip())
        for part in re.split(r"\n(?=\s*[*-] )", block):
            if _is_prose(paragraph := " ".join(part.split()).removeprefix("* ").removeprefix("- ")):
                yield f"<p>{html.escape(paragraph)}</p>"


def _is_prose(paragraph: str) -> bool:
    """Whether these are sentences, rather than a signature, an example or a table.

    With more than 0.35 punctuation marks per word, too much of it is code. Of the bounds 0.25, 0.32, 0.35, 0.4 and none,
    0.35 leaves the most text that passes Gopher's `alpha_word_ratio` (with Python 3.11).
    """
    words, marks = len(paragraph.split()), len(re.findall(r"[^\w\s]", paragraph))
    return words >= 5 and paragraph[-1] in ".:?!" and ">>>" not in paragraph and marks <= 0.35 * words


def _page(title: str, blocks: Sequence[str]) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title} | Python manual</title>\n'
        '</head>\n<body>\n<header><a href="/">Python manual</a></header>\n<nav><a href="/library/">Library</a> '
        '<a href="/topics/">Language</a></nav>\n<main>\n<article>\n'
        + "\n".join(blocks)
        + "\n</article>\n</main>\n<footer>Made from the docstrings of this Python.</footer>\n</body>\n</html>\n"
    )


if __name__ == "__main__":
    _child()
