"""One traced packet: the switch that it went through, and what the switch said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BridgeRecord", "Setting", "Told", "TraceCase"]


@dataclass(frozen=True, slots=True)
class BridgeRecord:
    """
    One bridge as its recorder wrote it down.

    :param ports: rows with ``name``, ``ofport``, ``type``, ``options``, ``tag``, ``trunks``, ``vlan_mode``,
        ``cvlans``, ``other_config`` where they were set.
    :param flows: as ``ovs-ofctl add-flows`` takes them, one each; *groups* as ``add-groups`` does.
    :param fdb: what ``ovs-appctl fdb/show`` printed; *tlv_map* what ``dump-tlv-map`` did.
    :param beyond: settings of the bridge that the model does not have, such as mirrors of which the recording
        has the number only.
    :param encoded: True if the flows stand as they were given in OpenFlow 1.1 or later: there
        ``mod_vlan_vid`` pushes a tag unless the flow has promised one.
    :param settings: ``stp``, ``rstp``, ``mcast_snooping``, where they are on.
    :param mirrors: rows with ``name`` and what was set of ``select_all``, ``select_src_port``,
        ``select_dst_port``, ``select_vlan``, ``output_port``, ``output_vlan``, ``snaplen``, ``filter``;
        ports by name.
    :param address: address and prefix of a bridge that carries tunnels of a switch with routes of its own,
        empty: it carries none. *neighbours*: other ends whose MAC is known.
    """

    name: str
    ports: tuple[Mapping[str, Any], ...]
    flows: tuple[str, ...]
    groups: tuple[str, ...] = ()
    fdb: str = ""
    tlv_map: str = ""
    beyond: tuple[str, ...] = ()
    settings: frozenset[str] = frozenset()
    encoded: bool = False
    mirrors: tuple[Mapping[str, Any], ...] = ()
    address: str = ""
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """
    A switch: its bridges, and the numbers that its datapath gives to their ports.

    Compared by identity: many cases share one setting.

    :param datapath: bridge and OpenFlow port -> number of the datapath port. Empty: they are the same.
    """

    bridges: Mapping[str, BridgeRecord]
    datapath: Mapping[tuple[str, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """
    What the switch said of one translation: of the packet, or of what came back from a recirculation.

    :param flow: the packet as the switch read it, None where the recording does not hold it.
    :param final: the packet at the end; None where the recording says ``unchanged``.
    :param actions: what the datapath is to do.
    """

    flow: str | None
    final: str | None
    actions: str


@dataclass(frozen=True, slots=True)
class TraceCase:
    """
    One traced packet.

    :param kind: the test, pipeline or class that it comes from.
    :param place: ``file:line`` or ``file: case N``.
    :param start: bridge that the packet came in at.
    :param args: arguments of ``ofproto/trace``; *ct_next* are the states among them.
    :param told: one for each translation, at least one.
    :param tables: look-ups in order, as printed (``10. ip, priority 5``); None where they are not recorded.
    """

    name: str
    kind: str
    place: str
    setting: Setting
    start: str
    args: tuple[str, ...]
    ct_next: tuple[str, ...]
    told: tuple[Told, ...]
    tables: tuple[str, ...] | None = None
    stdout: str = ""

    @property
    def learns(self) -> bool:
        """Whether the switch was to learn from the packet; a trace by itself has no side effects."""
        return any(arg.lstrip("-") == "generate" for arg in self.args)
