"""How reports look on a terminal: tables without boxes, numbers to the right, long text wrapped with an indent.

Where the output is no terminal, text is not wrapped: a line of a pipe or a file is a line of the report.
"""

from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

NAMES = 33
"""Width of the names of fields; longer names push their value to the right only where nothing is wrapped."""


def counted(count: int, noun: str) -> str:
    """A number with its noun: "1 page", "2,000 pages"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def byte_size(size: int) -> str:
    """A size in bytes, kB or MB: "870 bytes", "1.2 MB"."""
    if size < 1e3:
        return counted(size, "byte")
    return f"{size / 1e3:,.1f} kB" if size < 1e6 else f"{size / 1e6:,.1f} MB"


def table(*columns: str | Column, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table without lines, indented by two characters; the columns in `right` hold numbers.

    Names must not be cut: where it gets narrow, columns wrap, and the first one last.
    """
    made = Table(
        box=None, padding=(0, 1, 0, 2), title=title and f"[bold]{title}[/]", title_justify="left", title_style=""
    )
    for column in columns:
        if isinstance(column, Column):
            made.columns.append(column)
            column._index = len(made.columns) - 1
        else:
            made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for header in made.columns:
        header.header_style = "bold"
    made.columns[0].no_wrap = True
    return made


def field(name: str, text: Text, console: Console) -> None:
    """Print a name and its value in two columns; a long value is wrapped under itself."""
    if not console.is_terminal:
        console.print(Text(f"  {name:<{NAMES}} ").append_text(text), highlight=False, soft_wrap=True)
        return
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(width=NAMES)
    row.add_column(overflow="fold")
    row.add_row(name, text)
    console.print(Padding(row, (0, 0, 0, 2)), highlight=False)


def paragraph(text: Text, console: Console, indent: int = 2) -> None:
    """Print a text, every line of it indented; on a terminal it is wrapped at words."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent)), highlight=False)
    else:
        console.print(Text(" " * indent).append_text(text), highlight=False, soft_wrap=True)
