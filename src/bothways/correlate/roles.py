"""Who is the client: of each name pair of a connection, the end that opened it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bothways.correlate.episode import Ends, Episode
from bothways.correlate.observation import Key
from bothways.facts.address import Endpoint
from bothways.facts.packet import TCP, UDP
from bothways.facts.snapshot import Snapshot

__all__ = ["Listening", "clients_of", "read_listening"]

#: Ports that somebody listens on, by protocol.
Listening = Mapping[int, frozenset[int]]

#: Ports below this are given to services, RFC 6335 section 6.
_SYSTEM_PORTS: Final = 1024
_NUMBERS: Final = {"tcp": TCP, "udp": UDP}
_WAITING: Final = frozenset({"LISTEN", "UNCONN"})


def read_listening(snapshot: Snapshot) -> Listening:
    """Ports on which a collected namespace listens."""
    found: dict[int, set[int]] = {TCP: set(), UDP: set()}
    for netns in snapshot.namespaces():
        for socket in netns.sockets or ():
            protocol = _NUMBERS.get(socket.protocol.lower())
            if protocol is not None and socket.state.upper() in _WAITING and socket.local_port:
                found[protocol].add(socket.local_port)
    return {protocol: frozenset(ports) for protocol, ports in found.items()}


def clients_of(group: Sequence[Episode], listening: Listening) -> dict[Ends, Endpoint]:
    """
    The client's name for each pair of ends of one connection.

    SYN and SYN/ACK tell it. A capture that began later learns it from one that shows the same packets or
    shares an end. Where nobody saw the beginning, the client is who talks to a listening or well-known
    port, else who sent the first packet.
    """
    clients: dict[Ends, Endpoint] = {}
    for episode in group:
        if episode.client is not None:
            clients.setdefault(episode.ends, episode.client)
    pending = [e for e in group if e.ends not in clients]
    if not clients and group:
        first = min(group, key=lambda e: e.first_ns)
        clients[first.ends] = _guess(first, listening)
    by_number = _senders(group, clients)
    for episode in pending:
        if episode.ends not in clients:
            client = _by_number(episode, by_number) or _by_end(episode, clients)
            clients[episode.ends] = client or _guess(episode, listening)
    return clients


def _senders(group: Sequence[Episode], clients: Mapping[Ends, Endpoint]) -> dict[Key, bool]:
    """Whether the client sent the packet with a key, as far as it is settled."""
    return {
        o.key: o.source == clients[e.ends]
        for e in group
        if e.ends in clients
        for o in e.observations
        if o.key is not None
    }


def _by_number(episode: Episode, senders: Mapping[Key, bool]) -> Endpoint | None:
    for observation in episode.observations:
        sent = None if observation.key is None else senders.get(observation.key)
        if sent is not None:
            return observation.source if sent else observation.destination
    return None


def _by_end(episode: Episode, clients: Mapping[Ends, Endpoint]) -> Endpoint | None:
    settled = set(clients.values())
    served = {end for ends, client in clients.items() for end in ends if end != client}
    for end in episode.ends:
        if end in settled:
            return end
        if end in served:
            return episode.other(end)
    return None


def _guess(episode: Episode, listening: Listening) -> Endpoint:
    one, two = episode.ends
    ports = listening.get(episode.protocol, frozenset())
    for waits in (
        {end for end in (one, two) if end.port in ports},
        {end for end in (one, two) if _system(end)},
    ):
        if len(waits) == 1:
            return two if one in waits else one
    return min(episode.observations, key=lambda o: o.time_ns).source


def _system(end: Endpoint) -> bool:
    return end.port is not None and end.port < _SYSTEM_PORTS
