"""`python -m pipeline`; where what it needs is not installed, one line that says what to do."""

import sys

OLDEST = (3, 11)


def main() -> None:
    """The command line. Exit code 2 under a Python that is too old, or that lacks our dependencies."""
    ours = f"this Python ({sys.executable})"
    cure = "use the project's own, .venv/bin/python -m pipeline (`make demo` makes it), or pip install -e ."
    if sys.version_info < OLDEST:
        sys.exit(_refuse(f"{ours} is older than 3.11; {cure}"))
    try:
        from pipeline.cli.main import main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "pipeline":
            raise
        sys.exit(_refuse(f"{ours} has no {error.name}; {cure}"))
    main()


def _refuse(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    main()
