"""Which socket takes a segment: full queues, half-open connections, TIME-WAIT, ports of tunnels."""

from dataclasses import replace

import pytest
from linux_samples import Told, device, did, frame, netns, stack, udp

from bothways.facts.choice import Freedom
from bothways.facts.packet import Flag
from bothways.facts.step import Did
from bothways.model.linux.passage import Passage

OUT = device("out0", "192.0.2.1/24", number=2)
HEAD = "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n"
CLIENT, HERE = "192.0.2.9:4000", "192.0.2.1:22"


def syn(
    ss: str, flags: str = "S", sysctls: dict[str, str] | None = None, told: Told | None = None
) -> Passage:
    space = netns(OUT, ss=HEAD + ss, sysctls=sysctls or {})
    return stack(space, told).receive("out0", frame(CLIENT, HERE, flags, to=OUT, seq=41), 0)


def sent(passage: Passage) -> list[Flag]:
    return [t.packet.tcp.flags for t in passage.transmissions if t.packet.tcp is not None]


@pytest.mark.parametrize(("waiting", "limit", "taken"), [(0, 128, 1), (128, 128, 1), (129, 128, 0)])
def test_a_full_accept_queue_drops_the_syn_without_an_answer(waiting: int, limit: int, taken: int) -> None:
    line = f"LISTEN {waiting} {limit} 0.0.0.0:22 0.0.0.0:*"
    passage = syn(line)

    assert (len(passage.delivered), passage.transmissions) == (taken, ())
    if not taken:
        step = did(passage, Did.DROPPED)
        assert (step.function, step.evidence[0].text) == ("tcp_v4_conn_request", line)
        assert "129 wait, 128 may" in step.reason


@pytest.mark.parametrize(("cookies", "taken"), [("0", 0), ("1", 1), (None, 1)])
def test_a_full_queue_of_half_open_connections_matters_without_cookies(
    cookies: str | None, taken: int
) -> None:
    half = "".join(f"SYN-RECV 0 0 192.0.2.1:22 192.0.2.{n}:5000\n" for n in range(100, 102))
    sysctls = {} if cookies is None else {"net.ipv4.tcp_syncookies": cookies}

    assert len(syn(f"LISTEN 0 2 0.0.0.0:22 0.0.0.0:*\n{half}", sysctls=sysctls).delivered) == taken


def test_of_several_sockets_on_one_port_it_matters_which_if_one_is_full() -> None:
    both = "LISTEN 9 8 0.0.0.0:22 0.0.0.0:* a\nLISTEN 0 8 0.0.0.0:22 0.0.0.0:* b\n"
    first, last = Told(), Told(last=-1)

    assert not syn(both, told=first).delivered
    assert syn(both, told=last).delivered
    assert list(first.freedoms.values()) == [Freedom.FREE]
    calm = Told()
    assert syn(both.replace("9 8", "1 8"), told=calm).delivered
    assert calm.asked == {}


def test_the_exact_address_is_preferred() -> None:
    rows = "LISTEN 0 8 0.0.0.0:22 0.0.0.0:* any\nLISTEN 9 8 192.0.2.1:22 0.0.0.0:* own\n"

    assert not syn(rows).delivered


@pytest.mark.parametrize(
    ("flags", "answer"),
    [(".", [Flag.RST]), ("S.", [Flag.RST]), ("F.", [Flag.RST]), ("F", []), ("P", []), ("R", []), ("SF", [])],
)
def test_what_a_listener_draws_from_a_segment_that_opens_nothing(flags: str, answer: list[Flag]) -> None:
    passage = syn("LISTEN 0 8 0.0.0.0:22 0.0.0.0:*", flags)

    assert (passage.delivered, sent(passage)) == ((), answer)


@pytest.mark.parametrize("flags", ["F", "P"])
def test_without_a_listener_it_draws_a_rst(flags: str) -> None:
    assert sent(syn("LISTEN 0 8 0.0.0.0:80 0.0.0.0:*", flags)) == [Flag.RST | Flag.ACK]


def test_an_old_connection_in_time_wait_takes_what_is_late_and_lets_a_new_syn_pass() -> None:
    rows = "LISTEN 0 8 0.0.0.0:22 0.0.0.0:*\nTIME-WAIT 0 0 192.0.2.1:22 192.0.2.9:4000\n"
    told = Told()

    assert "TIME-WAIT" in did(syn(rows, "."), Did.DELIVERED).reason
    assert syn(rows, told=told).delivered
    assert "higher number than its old connection" in told.texts


def test_a_connected_socket_of_udp_takes_what_its_peer_sends() -> None:
    ss = f"Netid {HEAD}udp ESTAB 0 0 192.0.2.1:53 192.0.2.9:9\n"
    space = netns(OUT, ss=ss, sysctls={})

    assert stack(space).receive("out0", udp("192.0.2.9:9", "192.0.2.1:53", to=OUT), 0).delivered
    assert not stack(space).receive("out0", udp("192.0.2.8:9", "192.0.2.1:53", to=OUT), 0).delivered


@pytest.mark.parametrize(
    ("info", "up", "taken"),
    [
        ({"id": 5, "port": 4789}, 1, 1),
        ({"id": 5, "port": 4790}, 1, 0),
        ({"id": 5, "port": 4789}, 0, 0),
        ({"id": 5, "port": 4789, "remote6": "fd00::1"}, 1, 0),
        ({"external": True, "id": 0, "port": 4789}, 1, 1),
    ],
)
def test_a_vxlan_device_has_a_socket_of_its_own(info: dict[str, object], up: int, taken: int) -> None:
    tunnel = replace(device("vx0", number=7, kind="vxlan", info=info), up=bool(up))
    space = netns(OUT, tunnel, ss="Netid " + HEAD + "udp UNCONN 0 0 0.0.0.0:53 0.0.0.0:*\n", sysctls={})
    passage = stack(space).receive("out0", udp("192.0.2.9:9", "192.0.2.1:4789", to=OUT), 0)

    assert len(passage.delivered) == taken
