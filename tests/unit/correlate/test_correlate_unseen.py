"""Taps that should have shown a packet: when that is certain, and what disproves it."""

from dataclasses import replace

import pytest
from correlate_samples import captures, only, seen, together

from bothways.correlate import correlate, first_unseen
from bothways.facts.address import Mac, address
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.sighting import Capture, Sighting
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Span
from bothways.facts.trajectory import Trajectory, Unseen

CLIENT, FLOATING, MACHINE = "192.0.2.9:40000", "203.0.113.5:22", "10.0.0.4:22"
ISN, ANSWER = 3_000_000_000, 1_234_567_890


def syn(at: str, time: float, server: str = FLOATING) -> Sighting:
    return seen(at, time, f"{CLIENT} > {server}", "S", seq=ISN)


def synack(at: str, time: float, server: str = FLOATING) -> Sighting:
    return seen(at, time, f"{server} > {CLIENT}", "S.", seq=ANSWER, ack=ISN + 1)


def data(at: str, time: float, server: str = FLOATING, number: int = 1) -> Sighting:
    return seen(at, time, f"{CLIENT} > {server}", "P.", seq=ISN + number, ack=ANSWER + 1, length=7)


def bypass() -> list[Sighting]:
    """The answer takes another way than the question: it never passes the router r on g."""
    return [
        syn("c:eth0", 0), syn("g/r:qg", 100), syn("g/r:qr", 120, MACHINE), syn("m:tap", 300, MACHINE),
        synack("m:tap", 400, MACHINE), synack("m:eth0", 450), synack("c:eth0", 700),
        data("c:eth0", 800), data("g/r:qg", 900), data("g/r:qr", 930, MACHINE), data("m:tap", 1100, MACHINE),
    ]  # fmt: skip


def unseen(trajectory: Trajectory) -> dict[str, Unseen]:
    return {str(u.tap): u for u in trajectory.unseen}


def answer_of(rows: list[Sighting], **changes: object) -> Trajectory:
    """The answer's trajectory, where the capture at ``qr`` is changed."""
    taken = tuple(
        replace(c, **changes) if c.tap.device == "qr" else c  # type: ignore[arg-type]  # a table of fields
        for c in captures(rows, filter_="port 22")
    )
    admits = {"port 22": True, "host 10.0.0.4": False, None: None}

    def ask(capture: Capture, sighting: Sighting) -> bool | None:
        hidden = capture.filter == "dst host 203.0.113.5" and sighting.packet.source is not None
        return None if hidden else admits.get(capture.filter)

    return only(correlate(taken, snapshot=Snapshot(), admits=ask)).trajectories[1]


def test_an_answer_that_went_round_is_certainly_not_seen() -> None:
    found = unseen(answer_of(bypass()))

    assert list(found) == ["g/r:qr", "g/r:qg"]
    assert all(u.certain for u in found.values())
    assert "recorded the connection before and after" in found["g/r:qr"].why
    assert "lost none" in found["g/r:qr"].why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"dropped": None}, "whether the capture lost packets is not known"),
        ({"dropped": 3}, "lost 3 packets"),
        ({"filter": "host 10.0.0.4"}, "the filter `host 10.0.0.4` does not admit the packet"),
        ({"filter": "something odd"}, "the filter `something odd` may not admit the packet"),
        ({"filter": None}, "its filter is not known"),
    ],
)
def test_a_capture_that_may_have_missed_it_proves_nothing(changes: dict[str, object], why: str) -> None:
    found = unseen(answer_of(bypass(), **changes))["g/r:qr"]

    assert not found.certain
    assert why in found.why


def test_a_capture_that_ended_before_proves_nothing_unless_its_times_are_known() -> None:
    rows = [s for s in bypass() if not (s.tap.device == "qr" and s.time_ns > 500_000)]

    assert "ran at that time is not known" in unseen(answer_of(rows))["g/r:qr"].why
    assert unseen(answer_of(rows, started=-1.0, stopped=9.0))["g/r:qr"].certain
    assert not unseen(answer_of(rows, started=-1.0, stopped=0.0002))["g/r:qr"].certain
    # A file that broke off: one packet is read, two were captured.
    assert not unseen(answer_of(rows, started=-1.0, stopped=9.0, captured=2))["g/r:qr"].certain


def test_a_capture_of_all_devices_never_proves_it() -> None:
    rows = [replace(s, tap=replace(s.tap, device="any")) if s.tap.device == "qr" else s for s in bypass()]
    found = unseen(only(together(*rows)).trajectories[1])["g/r:any"]

    assert not found.certain
    assert "without telling" in found.why


def test_a_tap_behind_it_disproves_a_gap() -> None:
    """The data packet is missing at qg, but qr behind it shows it: a gap, not a loss."""
    rows = [s for s in bypass() if not (s.tap.device == "qg" and s.time_ns > 500_000)]
    rows += [data("c:eth0", 2000, number=8), data("g/r:qg", 2100, number=8), data("g/r:qr", 2130, MACHINE, 8)]
    trajectory = only(together(*rows)).trajectories[2]
    found = unseen(trajectory)["g/r:qg"]

    assert not found.certain
    assert found.why.startswith("g/r:qr shows it")
    assert first_unseen(trajectory) is None


def test_the_first_tap_that_did_not_see_a_packet() -> None:
    """The data packet reaches qg and nothing behind it."""
    rows = [s for s in bypass() if s.time_ns < 910_000]
    rows += [
        data("c:eth0", 2000, number=8), data("g/r:qg", 2100, number=8), data("g/r:qr", 2130, MACHINE, 8),
        data("m:tap", 2300, MACHINE, 8),
    ]  # fmt: skip
    first = first_unseen(only(together(*rows)).trajectories[2])

    assert first is not None
    assert str(first.tap) == "g/r:qr"


def test_a_reset_is_expected_only_behind_where_it_was_seen() -> None:
    rows = bypass()
    rows += [
        seen("g/r:qg", 2000, f"{FLOATING} > {CLIENT}", "R", seq=ANSWER + 1),
        seen("c:eth0", 2100, f"{FLOATING} > {CLIENT}", "R", seq=ANSWER + 1),
        seen("m:tap", 9000, f"{MACHINE} > {CLIENT}", "P.", seq=ANSWER + 1, ack=ISN, length=3),
    ]
    reset = next(
        t
        for t in only(together(*rows)).trajectories
        if "g/r:qg" in {str(s.tap) for s in t.sightings} and t.flags == 4
    )

    assert reset.unseen == ()


def test_a_gap_of_a_capture_of_all_devices_is_a_problem() -> None:
    rows = []
    for n in range(3):
        rows.append(data("h:eth0", n * 1000, number=n * 7))
        if n != 1:
            rows.append(replace(data("h:any", n * 1000 + 1, number=n * 7), device="eth0"))
    (problem,) = together(*rows).problems

    assert problem.message == "the capture h:any lacks a frame that h:eth0 shows"
    assert (problem.span.file, problem.span.frame) == ("h:eth0.pcap", 2)


def holder(host: str, text: str) -> Snapshot:
    span = Span("addr.json", line=1)
    device = Device(
        "qg", 1, Mac("02:00:00:00:00:01"), span, addresses=(InterfaceAddress(address(text), 32, span),)
    )
    return Snapshot({host: Host(host, {"r": Netns(host, "r", devices=Dump((device,), "addr.json"))})})


@pytest.mark.parametrize(("owner", "told"), [("g", True), ("m", False), (None, False)])
def test_a_host_that_gives_packets_an_address_of_another(owner: str | None, told: object) -> None:
    snapshot = Snapshot() if owner is None else holder(owner, "203.0.113.5")
    problems = together(*bypass(), snapshot=snapshot).problems

    assert bool(problems) is told
    assert all("`203.0.113.5`, which g/r:qg holds" in p.message for p in problems)
