"""
What hangs on the hooks of a namespace, in the order of priorities.

``STAGES`` is the order of ``enum nf_ip_hook_priorities`` for what iptables and the tracker hang there. Base
chains of native nft tables stand between them by their own priority. Of two with the same priority the
one that was hung there later runs first (``net/netfilter/core.c``, ``nf_hook_entries_grow``); dumps do
not show when, so nft's come first here, the last of the dump before the others. Chains of type ``nat`` have
no place of their own: the translation of the hook asks them (``nf_nat_inet_fn``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bothways.facts.nft import NftChain, NftTable
from bothways.facts.snapshot import Netns
from bothways.model.linux.hook import Hook

__all__ = [
    "CONFIRM",
    "CONNTRACK",
    "NAT",
    "STAGES",
    "Native",
    "Stage",
    "bridge_chains",
    "nat_priority",
    "native_nat",
    "stages_of",
]

CONNTRACK: Final = "conntrack"
NAT: Final = "nat"
CONFIRM: Final = "confirm"

STAGES: Final[Mapping[Hook, tuple[str, ...]]] = {
    Hook.PREROUTING: ("raw", CONNTRACK, "mangle", NAT),
    Hook.INPUT: ("mangle", "filter", "security", NAT, CONFIRM),
    Hook.FORWARD: ("mangle", "filter", "security"),
    Hook.OUTPUT: ("raw", CONNTRACK, "mangle", NAT, "filter", "security"),
    Hook.POSTROUTING: ("mangle", NAT, CONFIRM),
}
_DESTINATION_NAT: Final = -100
_SOURCE_NAT: Final = 100
_PRIORITIES: Final[Mapping[str, int]] = {
    "raw": -300,
    CONNTRACK: -200,
    "mangle": -150,
    "filter": 0,
    "security": 50,
    CONFIRM: 0x7FFFFFFF,
}
#: Where ``iptables-nft`` hangs it (``xtables_ipv4`` of its ``nft.c``).
_SECURITY_BY_NFT: Final = 150
#: Families of nft tables that a packet of IPv4 or IPv6 meets.
_FAMILIES: Final[Mapping[int, frozenset[str]]] = {
    4: frozenset({"ip", "inet"}),
    6: frozenset({"ip6", "inet"}),
}


@dataclass(frozen=True, slots=True)
class Native:
    """A base chain of a native nft table."""

    table: NftTable
    chain: NftChain

    @property
    def priority(self) -> int:
        """Where it stands on its hook."""
        return self.chain.priority or 0


#: A stage of a hook: of iptables and the tracker by name, or a native chain.
Stage = str | Native


def stages_of(netns: Netns, hook: Hook, version: int = 4) -> tuple[Stage, ...]:
    """Everything on a hook that packets of one IP version meet, in order."""
    placed: list[tuple[int, int, Stage]] = [
        (_priority_in(netns, name, hook, version), len(STAGES[hook]), name) for name in STAGES[hook]
    ]
    chains = list(_chains(netns, hook, version, nat=False))
    placed += [(native.priority, -number, native) for number, native in enumerate(chains, 1)]
    placed.sort(key=lambda row: row[:2])
    return tuple(stage for _, _, stage in placed)


def native_nat(netns: Netns, hook: Hook, version: int = 4) -> tuple[Native, ...]:
    """The native chains that the translation of a hook asks, in order."""
    return tuple(sorted(_chains(netns, hook, version, nat=True), key=lambda native: native.priority))


def bridge_chains(netns: Netns, hook: Hook) -> tuple[Native, ...]:
    """The native chains of the family ``bridge`` on a bridge's hook of that name, in order."""
    found = [
        (chain.priority or 0, -number, Native(table, chain))
        for number, (table, chain) in enumerate(
            (table, chain) for table in netns.nft or () for chain in table.chains.values()
        )
        if table.family == "bridge" and not table.dormant and chain.hook == hook.lower()
    ]
    return tuple(native for _, _, native in sorted(found, key=lambda row: row[:2]))


def nat_priority(hook: Hook) -> int:
    """Where the translation of a hook stands: of destinations before routing, of sources behind it."""
    return _DESTINATION_NAT if hook in (Hook.PREROUTING, Hook.OUTPUT) else _SOURCE_NAT


def _priority(name: str, hook: Hook) -> int:
    return nat_priority(hook) if name == NAT else _PRIORITIES[name]


def _priority_in(netns: Netns, name: str, hook: Hook, version: int) -> int:
    """The priority of a stage; that of ``security`` depends on which iptables wrote it."""
    given = netns.iptables if version == 4 else netns.ip6tables  # noqa: PLR2004 - IPv4
    if name == "security" and any(table.name == name and table.by_nft for table in given or ()):
        return _SECURITY_BY_NFT
    return _priority(name, hook)


def _chains(netns: Netns, hook: Hook, version: int, *, nat: bool) -> Iterator[Native]:
    for table in netns.nft or ():
        if table.family not in _FAMILIES[version] or table.dormant:
            continue
        for chain in table.chains.values():
            if chain.hook == hook.lower() and (chain.kind == "nat") is nat:
                yield Native(table, chain)
