"""
Writes ``docs/reference/cli.md`` from the command line itself, so that the page cannot lag behind it.

A contract test compares the page with what :func:`page` gives.
"""

from __future__ import annotations

from pathlib import Path

import click

from bothways.cli import main as command

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
WIDTH = 88
HEAD = """\
# The command line

*Written by `make docs` from the command itself.* What the exit codes mean: [exit-codes.md](exit-codes.md).
"""


def page() -> str:
    """Return the whole page as Markdown: the command, then every verb in alphabetical order."""
    # A command remembers the help option that it was first asked for, so this one must be its own.
    names = command.context_settings["help_option_names"]
    root = click.Context(
        command,
        info_name="bothways",
        max_content_width=WIDTH,
        terminal_width=WIDTH,
        help_option_names=names,
    )
    sections = [HEAD, section("bothways", command.get_help(root))]
    for name in sorted(command.list_commands(root)):
        verb = command.get_command(root, name)
        if verb is None or verb.hidden:
            continue
        context = click.Context(
            verb, info_name=name, parent=root, max_content_width=WIDTH, terminal_width=WIDTH
        )
        sections.append(section(f"bothways {name}", verb.get_help(context)))
        if isinstance(verb, click.Group):
            sections += below(verb, context, name)
    return "\n".join(sections)


def below(group: click.Group, context: click.Context, name: str) -> list[str]:
    """Return a section for each verb of a group of verbs."""
    out = []
    for each in sorted(group.list_commands(context)):
        inner = group.get_command(context, each)
        if inner is not None:
            inside = click.Context(
                inner, info_name=each, parent=context, max_content_width=WIDTH, terminal_width=WIDTH
            )
            out.append("#" + section(f"bothways {name} {each}", inner.get_help(inside)))
    return out


def section(title: str, text: str) -> str:
    """Give one heading with the help text below it, as it reads in a terminal."""
    return f"## {title}\n\n```text\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(PAGE.parents[2])}")
