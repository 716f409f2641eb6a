"""``HOST[/NETNS]: COMMAND``: where a change would be made, and which reader reads the command."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.change import Edit, PlacedChange
from bothways.parse.change.conntrack import read_conntrack
from bothways.parse.change.error import ChangeError
from bothways.parse.change.ip import read_ip
from bothways.parse.change.iptables import read_iptables
from bothways.parse.change.nft import read_nft
from bothways.parse.change.ovs_ofctl import read_ovs_ofctl
from bothways.parse.change.ovs_vsctl import read_ovs_vsctl
from bothways.parse.change.sysctl import read_sysctl
from bothways.parse.change.words import Command, command_words

__all__ = ["COMMANDS", "parse_change"]

#: command -> its reader
COMMANDS: Final[Mapping[str, Callable[[Command], tuple[Edit, ...]]]] = {
    "sysctl": read_sysctl,
    "ip": read_ip,
    "iptables": read_iptables,
    "iptables-legacy": read_iptables,
    "iptables-nft": read_iptables,
    "ip6tables": read_iptables,
    "ip6tables-legacy": read_iptables,
    "ip6tables-nft": read_iptables,
    "ovs-ofctl": read_ovs_ofctl,
    "ovs-vsctl": read_ovs_vsctl,
    "nft": read_nft,
    "conntrack": read_conntrack,
}
_PLACE: Final = re.compile(r"\s*(?P<host>[\w.-]+)(?:/(?P<netns>[\w.@-]+))?:\s+")
_FORM: Final = "HOST[/NETNS]: COMMAND"
#: where commands are found, for people who paste whole paths
_DIRECTORIES: Final = re.compile(r"/(?:usr/)?(?:local/)?s?bin/")


def parse_change(text: str) -> PlacedChange:
    """
    Read one change. HOST may be left out.

    :raises ChangeError: if it cannot be read; the column counts in *text*, the hint says what is expected.
    """
    placed = _PLACE.match(text)
    start = placed.end() if placed is not None else 0
    command = command_words(text[start:], start + 1)
    host = None if placed is None else placed["host"]
    netns = None if placed is None else placed["netns"]
    command, inner = _unwrapped(command)
    if inner is not None and netns is not None and inner != netns:
        raise ChangeError(f"two namespaces are named: {netns} and {inner}", 1, f"name one: {_FORM}")
    if not command.words:
        raise ChangeError("there is no command", start + 1, f"expected {_FORM}")
    name = _DIRECTORIES.sub("", command.words[0].text)
    reader = COMMANDS.get(name)
    if reader is None:
        known = ", ".join(n for n in COMMANDS if "-legacy" not in n and "-nft" not in n)
        raise ChangeError(
            f"`{command.words[0].text}` is no command that can be walked",
            command.words[0].column,
            f"expected {_FORM} with one of {known}",
        )
    return PlacedChange(command.text, reader(command), host, inner or netns)


def _unwrapped(command: Command) -> tuple[Command, str | None]:
    """The command without ``sudo`` and without what only says in which namespace it runs."""
    netns = None
    while command.words:
        texts = [word.text for word in command.words]
        if texts[0] == "sudo":
            command = command.after(1)
        elif texts[:3] == ["ip", "netns", "exec"] and len(texts) > 4:  # noqa: PLR2004 (namespace and command)
            netns, command = texts[3], command.after(4)
        elif texts[0] == "ip" and texts[1:2] in (["-n"], ["-netns"]) and len(texts) > 3:  # noqa: PLR2004 (its words)
            netns = texts[2]
            command = Command(
                " ".join(("ip", *texts[3:])), (command.words[0], *command.words[3:]), command.stdin
            )
        else:
            break
    return command, netns
