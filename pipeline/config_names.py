"""The config files that come with the package, by name: the recipes, and those to start from such as quickstart."""

from pathlib import Path

from pipeline.errors import UserError, did_you_mean

FOLDER = (Path(__file__).parent / "configs").resolve()
"""pipeline/configs is a link in a checkout, and a folder in a wheel."""


def recipe_files() -> dict[str, Path]:
    """Name -> file of every recipe."""
    return {file.stem: file for file in sorted((FOLDER / "recipes").glob("*.toml"), key=lambda file: file.stem)}


def recipe_file(name: str) -> Path:
    """The file of a recipe; UserError naming those that there are."""
    return _file_of(name, recipe_files())


def named_configs() -> dict[str, Path]:
    """Name -> file of every config that comes with the package: those to start from, then the recipes."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.toml"))} | recipe_files()


def named_config(name: str) -> Path:
    """The file of one of `named_configs`; UserError naming all of them."""
    return _file_of(name, named_configs())


def is_name(given: Path) -> bool:
    """Whether this is a name rather than a path: it has neither a folder nor a suffix."""
    return not given.suffix and given.name == str(given)


def config_path(given: Path) -> Path:
    """A config file as a user names it: a path, ~ included, or the name of one of `named_configs`.

    A file of the name goes first. UserError for an unknown name; a path need not exist.
    """
    path = given.expanduser()
    if path.is_dir() and not (is_name(path) and str(path) in named_configs()):
        raise UserError(f"{path}: is a directory; give a config file, a run, or the name of a recipe")
    return named_config(str(path)) if is_name(path) and not path.is_file() else path


def _file_of(name: str, known: dict[str, Path]) -> Path:
    if name not in known:
        raise UserError(f"{name}: no such recipe{did_you_mean(name, known)}; known: {', '.join(known)}")
    return known[name]
