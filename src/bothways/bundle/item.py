"""One piece of loose evidence: a capture, a dump, or what one command of a pasted terminal printed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final

from bothways.bundle.place import ROOT, Place
from bothways.parse.piece import Piece

__all__ = ["OF_A_BRIDGE", "Item"]

#: Kind -> what people call it.
_NAMES: Final = {
    "pcap": "a capture",
    "tcpdump": "a capture as text",
    "addr": "addresses of devices",
    "route": "routes",
    "rule": "policy rules",
    "neigh": "neighbours",
    "link": "links of devices",
    "route6": "IPv6 routes",
    "rule6": "IPv6 policy rules",
    "fdb": "a bridge's FDB",
    "vlan": "VLANs of a bridge's ports",
    "iptables": "iptables rules",
    "ip6tables": "ip6tables rules",
    "iptables-legacy": "legacy iptables rules",
    "ip6tables-legacy": "legacy ip6tables rules",
    "nft": "nft tables",
    "conntrack": "conntrack entries",
    "conntrack-xml": "conntrack entries",
    "conntrack-events-xml": "conntrack events",
    "nstat": "counters",
    "conntrack-events": "conntrack events",
    "conntrack-stats": "conntrack counters",
    "invalid-log": "a log of INVALID packets",
    "ss": "sockets",
    "sysctl": "sysctls",
    "flows": "flows of a bridge",
    "ports": "ports of a bridge",
    "ovs-fdb": "MACs that a bridge learned",
    "groups": "groups of a bridge",
    "tlv-map": "options of a bridge's tunnels",
    "vsctl-show": "Open vSwitch's bridges",
    "list-bridge": "Open vSwitch's bridges",
    "list-port": "Open vSwitch's ports",
    "list-interface": "Open vSwitch's interfaces",
    "ovsdb": "Open vSwitch's database",
    "tnl-neigh": "neighbours of tunnels",
    "uname": "a kernel's version",
    "tc": "queues and filters of tc",
    "bpf": "bpf programs",
    "ipvs": "IPVS services",
    "xfrm": "IPsec policies",
    "handlers": "packet handlers",
    "hooks": "netfilter's hooks",
    "kernel-trace": "a kernel trace",
    "ipset": "sets of ipset",
}
#: Names of devices are at most 15 letters long (IFNAMSIZ).
_HOST_AND_DEVICE: Final = re.compile(r"(?P<host>[A-Za-z][A-Za-z0-9]*)[-_](?P<device>[A-Za-z][\w-]{1,14})")
#: Kinds whose text does not say which bridge they are of.
OF_A_BRIDGE: Final = frozenset({"flows", "ovs-fdb", "groups", "tlv-map"})
_SWITCH: Final = OF_A_BRIDGE | frozenset(
    {
        "ports",
        "vsctl-show",
        "ovsdb",
        "tnl-neigh",
        "list-bridge",
        "list-port",
        "list-interface",
    }
)
#: Kinds that are of use wherever they were printed.
_PLACELESS: Final = frozenset({"stacks", "wrote", "unread"})
_CAPTURES: Final = frozenset({"pcap", "tcpdump"})


@dataclass(frozen=True, slots=True)
class Item:
    """
    One piece of evidence, and what is known of its place.

    :param file: the file as the user named it.
    :param kind: a key of ``text_format.FORMATS``, ``pcap``, or as in :class:`Piece`.
    :param text: for the format's parser; "" of a pcap.
    :param data: the bytes of a pcap.
    :param piece: what was cut out of a text, None if the whole file is meant.
    :param filter: what the capture recorded, None if unknown.
    :param view: the filter of a filtered view; of ``wrote`` the file that a capture went into.
    :param section: outputs of one file with the same number stand side by side.
    """

    file: str
    kind: str
    place: Place
    text: str = ""
    data: bytes = b""
    piece: Piece | None = None
    filter: str | None = None
    view: str | None = None
    json: bool = False
    section: int = 0

    @property
    def evidence(self) -> bool:
        """True for what says something of one place."""
        return self.kind not in _PLACELESS

    @property
    def capture(self) -> bool:
        """True for captures."""
        return self.kind in _CAPTURES

    @property
    def switch(self) -> bool:
        """True for what Open vSwitch says."""
        return self.kind in _SWITCH

    @property
    def name(self) -> str:
        """What people call it."""
        return _NAMES.get(self.kind, self.kind)

    @property
    def at(self) -> int | None:
        """The line of its command, or its first line; None if it is the whole file."""
        return None if self.piece is None else self.piece.at

    def covers(self, line: int) -> bool:
        """True if the line is the item's command or part of its output."""
        if self.piece is None:
            return True
        last = max(self.piece.lines, default=self.piece.at)
        return self.piece.at <= line <= last

    @property
    def complete(self) -> bool:
        """True if its place is known as far as it is needed."""
        if self.kind in _PLACELESS:
            return True
        if self.place.host is None:
            return False
        if self.capture:
            return self.place.netns is not None and self.place.device is not None
        if self.kind in OF_A_BRIDGE:
            return self.place.device is not None
        return self.switch or self.kind == "uname" or self.place.netns is not None

    def placed(self, place: Place) -> Item:
        """The item at a place; what was known of it already stays."""
        return replace(self, place=self.place.over(place))

    def moved(self, place: Place) -> Item:
        """The item where a user says that it was taken."""
        return replace(self, place=place.over(self.place))

    @property
    def option(self) -> str:
        """The option that would tell its place, with words in capitals where nothing is known."""
        guess = _guessed(self.file) if self.capture and self.piece is None else Place()
        host = self.place.host or guess.host or "HOST"
        where = f"{self.file}:{self.at}" if self.at is not None else self.file
        if self.capture:
            netns = self.place.netns or guess.netns
            device = self.place.device or guess.device or "DEVICE"
            inside = "" if netns == ROOT else f"/{netns or 'NETNS'}"
            return f"--tap {host}{inside}:{device}={_quoted(where)}"
        if self.kind in OF_A_BRIDGE:
            return f"--place {host}:{self.place.device or 'BRIDGE'}={_quoted(where)}"
        if self.switch or self.kind == "uname" or self.place.netns == ROOT:
            return f"--place {host}={_quoted(where)}"
        return f"--place {host}/{self.place.netns or 'NETNS'}={_quoted(where)}"

    @property
    def shown(self) -> str:
        """File, line and kind, for a message."""
        where = f"{self.file}:{self.at}" if self.at is not None else PurePath(self.file).as_posix()
        return f"`{where}` ({self.name})"


def _guessed(file: str) -> Place:
    """What ``host5-any.pcap`` looks like: a proposal for a person, not good enough to act on."""
    stem = PurePath(file).name.partition(".")[0]
    found = _HOST_AND_DEVICE.fullmatch(stem)
    if found is None:
        return Place()
    return Place(found["host"], ROOT if found["device"] == "any" else None, found["device"])


def _quoted(text: str) -> str:
    return f"'{text}'" if any(letter.isspace() for letter in text) else text
