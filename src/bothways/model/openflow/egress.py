"""
Sending a packet out of a port.

What a port's configuration refuses, and which key and which other end a tunnel gets:
``compose_output_action`` of ``ofproto/ofproto-dpif-xlate.c`` and ``tnl_port_send`` of ``ofproto/tunnel.c``.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from bothways.facts.address import IPAddress, address
from bothways.facts.openflow import LOCAL, Bridge, Port
from bothways.facts.span import Span
from bothways.model.openflow.field import Bits
from bothways.model.openflow.key import TUNNELS, Key
from bothways.model.openflow.passage import Output
from bothways.model.openflow.run import Run

__all__ = ["port_of", "send", "send_to"]


def port_of(bridge: Bridge, number: int) -> Port | None:
    """The port with a number; the bridge's own even if no dump shows it."""
    port = bridge.port_number(number)
    if port is not None or number != LOCAL:
        return port
    named = bridge.ports.get(bridge.name)
    if named is not None and named.number is None:
        return named
    return Port(bridge.name, LOCAL, Span(bridge.flows.file if bridge.flows else ""), kind="internal")


def send_to(run: Run, number: int) -> None:
    """Send to a port number, unless the packet came in there."""
    if number == run.key.in_port:
        run.lose(f"output to port {number} is left out, as the packet came in there")
        return
    port = port_of(run.bridge, number)
    if port is not None:
        send(run, port)
    elif _all_numbers_known(run.bridge):
        run.lose(f"{run.bridge.name} has no port {number}")
    else:
        run.doubt(
            f"which device port {number} of {run.bridge.host} {run.bridge.name} is: "
            f"`ovs-ofctl show {run.bridge.name}` was not collected",
            blind=True,
        )


def send(run: Run, port: Port) -> None:
    """Send out of a port, if its configuration lets packets out."""
    refusal = _refusal(run.bridge, port)
    if refusal:
        run.lose(refusal)
        return
    if port.kind not in TUNNELS:
        run.emit(Output(run.key.packet, port, tuple(run.steps)))
        return
    remote = _remote(run.key, port)
    if remote is not None and (int(remote) == 0 or _is(run.came_to, remote)):
        why = "no flow says where to" if int(remote) == 0 else f"{remote} is this end of the tunnel"
        run.lose(f"{port.name} sends nothing: {why}")
        return
    run.emit(Output(run.key.packet, port, tuple(run.steps), _key_of_tunnel(run.key, port), remote))


def _refusal(bridge: Bridge, port: Port) -> str:
    """Why a port lets nothing out; PORT_DOWN also stands at devices that moved into a namespace and work."""
    if "NO_FWD" in port.config:
        return f"{port.name} is configured NO_FWD"
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
    if option == "flow":
        value, known = key.part("tun_id", 0, 63)
        return value if known == (1 << 64) - 1 else None
    try:
        return int(option, 0)
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


def _is(came_to: Bits, remote: IPAddress) -> bool:
    """True if the packet had come out of a tunnel at this very address."""
    return bool(came_to[1]) and came_to[0] == int(remote)
