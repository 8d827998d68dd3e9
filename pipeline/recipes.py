"""The recipes in configs/recipes: published sets of rules, each a config file that says where its numbers are from."""

from pathlib import Path

from pipeline.errors import UserError

FOLDER = Path(__file__).parents[1] / "configs" / "recipes"
"""There in a checkout; a wheel carries code only."""


def recipes() -> dict[str, Path]:
    """Name and file of every recipe."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}


def find(name: str) -> Path:
    """The file of a recipe; UserError names those there are."""
    known = recipes()
    if name not in known:
        raise UserError(f"{name}: no such recipe; known: {', '.join(known) or 'none (they come with a checkout)'}")
    return known[name]


def resolve(config: Path) -> Path:
    """A config file as given on the command line: a path, or the name of a recipe."""
    return config if config.exists() else recipes().get(str(config), config)


def about(file: Path) -> str:
    """The comment at the top of a recipe, as one paragraph."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)
