"""
Which port of which host takes what a tunnel port of Open vSwitch sends.

The receiver looks for the most exact port: one with this key before one with ``key=flow``, then one with this
sender before ``remote_ip=flow``, then one with this ``local_ip`` before one with any (``tnl_find`` of
``ofproto/tunnel.c``). A port without a key takes key 0 only (ovs-vswitchd.conf.db(5)). What the
hosts do to the packets in between is in ``switch_underlay``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption, Oracle
from bothways.facts.openflow import Bridge
from bothways.facts.snapshot import Snapshot
from bothways.model.openflow.options import OPTIONS, OTHERS, received
from bothways.model.openflow.passage import Arrival, Output
from bothways.model.world.wiring import SwitchPort, Wiring

__all__ = ["arrival_at", "refusal", "takers"]

_FLOW: Final = "flow"


def takers(
    wiring: Wiring, here: SwitchPort, host: str, remote: IPAddress, key: int | None
) -> list[tuple[str, SwitchPort]]:
    """
    Find the ports of other hosts that take what *here* sends to *remote*, one a host.

    :param key: VNI or GRE key, None if not known: then no port is ruled out by its own.
    """
    best: dict[str, tuple[tuple[bool, bool, int], SwitchPort]] = {}
    for other, there in wiring.ports():
        if other == host or there.port.kind != here.port.kind:
            continue
        if not _takes(wiring, there, other, here, host, remote, key):
            continue
        exact = _exactness(there.port.options)
        if other not in best or exact < best[other][0]:
            best[other] = exact, there
    return [(other, there) for other, (_, there) in best.items()]


def refusal(snapshot: Snapshot, wiring: Wiring, here: SwitchPort, remote: IPAddress, key: int | None) -> str:
    """
    Say why nobody takes it; empty if somebody may whom no dump shows.

    Certain if the one host that has the address told all ports of its switch, and no device of its own kernel
    ends tunnels of this kind.
    """
    kind = here.port.kind or ""
    homes = {netns.host for netns, _, _ in snapshot.owners_of(remote)}
    if len(homes) != 1:
        return ""
    (home,) = homes
    found = snapshot.hosts[home]
    ports = [there for other, there in wiring.ports() if other == home]
    told = bool(ports) and all(there.port.kind is not None or there.internal for there in ports)
    if found.switch is None or not told or any(_ends_tunnels(snapshot, home, kind)):
        return ""
    words = "" if key is None else f" with key {key:#x}"
    return f"{home} has no {kind} port that takes packets{words} from this one"


def arrival_at(
    ends: tuple[SwitchPort, SwitchPort], output: Output, oracle: Oracle, doubt: Callable[[str], None]
) -> Arrival | None:
    """
    Let a copy come out of a tunnel at the port that takes it.

    Options of Geneve come along unless one of them is not known, which *doubt* is told where flows ask for
    one. Where a switch does not tell which options its fields are, the two ends are taken to agree.

    :param ends: the port that sends, and the one that takes it.
    :return: None if no dump tells the number of that one.
    """
    here, there = ends
    if there.number is None:
        doubt(f"the OpenFlow port number of {there.port.name} on {there.bridge.host}")
        return None
    sender, taker = here.bridge.tunnel_options, there.bridge.tunnel_options
    found = received(output.fields, sender, taker) if there.port.kind == "geneve" else {}
    if isinstance(found, str):
        if _asks_for_options(there.bridge):
            doubt(f"with which options a packet comes to {there.bridge.host} {there.bridge.name}: {found}")
        found = {}
    named = [name for name in found if name in OPTIONS]
    if named and (sender is None or taker is None):
        both = " and ".join(sorted({f"{end.bridge.host} {end.bridge.name}" for end in ends}))
        text = f"{', '.join(named)}: the same option of Geneve on {both}"
        silent = here.bridge if sender is None else there.bridge
        oracle.assume(Assumption(text, f"ovs-ofctl dump-tlv-map {silent.name}"))
    return Arrival(there.number, output.packet, output.tun_id, None, output.tun_dst, found)


def _asks_for_options(bridge: Bridge) -> bool:
    return bridge.flows is None or any(OTHERS in flow.span.text.lower() for flow in bridge.flows.rows)


def _takes(
    wiring: Wiring,
    there: SwitchPort,
    other: str,
    here: SwitchPort,
    host: str,
    remote: IPAddress,
    key: int | None,
) -> bool:
    options, local = there.port.options, here.port.options.get("local_ip")
    mine, expected = options.get("local_ip", _FLOW), options.get("remote_ip", _FLOW)
    holds = wiring.holds(other, remote) if mine == _FLOW else mine == str(remote)
    from_us = expected == _FLOW or local in (None, _FLOW, expected) or _holds_text(wiring, host, expected)
    return holds and from_us and _key_fits(options, key)


def _holds_text(wiring: Wiring, host: str, address: str) -> bool:
    try:
        return wiring.holds(host, ip_address(address))
    except ValueError:
        return False  # a host name


def _key_of(options: Mapping[str, str]) -> str:
    return options.get("in_key", options.get("key", "0"))


def _key_fits(options: Mapping[str, str], key: int | None) -> bool:
    """Hold a port's key against a packet's; a port of which no option is known may have any."""
    if not options or key is None or _key_of(options) == _FLOW:
        return True
    try:
        return int(_key_of(options), 0) == key
    except ValueError:
        return False


def _exactness(options: Mapping[str, str]) -> tuple[bool, bool, int]:
    """Sort key: what is asked first comes first."""
    local = {None: 1, _FLOW: 2}.get(options.get("local_ip"), 0)
    return _key_of(options) == _FLOW, options.get("remote_ip", _FLOW) == _FLOW, local


def _ends_tunnels(snapshot: Snapshot, host: str, kind: str) -> Iterator[bool]:
    """Whether a device of a host's own kernel may take packets of a tunnel; unknown devices may."""
    for netns in snapshot.hosts[host].netns.values():
        yield netns.devices is None
        yield from (kind in (device.kind or "") for device in netns.devices or ())
