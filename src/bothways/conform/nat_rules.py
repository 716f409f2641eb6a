"""
Random NAT rulesets, as text for ``iptables-restore`` or for ``nft``.

Few addresses and ports, so that connections collide; every target and option that the model claims to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

__all__ = ["CLIENTS", "LEGS", "OWN", "PUBLIC", "REMOTE", "Ruleset", "fresh_ruleset"]

#: Legs of the router, and the addresses it holds there; the last one is on no wire's subnet.
LEGS: Final = ("bna", "bnb", "bnc")
OWN: Final = {
    "bna": ("10.77.1.1/24", "10.77.1.2/24"),
    "bnb": ("10.77.2.1/24", "10.77.2.2/24", "198.18.7.1/28"),
    "bnc": ("198.18.9.1/30", "10.77.3.1/24"),
}
CLIENTS: Final = ("10.77.1.10", "10.77.1.11", "10.77.1.12", "10.77.3.10", "10.77.3.11")
#: Addresses that the router is asked for and does not hold.
PUBLIC: Final = ("10.77.2.100", "10.77.2.101", "198.18.7.5")
REMOTE: Final = ("203.0.113.7", "203.0.113.8", "10.77.2.20", "10.77.3.20")


@dataclass(frozen=True, slots=True)
class Ruleset:
    """
    Rules of the nat table.

    :param native: True if the text is for ``nft -f``, else for ``iptables-restore``.
    """

    text: str
    native: bool


@dataclass(frozen=True, slots=True)
class _Target:
    """A target in iptables' words, which nft's follow from."""

    name: str
    to: str = ""
    ports: str = ""
    flags: tuple[str, ...] = ()


_CHAINS: Final = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
_TARGETS: Final = {
    "PREROUTING": ("DNAT", "DNAT", "DNAT", "REDIRECT", "NETMAP"),
    "OUTPUT": ("DNAT", "DNAT", "REDIRECT", "NETMAP"),
    "INPUT": ("SNAT", "NETMAP"),
    "POSTROUTING": ("SNAT", "SNAT", "MASQUERADE", "MASQUERADE", "NETMAP"),
}
_NETWORKS: Final = ("10.77.3.0/24", "10.77.2.96/28", "203.0.113.8/32", "10.77.1.8/29")
_HOSTS: Final = (*CLIENTS, *REMOTE)


def fresh_ruleset(random: Random) -> Ruleset:
    """Write a ruleset of one to six rules."""
    native = random.random() < 0.4
    rules: dict[str, list[str]] = {chain: [] for chain in _CHAINS}
    weights = (5, 2, 2, 5)
    for _ in range(random.randint(1, 6)):
        (chain,) = random.choices(_CHAINS, weights)
        protocol = random.choice(("", "tcp", "udp", "icmp", "tcp", "udp"))
        target = _target(random, chain, protocol, native=native)
        rules[chain].append(_rule(random, chain, protocol, target, native=native))
    return Ruleset(_native(rules) if native else _save(rules), native)


def _target(random: Random, chain: str, protocol: str, *, native: bool) -> _Target:
    name = random.choice([each for each in _TARGETS[chain] if not native or each != "NETMAP"])
    ports = _ports(random, shifted=name == "DNAT" and not native) if protocol in ("tcp", "udp") else ""
    flags = _flags(random, name)
    if name == "NETMAP":
        return _Target(name, random.choice(_NETWORKS))
    if name in ("MASQUERADE", "REDIRECT"):
        return _Target(name, ports=ports, flags=flags)
    pool = _HOSTS if name == "DNAT" else (*PUBLIC, "10.77.2.1", "10.77.1.1", "10.77.3.1")
    low = random.choice(pool)
    if random.random() < 0.4:
        first, _, last = low.rpartition(".")
        low = f"{low}-{first}.{int(last) + random.choice((1, 2, 3, 30))}"
    if name == "DNAT" and ports and random.random() < 0.2:
        low = ""
    return _Target(name, low, ports, flags)


def _ports(random: Random, *, shifted: bool) -> str:
    kind = random.random()
    if kind < 0.4:
        return ""
    low = random.choice((80, 8080, 300, 700, 40000))
    if kind < 0.6:
        return str(low)
    text = f"{low}-{low + random.choice((1, 2, 5, 200))}"
    base = random.choice((80, 79, 53, 39990, 60000))
    return f"{text}/{base}" if shifted and random.random() < 0.5 else text


def _flags(random: Random, name: str) -> tuple[str, ...]:
    found = []
    if random.random() < 0.15:
        found.append("random")
    elif name in ("SNAT", "MASQUERADE") and random.random() < 0.1:
        found.append("random-fully")
    if name in ("SNAT", "DNAT") and random.random() < 0.25:
        found.append("persistent")
    return tuple(found)


def _rule(random: Random, chain: str, protocol: str, target: _Target, *, native: bool) -> str:
    tests: list[tuple[str, str]] = []
    if random.random() < 0.5 or target.name == "DNAT":
        pool = (*PUBLIC, *REMOTE, "10.77.0.0/16", "203.0.113.0/24", "10.77.1.1", "10.77.2.0/24")
        tests.append(("d", random.choice(pool)))
    if random.random() < 0.3:
        tests.append(("s", random.choice((*CLIENTS, "10.77.1.0/24", "10.77.3.0/24"))))
    if random.random() < 0.3:
        tests.append(("o" if chain in ("OUTPUT", "POSTROUTING") else "i", random.choice(LEGS)))
    words = _NATIVE if native else _SAVED
    text = "".join(words[kind].format(value) for kind, value in tests)
    before = (f"meta l4proto {protocol} " if native else f"-p {protocol} ") if protocol else ""
    return before + text + (_native_target(target) if native else _saved_target(target))


_SAVED: Final = {"d": "-d {} ", "s": "-s {} ", "i": "-i {} ", "o": "-o {} "}
_NATIVE: Final = {"d": "ip daddr {} ", "s": "ip saddr {} ", "i": 'iifname "{}" ', "o": 'oifname "{}" '}
_OPTIONS: Final = {"DNAT": "--to-destination", "SNAT": "--to-source", "NETMAP": "--to"}


def _saved_target(target: _Target) -> str:
    words = ["-j", target.name]
    if target.name in _OPTIONS:
        words += [_OPTIONS[target.name], target.to + (f":{target.ports}" if target.ports else "")]
    elif target.ports:
        words += ["--to-ports", target.ports]
    return " ".join([*words, *(f"--{flag}" for flag in target.flags)])


def _native_target(target: _Target) -> str:
    words = [target.name.lower()]
    to = target.to + (f":{target.ports}" if target.ports else "")
    if to:
        words += ["to", to]
    flags = ["fully-random" if flag == "random-fully" else flag for flag in target.flags]
    return " ".join([*words, *([",".join(flags)] if flags else [])])


def _save(rules: dict[str, list[str]]) -> str:
    lines = [f"-A {chain} {rule}" for chain, each in rules.items() for rule in each]
    return "\n".join(["*nat", *lines, "COMMIT", ""])


def _native(rules: dict[str, list[str]]) -> str:
    chains = []
    for chain, each in rules.items():
        if each:
            priority = _chain_priority(chain)
            head = f"type nat hook {chain.lower()} priority {priority}; policy accept;"
            chains.append(_block(f"chain {chain.lower()}", [head, *each]))
    return _block("table ip translated", chains)


def _chain_priority(chain: str) -> int:
    return -100 if chain in ("PREROUTING", "OUTPUT") else 100


def _block(head: str, lines: Sequence[str]) -> str:
    return "\n".join([head + " {", *lines, "}", ""])
