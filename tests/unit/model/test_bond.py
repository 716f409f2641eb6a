"""Ports of a bond: which takes a frame out, and which takes none in."""

from __future__ import annotations

import pytest
from linux_samples import Told, device, frame, netns, route, stack

from bothways.facts.device import Device
from bothways.facts.step import Did
from bothways.parse.ip_text import parse_addr_text

SLAVE = "bond"


def port(name: str, number: int, state: str = "", *, up: bool = True) -> Device:
    slave = {"info_slave_kind": SLAVE, "info_slave_data": {"state": state}}
    return device(name, number=number, master="bond0", up=up, info=slave if state else {})


def bond(mode: str, **info: object) -> Device:
    return device("bond0", "192.0.2.1/24", number=9, kind="bond", info={"mode": mode, **info})


def left_by(*devices: Device, told: Told | None = None) -> tuple[list[str], tuple[str, ...]]:
    """The ports by which a frame of the bond leaves, and what is not known."""
    space = stack(netns(*devices, routes=(route("192.0.2.0/24 dev bond0"),), sysctls={}), told)
    ready = frame("192.0.2.1:1024", "192.0.2.9:22", to=device("peer", number=8))
    passage = space.transmit("bond0", ready)
    return [sent.device for sent in passage.transmissions], passage.unknown


@pytest.mark.parametrize(
    ("mode", "ports", "leaves"),
    [
        ("active-backup", (port("e0", 2, "BACKUP"), port("e1", 3, "ACTIVE")), ["e1"]),
        ("active-backup", (port("e0", 2, "ACTIVE"), port("e1", 3, "BACKUP")), ["e0"]),
        ("active-backup", (port("e0", 2, "ACTIVE", up=False), port("e1", 3, "BACKUP")), ["e1"]),
        ("broadcast", (port("e0", 2), port("e1", 3)), ["e0", "e1"]),
        ("802.3ad", (port("e0", 2), port("e1", 3, up=False)), ["e0"]),
        ("802.3ad", (port("e0", 2, up=False),), []),
    ],
)
def test_the_dump_says_which_port_works(mode: str, ports: tuple[Device, ...], leaves: list[str]) -> None:
    assert left_by(bond(mode), *ports) == (leaves, ())


def test_the_bond_may_name_its_active_port() -> None:
    ports = port("e0", 2), port("e1", 3)

    assert left_by(bond("active-backup", active_slave="e1"), *ports) == (["e1"], ())


def test_of_several_that_work_the_network_chooses() -> None:
    told = Told()
    leaves, unknown = left_by(bond("802.3ad"), port("e0", 2), port("e1", 3), told=told)

    assert (len(leaves), unknown) == (1, ())
    assert any("port of bond0" in key for key in told.asked)


def test_where_the_dump_does_not_say_it_is_told() -> None:
    _, unknown = left_by(bond("active-backup"), port("e0", 2), port("e1", 3))

    assert any("by which port of bond0" in text for text in unknown)


def test_a_port_that_rests_takes_nothing() -> None:
    resting, working = port("e0", 2, "BACKUP"), port("e1", 3, "ACTIVE")
    mine = bond("active-backup")
    space = stack(netns(mine, resting, working, sysctls={}))
    arriving = frame("192.0.2.9:1024", "192.0.2.1:22", to=mine)

    assert space.receive("e0", arriving, 0).steps[-1].did is Did.IGNORED
    assert space.receive("e1", arriving, 0).steps[-1].did is not Did.IGNORED


def test_what_ip_says_of_a_bond_is_read() -> None:
    text = (
        "4: bond0: <BROADCAST,MULTICAST,MASTER,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default\n"
        "    link/ether 02:00:00:00:00:09 brd ff:ff:ff:ff:ff:ff promiscuity 0\n"
        "    bond mode active-backup active_slave e1 miimon 100 updelay 0 downdelay 0\n"
        "5: e1: <BROADCAST,MULTICAST,SLAVE,UP,LOWER_UP> mtu 1500 master bond0 state UP group default\n"
        "    link/ether 02:00:00:00:00:09 brd ff:ff:ff:ff:ff:ff promiscuity 0\n"
        "    bond_slave state ACTIVE mii_status UP link_failure_count 0 queue_id 0\n"
    )
    mine, active = parse_addr_text(text, file="addr.txt").rows

    assert (mine.info["mode"], mine.info["active_slave"]) == ("active-backup", "e1")
    data = active.info["info_slave_data"]
    assert isinstance(data, dict)
    assert (data["state"], data["link_failure_count"], active.group) == ("ACTIVE", 0, "default")
