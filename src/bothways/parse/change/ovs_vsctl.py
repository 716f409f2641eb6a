"""``ovs-vsctl add-port``, ``del-port`` and ``set interface|port`` (ovs-vsctl(8))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from bothways.facts.change import Act, Edit, PortEdit
from bothways.parse.change.arguments import Arguments
from bothways.parse.change.error import ChangeError
from bothways.parse.change.words import Command
from bothways.parse.iptables_words import Word

__all__ = ["read_ovs_vsctl"]

_FORM: Final = "add-port BRIDGE PORT, del-port [BRIDGE] PORT or set interface PORT …"
#: table -> what can be set in it
_COLUMNS: Final = {
    "interface": "type=… or options:KEY=…",
    "int": "type=… or options:KEY=…",
    "port": "tag=N",
}
_OPTIONS_WITH_VALUE: Final = ("--db", "-t", "--timeout")


def read_ovs_vsctl(command: Command) -> tuple[Edit, ...]:
    """
    Read one or several commands that ``--`` separates.

    :raises ChangeError: for commands other than adding, removing and setting ports.
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
    """``set interface|port PORT COLUMN=VALUE``; behind the ``add-port`` of the port it is part of it."""
    table = arguments.take("interface or port")
    columns = _COLUMNS.get(table.text.lower())
    if columns is None:
        raise ChangeError(f"`set {table.text}` is not modelled", table.column, "expected interface or port")
    name = arguments.take("a port").text
    joined = bool(edits) and edits[-1].port == name
    changed = edits.pop() if joined else PortEdit(Act.REPLACE, name)
    column = arguments.column
    words = arguments.rest()
    if not words:
        raise ChangeError("nothing is set", column, f"expected {columns}")
    for word in words:
        changed = _with(changed, word, columns)
    edits.append(changed)


def _with(edit: PortEdit, word: Word, columns: str) -> PortEdit:
    key, equals, value = word.text.partition("=")
    value = value.strip('"')
    if equals and value and key == "type" and "type" in columns:
        return replace(edit, kind=value)
    if equals and key.startswith("options:") and "options" in columns:
        return replace(edit, options={**edit.options, key.removeprefix("options:"): value})
    if equals and key == "tag" and "tag" in columns and value.isdecimal():
        return replace(edit, tag=int(value[:4]))
    raise ChangeError(f"`{word.text}` is not modelled", word.column, f"expected {columns}")
