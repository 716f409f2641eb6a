"""
What somebody would change, as the commands that they would type say it.

An edit is one thing that one command does in one namespace or switch. Where it happens stands beside it in a
``PlacedChange``. Edits are values: ``model.change`` applies them to a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bothways.facts.address import IPAddress, IPNetwork, Mac
from bothways.facts.device import Neighbour
from bothways.facts.iptables import Rule
from bothways.facts.nft import NftTable
from bothways.facts.nft_expression import Interval, Verdict, Word
from bothways.facts.openflow import Flow
from bothways.facts.route import Route, RoutingRule

__all__ = [
    "Act",
    "AddressEdit",
    "ConntrackEdit",
    "Edit",
    "FlowEdit",
    "IptablesAct",
    "IptablesEdit",
    "LinkEdit",
    "NeighbourEdit",
    "NftEdit",
    "PlacedChange",
    "PortEdit",
    "RouteEdit",
    "RoutingRuleEdit",
    "SysctlEdit",
    "WrittenElement",
]


class Act(StrEnum):
    """What is done to a row of a table."""

    ADD = "add"
    DELETE = "delete"
    REPLACE = "replace"  # add it, or put it in the place of the one with the same key
    INSERT = "insert"  # add it before all others
    FLUSH = "flush"  # every row that the selectors admit


@dataclass(frozen=True, slots=True)
class SysctlEdit:
    """``sysctl -w NAME=VALUE``; *name* is dotted."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class LinkEdit:
    """``ip link``: *up*, *mtu*, *mac* are None where they stay; *act* DELETE takes the device away."""

    device: str
    act: Act = Act.REPLACE
    up: bool | None = None
    mtu: int | None = None
    mac: Mac | None = None


@dataclass(frozen=True, slots=True)
class AddressEdit:
    """``ip address``. For FLUSH *address* is None; *prefix* is None where the command leaves it out."""

    act: Act
    device: str
    address: IPAddress | None = None
    prefix: int | None = None


@dataclass(frozen=True, slots=True)
class RouteEdit:
    """``ip route``. For DELETE and FLUSH the route is a pattern: what it leaves out admits everything."""

    act: Act
    route: Route


@dataclass(frozen=True, slots=True)
class RoutingRuleEdit:
    """
    ``ip rule``. *numbered*: the command gave a priority; else the kernel chooses one before the last.

    *version*: of IP; each has rules of its own.
    """

    act: Act
    rule: RoutingRule
    numbered: bool = True
    version: int = 4


@dataclass(frozen=True, slots=True)
class NeighbourEdit:
    """``ip neigh``. FLUSH with an unset field admits every value; PERMANENT entries stay unless asked for."""

    act: Act
    neighbour: Neighbour | None = None
    device: str | None = None
    network: IPNetwork | None = None


class IptablesAct(StrEnum):
    """What ``iptables`` does to a chain."""

    APPEND = "append"
    INSERT = "insert"
    DELETE = "delete"
    REPLACE = "replace"
    FLUSH = "flush"
    POLICY = "policy"
    NEW_CHAIN = "new chain"
    DELETE_CHAIN = "delete chain"


@dataclass(frozen=True, slots=True)
class IptablesEdit:
    """
    One ``iptables`` or ``ip6tables`` command.

    :param chain: None for FLUSH and DELETE_CHAIN of a whole table.
    :param rule: for APPEND, INSERT, REPLACE, and for DELETE by specification.
    :param number: 1-based place of the rule for INSERT, REPLACE, and for DELETE by number.
    """

    act: IptablesAct
    table: str
    chain: str | None
    rule: Rule | None = None
    number: int | None = None
    policy: str | None = None
    version: int = 4


@dataclass(frozen=True, slots=True)
class WrittenElement:
    """
    An element as it was typed: what it means hangs on the types of its set, which the command does not say.

    :param parts: for each part of the key every data type that it can be of, with its value then; none for
        ``*``.
    :param data: the same of what a map gives; a verdict stands under ``verdict``. None in a set.
    """

    text: str
    parts: tuple[Mapping[str, Interval | Word], ...]
    data: Mapping[str, Interval | Word | Verdict] | None = None
    timeout_s: int | None = None


@dataclass(frozen=True, slots=True)
class NftEdit:
    """
    One ``nft`` command: tables as they would be listed, or a FLUSH or DELETE of a part of them.

    :param tables: what is added; what exists already grows. For DELETE and REPLACE with *chain* they hold the
        rule that goes or comes.
    :param family: for DELETE and FLUSH; None with *table* None is the whole ruleset.
    :param named: the set or map that is changed, or flushed or deleted where *elements* are empty.
    :param kind: of the object that is deleted: ``flowtable``, ``counter`` …; *named* is its name.
    :param handle: of the rule that is meant; *index* its place in the chain, from 0.
    """

    act: Act
    tables: tuple[NftTable, ...] = ()
    family: str | None = None
    table: str | None = None
    chain: str | None = None
    named: str | None = None
    elements: tuple[WrittenElement, ...] = ()
    kind: str = ""
    handle: int | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class FlowEdit:
    """
    ``ovs-ofctl add-flow``, ``mod-flows``, ``del-flows``.

    :param flow: for DELETE its match is a pattern, loose unless *strict*.
    :param any_table: the command names no table: del-flows and mod-flows reach all of them.
    """

    act: Act
    bridge: str
    flow: Flow
    strict: bool = False
    any_table: bool = False
    cookie_mask: int | None = None


@dataclass(frozen=True, slots=True)
class PortEdit:
    """
    ``ovs-vsctl add-port``, ``del-port`` and ``set`` (REPLACE: what is empty or None stays).

    *bridge* is None where the command leaves it out.
    """

    act: Act
    port: str
    bridge: str | None = None
    kind: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    tag: int | None = None


@dataclass(frozen=True, slots=True)
class ConntrackEdit:
    """
    ``conntrack -D`` with its filters, ``conntrack -F`` without. A selector that is None admits everything.

    *source* and *destination* are those of the original direction, as ``-s`` and ``-d`` mean them.
    """

    protocol: int | None = None
    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    reply_source: IPNetwork | None = None
    reply_destination: IPNetwork | None = None
    sport: int | None = None
    dport: int | None = None
    state: str | None = None
    zone: int | None = None
    mark: int | None = None


Edit = (
    SysctlEdit
    | LinkEdit
    | AddressEdit
    | RouteEdit
    | RoutingRuleEdit
    | NeighbourEdit
    | IptablesEdit
    | NftEdit
    | FlowEdit
    | PortEdit
    | ConntrackEdit
)


@dataclass(frozen=True, slots=True)
class PlacedChange:
    """
    One command with where it would be run.

    :param host: None if the user left it out; then the one host where it fits is meant.
    :param netns: None if the command names none; with a host that is its own namespace.
    :param command: the command alone, as typed.
    """

    command: str
    edits: tuple[Edit, ...]
    host: str | None = None
    netns: str | None = None
