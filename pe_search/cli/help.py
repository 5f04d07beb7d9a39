"""The help of a command, made from its docstring and its options: as text, and as the parts it is made of.

A docstring is a summary, an example block that begins with a line `\\b`, and more paragraphs. The group of an option is
its `rich_help_panel`. Click's own layout is not used: it knows no groups, and rich, which does, takes long to import.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

GROUPS = ("Ask", "Files", "Filter", "Show", "Spans", "Take", "Train", "Model", "Speech", "Workers", "Serve", "Store")
"""In the order of the help."""

_WIDEST = 80
_NARROWEST = 40
# Options that are longer have their text on the next line.
_LONGEST_NAME = 24


@dataclass(frozen=True, slots=True)
class Entry:
    """One argument or option.

    Attributes:
        name: As it is typed, with what it takes: `-0, --null`, `--under PATH`; `...` where it may be repeated.
        text: What it does.
        default: What counts where it is left out, in words; empty for nothing.
    """

    name: str
    text: str
    default: str


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """The help of a command.

    Attributes:
        usage: As in `pe-search query [OPTIONS] [TEXT...]`.
        summary: One sentence or two.
        examples: Command lines.
        paragraphs: What else there is to say.
        groups: The names of groups with their entries, in the order of `GROUPS`.
    """

    usage: str
    summary: str
    examples: tuple[str, ...]
    paragraphs: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Entry, ...]], ...]


def command_help(command: Any, context: Any) -> CommandHelp:
    """The parts of the help of a command.

    Args:
        command: Of Typer.
        context: Of Click, for the command.
    """
    summary, examples, paragraphs = docstring_parts(command.help or "")
    groups: dict[str, list[Entry]] = {name: [] for name in GROUPS}
    for parameter in command.params:
        if not parameter.hidden:
            groups.setdefault(parameter.rich_help_panel or "Options", []).append(_entry(parameter, context))
    return CommandHelp(
        " ".join([context.command_path, *command.collect_usage_pieces(context)]),
        summary,
        examples,
        paragraphs,
        tuple((name, tuple(entries)) for name, entries in groups.items() if entries),
    )


def docstring_parts(docstring: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The summary, the examples and the other paragraphs of a docstring."""
    summary, *others = cleandoc(docstring).split("\n\n")
    examples: list[str] = []
    paragraphs: list[str] = []
    for paragraph in others:
        if paragraph.startswith("\b"):
            examples += [line.strip() for line in paragraph.splitlines()[1:]]
        else:
            paragraphs.append(" ".join(paragraph.split()))
    return " ".join(summary.split()), tuple(examples), tuple(paragraphs)


def help_text(shown: CommandHelp) -> str:
    """The help for a terminal, at most 80 columns wide."""
    width = help_width()
    lines = [f"Usage: {shown.usage}", "", *textwrap.wrap(shown.summary, width, break_on_hyphens=False)]
    if shown.examples:
        lines += ["", *(f"  {example}" for example in shown.examples)]
    if shown.paragraphs:
        lines += [""]
    for paragraph in shown.paragraphs:
        lines += textwrap.wrap(paragraph, width, break_on_hyphens=False)
    lines += [""]
    rows = [(entry.name, _with_default(entry)) for _, entries in shown.groups for entry in entries]
    column = name_column(name for name, _ in rows)
    for name, entries in shown.groups:
        lines += [f"{name}:"]
        for entry in entries:
            lines += row_lines(entry.name, _with_default(entry), column, width)
    return "\n".join(lines)


def help_width() -> int:
    """How wide help may be."""
    return max(min(shutil.get_terminal_size().columns, _WIDEST), _NARROWEST)


def name_column(names: Iterable[str]) -> int:
    """The column at which texts beside some names begin."""
    return 4 + max((len(name) for name in names if len(name) <= _LONGEST_NAME), default=0)


def row_lines(name: str, text: str, column: int, width: int) -> list[str]:
    """A name with its text beside it, or below it where there is no room."""
    lines = textwrap.wrap(text, max(width - column, _NARROWEST // 2), break_on_hyphens=False)
    indent = " " * column
    if lines and len(name) + 4 <= column:
        return [f"  {name}".ljust(column) + lines[0], *(indent + line for line in lines[1:])]
    return [f"  {name}", *(indent + line for line in lines)]


def groups_text(groups: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Groups of names with their texts, and blank lines between the groups."""
    column, width = name_column(name for rows in groups.values() for name, _ in rows), help_width()
    texts = ("\n".join(line for row in rows for line in row_lines(*row, column, width)) for rows in groups.values())
    return "\n\n".join(f"{title}:\n{text}" for title, text in zip(groups, texts, strict=True))


def _with_default(entry: Entry) -> str:
    return f"{entry.text} [default: {entry.default}]" if entry.default else entry.text


def _entry(parameter: Any, context: Any) -> Entry:
    if parameter.param_type_name == "argument":
        return Entry(parameter.make_metavar(context), parameter.help or "", _default(parameter, context))
    name = ", ".join(sorted(parameter.opts, key=lambda option: len(option) - len(option.lstrip("-"))))
    if not parameter.is_flag:
        name += f" {parameter.make_metavar(context)}"
    if parameter.multiple:
        name += "..."
    return Entry(name, parameter.help or "", _default(parameter, context))


def _default(parameter: Any, context: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.get_default(context, call=False) if parameter.show_default else None
    return "" if value is None or value is False else f"{value:g}" if isinstance(value, float) else str(value)
