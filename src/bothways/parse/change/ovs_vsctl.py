"""``ovs-vsctl [--if-exists] add-port|del-port`` and ``set interface`` in the same command (ovs-vsctl(8))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bothways.facts.change import Act, Edit, PortEdit
from bothways.parse.change.arguments import Arguments
from bothways.parse.change.error import ChangeError
from bothways.parse.change.words import Command
from bothways.parse.iptables_words import Word

__all__ = ["read_ovs_vsctl"]

_FORM: Final = "add-port BRIDGE PORT or del-port [BRIDGE] PORT"
_OPTIONS_WITH_VALUE: Final = ("--db", "-t", "--timeout")


def read_ovs_vsctl(command: Command) -> tuple[Edit, ...]:
    """
    Read one or several commands that ``--`` separates.

    :raises ChangeError: for commands other than adding and removing ports and setting the interface added.
    """
    edits: list[PortEdit] = []
    for words in _commands(command):
        arguments = Arguments(Command(command.text, (command.words[0], *words), command.stdin))
        while arguments.peek().startswith("-"):
            option = arguments.take("an option").text
            if option in _OPTIONS_WITH_VALUE:
                arguments.take("its value")
        if arguments.skip("del-port"):
            edits.append(_deleted(arguments))
        elif arguments.skip("add-port"):
            edits.append(_added(arguments))
        elif arguments.skip("set"):
            _set(arguments, edits)
        else:
            raise arguments.refuse(_FORM)
    return tuple(edits)


def _commands(command: Command) -> Iterator[tuple[Word, ...]]:
    words: list[Word] = []
    for word in command.words[1:]:
        if word.text == "--" and not word.quoted:
            if words:
                yield tuple(words)
            words = []
        else:
            words.append(word)
    yield tuple(words)


def _deleted(arguments: Arguments) -> PortEdit:
    first = arguments.take("a port").text
    if arguments.done:
        return PortEdit(Act.DELETE, first)
    second = arguments.take("a port").text
    if not arguments.done:
        raise arguments.refuse("nothing more")
    return PortEdit(Act.DELETE, second, first)


def _added(arguments: Arguments) -> PortEdit:
    bridge = arguments.take("a bridge").text
    port = arguments.take("a port").text
    tag = None
    while not arguments.done:
        word = arguments.take("tag=N")
        name, _, value = word.text.partition("=")
        if name != "tag" or not value.isdecimal():
            raise ChangeError(f"`{word.text}` is not known here", word.column, "expected tag=N")
        tag = int(value[:4])
    return PortEdit(Act.ADD, port, bridge, tag=tag)


def _set(arguments: Arguments, edits: list[PortEdit]) -> None:
    """``set interface PORT type=… options:KEY=…`` behind the ``add-port`` of the same command."""
    table = arguments.take("interface")
    name = arguments.take("a port")
    if table.text.lower() not in ("interface", "int") or not edits or edits[-1].port != name.text:
        raise ChangeError(
            f"`set {table.text} {name.text}` is not modelled",
            table.column,
            "only an interface that the same command adds can be set",
        )
    added = edits.pop()
    kind, options = added.kind, dict(added.options)
    for word in arguments.rest():
        column, _, value = word.text.partition("=")
        if column == "type":
            kind = value
        elif column.startswith("options:"):
            options[column.removeprefix("options:")] = value
        else:
            raise ChangeError(
                f"`{word.text}` is not modelled", word.column, "expected type=… or options:KEY=…"
            )
    edits.append(PortEdit(Act.ADD, added.port, added.bridge, kind, options, added.tag))
