"""
One ruleset with its routes and sysctls, the packets that were sent, and what the kernel made of them.

A :class:`Setting` is what the router was told; the dumps of a :class:`NetfilterCase` are what its tools
printed afterwards, and only these count for the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bothways.conform.nat_table import KernelEntry

__all__ = ["Chain", "Heard", "Line", "NetfilterCase", "Sent", "Setting"]


@dataclass(frozen=True, slots=True)
class Chain:
    """
    One chain.

    :param tool: ``iptables``, ``ip6tables`` or ``nft``.
    :param table: name of the table; of nft with its family.
    :param head: policy for iptables, ``-`` for a user's chain; for nft what stands before the rules.
    """

    tool: str
    table: str
    name: str
    head: str


@dataclass(frozen=True, slots=True)
class Line:
    """
    One rule.

    :param chain: "" for what stands in a table of nft and in no chain (a set, a map).
    :param kinds: what was drawn for it: matches, and the target last.
    """

    tool: str
    table: str
    chain: str
    text: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """
    What the router is told.

    :param sysctls: name and value.
    :param ways: lines for ``ip -batch``: routes and policy rules, with ``-6`` in front for IPv6.
    """

    chains: tuple[Chain, ...] = ()
    lines: tuple[Line, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    ways: tuple[str, ...] = ()

    def without_idle_chains(self) -> Setting:
        """The setting without chains that hold nothing, do nothing and are not named by a rule."""
        held = {(each.tool, each.table, each.chain) for each in self.lines}
        named = {(each.tool, each.table, word) for each in self.lines for word in each.text.split()}

        def needed(chain: Chain) -> bool:
            place = (chain.tool, chain.table, chain.name)
            return place in held or place in named or "drop" in chain.head.lower()

        return replace(self, chains=tuple(chain for chain in self.chains if needed(chain)))

    def restore(self, tool: str) -> str:
        """What ``iptables-restore`` or ``ip6tables-restore`` reads, "" for nothing."""
        parts: list[str] = []
        for table in dict.fromkeys(chain.table for chain in self.chains if chain.tool == tool):
            parts.append(f"*{table}")
            mine = [c for c in self.chains if (c.tool, c.table) == (tool, table)]
            parts += [f":{c.name} {c.head} [0:0]" for c in mine]
            parts += [
                f"-A {line.chain} {line.text}"
                for line in self.lines
                if (line.tool, line.table) == (tool, table)
            ]
            parts.append("COMMIT")
        return "".join(f"{part}\n" for part in parts)

    def native(self) -> str:
        """What ``nft -f`` reads."""
        return "".join(self._tables())

    def unlearned(self) -> str:
        """What ``nft -f`` reads to make sets and maps that rules change as they were; "" for none."""
        held = [line for line in self.lines if line.tool == "nft" and not line.chain]
        rules = " ".join(line.text for line in self.lines if line.tool == "nft" and line.chain)
        said = ""
        for line in held:
            kind, name, *_ = line.text.split()
            if f"@{name} {{" not in rules:
                continue
            said += f"flush {kind} {line.table} {name}\n"
            elements = line.text.partition("elements = ")[2].rpartition(";")[0]
            said += f"add element {line.table} {name} {elements}\n" if elements else ""
        return said

    def _tables(self) -> Iterator[str]:
        chains = [chain for chain in self.chains if chain.tool == "nft"]
        for table in dict.fromkeys(chain.table for chain in chains):
            yield f"table {table} {{\n"
            yield from (f"{text}\n" for text in self._native_lines(table, ""))
            # A chain must stand before a rule that jumps to it: users' chains come first.
            for chain in sorted((c for c in chains if c.table == table), key=lambda c: bool(c.head)):
                yield f"chain {chain.name} {{\n{chain.head}\n"
                yield from (f"{text}\n" for text in self._native_lines(table, chain.name))
                yield "}\n"
            yield "}\n"

    def _native_lines(self, table: str, chain: str) -> Iterator[str]:
        for line in self.lines:
            if (line.tool, line.table, line.chain) == ("nft", table, chain):
                yield line.text


@dataclass(frozen=True, slots=True)
class Sent:
    """
    A frame that went into a leg.

    :param into: the leg; "" for a packet of the router itself, whose link header counts for nothing.
    """

    into: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """
    What the kernel made of one frame.

    :param out: what came out, with its leg, in any order.
    :param local: how many packets went to a receiver of the router itself.
    :param entries: the tracker's table afterwards.
    :param afresh: True if the tracker was emptied before the frame.
    :param limited: senders whom the kernel may have told no error, because they had got too many; ``*`` for
        anybody.
    :param at_ms: when the frame was sent, in milliseconds behind the first; 0 where no recording says.
    """

    out: tuple[tuple[str, bytes], ...] = ()
    local: int = 0
    entries: tuple[KernelEntry, ...] = ()
    afresh: bool = False
    limited: tuple[str, ...] = ()
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class NetfilterCase:
    """
    One ruleset with its packets.

    :param kernel: release of the kernel.
    :param dumps: file name of a bundle's namespace -> what the tool printed.
    :param heard: as many as *sent*.
    """

    name: str
    kernel: str
    dumps: Mapping[str, str]
    sent: tuple[Sent, ...] = ()
    heard: tuple[Heard, ...] = ()
