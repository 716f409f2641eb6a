"""``sysctl -w NAME=VALUE``, and ``echo``-less spellings of it: ``sysctl NAME=VALUE``, ``/`` for ``.``."""

from __future__ import annotations

from bothways.facts.change import Edit, SysctlEdit
from bothways.parse.change.arguments import Arguments
from bothways.parse.change.error import ChangeError
from bothways.parse.change.words import Command

__all__ = ["read_sysctl"]

_FORM = "NAME=VALUE such as net.ipv4.ip_forward=1"
_OPTIONS = ("-w", "--write", "-q", "--quiet", "-e", "--ignore", "-qw", "-wq")


def read_sysctl(command: Command) -> tuple[Edit, ...]:
    """
    Read one ``sysctl`` with any number of settings.

    :raises ChangeError: if a word is no setting.
    """
    arguments = Arguments(command)
    edits: list[Edit] = []
    while not arguments.done:
        if arguments.skip(*_OPTIONS):
            continue
        word = arguments.take(_FORM)
        name, equals, value = word.text.partition("=")
        if not equals or not name.strip():
            raise ChangeError(f"`{word.text}` sets nothing", word.column, f"expected {_FORM}")
        edits.append(SysctlEdit(_dotted(name.strip()), value.strip()))
    if not edits:
        raise arguments.refuse(_FORM)
    return tuple(edits)


def _dotted(name: str) -> str:
    """
    The name with dots between its parts; in the spelling with slashes a dot is part of a device's name.

    >>> _dotted("net/ipv4/conf/eth0.7/rp_filter")
    'net.ipv4.conf.eth0/7.rp_filter'
    """
    slash, dot = name.find("/"), name.find(".")
    if slash >= 0 and (dot < 0 or slash < dot):
        return name.translate(str.maketrans("./", "/."))
    return name
