"""
Sending a packet out of a port.

What a port's configuration refuses, and which key and which other end a tunnel gets:
``compose_output_action`` of ``ofproto/ofproto-dpif-xlate.c`` and ``tnl_port_send`` of ``ofproto/tunnel.c``.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import IPAddress, address
from bothways.facts.choice import Assumption
from bothways.facts.openflow import LOCAL, Bridge, Port
from bothways.facts.span import Span
from bothways.model.openflow.field import KNOWN, Bits
from bothways.model.openflow.key import TUNNELS, Key
from bothways.model.openflow.passage import Output
from bothways.model.openflow.patch import cross
from bothways.model.openflow.run import Run

__all__ = ["may_enable", "port_of", "send", "send_to"]


#: bits that a header has for the key
_KEY_BITS: Final = {"vxlan": 24, "geneve": 24, "gre": 32}
_DSCP, _ECN, _ECT_0 = 0xFC, 3, 2
#: what ``ovs-ofctl show`` says of a port in a spanning tree
_STP: Final = frozenset({"STP_LISTEN", "STP_LEARN", "STP_FORWARD", "STP_BLOCK"})


def port_of(bridge: Bridge, number: int) -> Port | None:
    """The port with a number; the bridge's own even if no dump shows it."""
    port = bridge.port_number(number)
    if port is not None or number != LOCAL:
        return port
    named = bridge.ports.get(bridge.name)
    if named is not None and named.number is None:
        return named
    return Port(bridge.name, LOCAL, Span(bridge.flows.file if bridge.flows else ""), kind="internal")


def send_to(run: Run, number: int, cut: int | None = None) -> None:
    """Send to a port number, unless the packet came in there."""
    if number == run.key.in_port:
        run.lose(f"output to port {number} is left out, as the packet came in there")
        return
    port = port_of(run.bridge, number)
    if port is not None:
        send(run, port, cut)
    elif _all_numbers_known(run.bridge):
        run.lose(f"{run.bridge.name} has no port {number}")
    else:
        run.doubt(
            f"which device port {number} of {run.bridge.host} {run.bridge.name} is: "
            f"`ovs-ofctl show {run.bridge.name}` was not collected",
            blind=True,
        )


def send(run: Run, port: Port, cut: int | None = None) -> None:
    """
    Send out of a port, if its configuration lets packets out.

    :param cut: how many bytes go out at most.
    """
    refusal = _refusal(run.bridge, port) or _protected(run, port)
    if cut is not None and port.kind == "patch":
        refusal = refusal or f"{port.name} is a patch port, and nothing is cut on its way through one"
    if refusal:
        run.lose(refusal)
        return
    if run.bridge.spanning_tree and not _STP & port.state and not _without_tree(port):
        run.oracle.assume(
            Assumption(f"{port.name} forwards in the spanning tree", f"ovs-ofctl show {run.bridge.name}")
        )
    if run.traced and run.key.unread and port.kind == "patch":
        run.lose("ofproto/trace does not follow a packet that comes back without its MPLS labels")
        return
    packet = run.key.inside()
    if port.kind not in TUNNELS:
        seen = run.key.unseen() if port.kind == "patch" else {}
        depth = run.frame.depth if run.frames else 0
        steps, fields = tuple(run.steps), run.key.carried()
        _emit(run, Output(packet, port, steps, fields=fields, cut=cut, seen=seen, depth=depth))
        return
    remote = _remote(run.key, port)
    key = _key_of_tunnel(run.key, port)
    if remote is not None and (int(remote) == 0 or _is(run.came_to, remote)):
        why = "no flow says where to" if int(remote) == 0 else f"{remote} is this end of the tunnel"
        run.lose(f"{port.name} sends nothing: {why}")
        if _is(run.came_to, remote):
            changed = _leave_outside(run.key, port, remote)
            if run.several and changed & _read_by_tunnels(run.bridge):
                run.doubt(f"which header later tunnels of a flood find in {run.where}: a flood has no order")
        return
    fields = run.key.carried() | (run.key.options() if port.kind == "geneve" else {})
    run.emit(Output(packet, port, tuple(run.steps), key, remote, fields, cut))
    if run.mirror is not None:
        run.mirror(run, port)


def _emit(run: Run, output: Output) -> None:
    """Let a copy go out, or go on behind a patch port."""
    if output.port.kind == "patch" and run.peers is not None:
        cross(run, output)
        return
    run.emit(output)
    if run.mirror is not None and output.port.kind != "patch":
        run.mirror(run, output.port)


def may_enable(port: Port) -> bool:
    """Whether a port counts as living for groups and bundles: administratively up, with a carrier."""
    return "PORT_DOWN" not in port.config and not port.state & {"LINK_DOWN", "BLOCKED"}


def _without_tree(port: Port) -> bool:
    return "false" in (port.other_config.get("stp-enable"), port.other_config.get("rstp-enable"))


def _protected(run: Run, port: Port) -> str:
    """Two protected ports do not talk to each other (``xlate_flow_is_protected``)."""
    ingress = run.ingress
    if port.protected and ingress is not None and ingress.protected:
        return f"{port.name} and {ingress.name} are protected"
    return ""


def _refusal(bridge: Bridge, port: Port) -> str:
    """Why a port lets nothing out; PORT_DOWN also stands at devices that moved into a namespace and work."""
    if "NO_FWD" in port.config:
        return f"{port.name} is configured NO_FWD"
    if port.state & _STP - {"STP_FORWARD"}:
        return f"{port.name} does not forward in the spanning tree"
    moved = port.name == bridge.name or port.kind != "" or port.mac is None or not any(port.mac.strip("0:"))
    if "PORT_DOWN" in port.config and not moved:
        return f"{port.name} is down"
    return ""


def _all_numbers_known(bridge: Bridge) -> bool:
    return bool(bridge.ports) and all(
        port.number is not None or name == bridge.name for name, port in bridge.ports.items()
    )


def _key_of_tunnel(key: Key, port: Port) -> int | None:
    option = port.options.get("out_key", port.options.get("key", "0"))
    mask = (1 << _KEY_BITS.get(port.kind or "", 64)) - 1
    if option == "flow":
        value, known = key.get("tun_id")
        return value & mask if known & mask == mask else None
    try:
        return int(option, 0) & mask
    except ValueError:
        return None


def _remote(key: Key, port: Port) -> IPAddress | None:
    """The other end; the zero address if no flow set it, None if nobody knows."""
    option = port.options.get("remote_ip")
    if option is None:
        return None
    if option != "flow":
        try:
            return address(option)
        except ValueError:
            return None  # a host name
    four, six = key.part("tun_dst", 0, 31), key.part("tun_ipv6_dst", 0, 127)
    if six[1] == (1 << 128) - 1 and six[0]:
        return IPv6Address(six[0])
    return IPv4Address(four[0]) if four[1] == (1 << 32) - 1 else None


def _read_by_tunnels(bridge: Bridge) -> frozenset[str]:
    """What tunnels of a bridge take from the header that flows have written."""
    asked = {key for port in bridge.ports.values() for key, value in port.options.items() if value == "flow"}
    return frozenset(
        name
        for option, names in (
            ("key", ("tun_id",)),
            ("out_key", ("tun_id",)),
            ("remote_ip", ("tun_dst", "tun_ipv6_dst")),
            ("local_ip", ("tun_src", "tun_ipv6_src")),
        )
        if option in asked
        for name in names
    )


def _leave_outside(key: Key, port: Port, remote: IPAddress) -> frozenset[str]:
    """
    Let later actions see the outer header as the port has set it.

    Where a switch sends to the other end it sets the header back, and where that end is its own it forgets to
    (``compose_output_action__``, 3.1.0).

    :return: the fields that have changed.
    """
    options = port.options
    written: dict[str, Bits] = _ends("dst", remote)
    local = options.get("local_ip", "any")
    if local != "flow":
        with suppress(ValueError):
            written |= _ends("src", IPv4Address(0) if local == "any" else address(local))
    if options.get("out_key", options.get("key", "0")) != "flow":
        number = _key_of_tunnel(key, port)
        written["tun_id"] = (number or 0, 0 if number is None else KNOWN)
    ip = key.packet.ip
    written["tun_ttl"] = _header_part(options.get("ttl", "64"), None if ip is None else ip.ttl)
    tos = 0 if ip is None else ip.tos
    outer, known = _header_part(options.get("tos", "0"), None if tos is None else tos & _DSCP)
    if ip is not None:
        outer, known = (
            (outer | (_ECT_0 if tos & _ECN == _ECN else tos & _ECN), known) if tos is not None else (0, 0)
        )
    written["tun_tos"] = (outer, known)
    changed = frozenset(name for name, bits in written.items() if key.get(name) != bits)
    for name, bits in written.items():
        key.put(name, bits, KNOWN)
    return changed


def _ends(name: str, end: IPAddress) -> dict[str, Bits]:
    four = end.version == 4  # noqa: PLR2004 - IPv4
    return {
        f"tun_{name}": (int(end) if four else 0, KNOWN),
        f"tun_ipv6_{name}": (0 if four else int(end), KNOWN),
    }


def _header_part(option: str, inherited: int | None) -> Bits:
    """TTL or TOS of an outer header: as the port says, or that of the packet."""
    if option != "inherit":
        return (int(option, 0), KNOWN) if option.isalnum() and option[0].isdigit() else (0, 0)
    return (0, 0) if inherited is None else (inherited, KNOWN)


def _is(came_to: Bits, remote: IPAddress) -> bool:
    """True if the packet had come out of a tunnel at this very address."""
    return bool(came_to[1]) and came_to[0] == int(remote)
