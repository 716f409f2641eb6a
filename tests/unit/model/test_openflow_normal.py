from __future__ import annotations

import pytest
from openflow_samples import Asked, arrival, bridge, ports, sent

from bothways.facts.address import mac
from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, LearnedMac, Port
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.openflow.pipeline import MacTable, process

ONE, TWO, ALL = "02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"
SPAN = Span("br.fdb.txt", 2, text="static")


def switching(*given: Port | int, fdb: tuple[LearnedMac, ...] | None = ()) -> Bridge:
    learned = None if fdb is None else Dump(fdb, "br.fdb.txt")
    return bridge("priority=0 actions=NORMAL", ports(*given), fdb=learned)


def frame(port: int, src: str, dst: str, more: str = "") -> str:
    return f"tcp,in_port={port},dl_src={src},dl_dst={dst}{more}"


def test_a_switch_floods_until_it_has_learned() -> None:
    of, macs, oracle = switching(1, 2, 3), MacTable(), Asked()

    asked = process(of, arrival(frame(1, ONE, ALL)), macs, oracle)
    answer = process(of, arrival(frame(2, TWO, ONE)), macs, oracle)
    back = process(of, arrival(frame(1, ONE, TWO)), macs, oracle)

    assert [sent(p) for p in (asked, answer, back)] == [["p2", "p3"], ["p1"], ["p2"]]
    assert oracle.assumed == []


def test_copies_of_a_flood_are_told_apart() -> None:
    passage = process(switching(1, 2, 3), arrival(frame(1, ONE, ALL)), MacTable(), Asked())

    last = [output.steps[-1] for output in passage.outputs]
    assert [step.did for step in last] == [Did.COPIED, Did.COPIED]
    assert "out of p2" in last[0].reason


def test_a_dump_of_the_learned_macs_is_where_the_walk_starts() -> None:
    row = LearnedMac(mac(TWO), 3, 0, 5, Span("br.fdb.txt", 2))
    of, macs = switching(1, 2, 3, fdb=(row,)), MacTable()
    macs.seed(of)

    passage = process(of, arrival(frame(1, ONE, TWO)), macs, Asked())

    assert sent(passage) == ["p3"]
    assert row.span in passage.outputs[0].steps[-1].evidence


def test_a_static_entry_is_not_unlearned() -> None:
    of, macs = switching(1, 2, 3, fdb=(LearnedMac(mac(TWO), 3, 0, None, SPAN),)), MacTable()
    macs.seed(of)

    process(of, arrival(frame(2, TWO, ALL)), macs, Asked())

    assert sent(process(of, arrival(frame(1, ONE, TWO)), macs, Asked())) == ["p3"]


def test_a_frame_for_a_station_behind_its_own_port_is_dropped() -> None:
    of, macs = switching(1, 2, 3), MacTable()
    process(of, arrival(frame(1, TWO, ALL)), macs, Asked())

    passage = process(of, arrival(frame(1, ONE, TWO)), macs, Asked())

    assert (sent(passage), passage.steps[-1].did) == ([], Did.DROPPED)
    assert "where the frame came in" in passage.steps[-1].reason


def test_flooding_because_nobody_collected_the_learned_macs_is_an_assumption() -> None:
    oracle = Asked()

    process(switching(1, 2, fdb=None), arrival(frame(1, ONE, TWO)), MacTable(), oracle)

    assert oracle.assumed == [f"h br0 has not learned {TWO} and floods"]


def test_frames_for_bridges_themselves_are_not_forwarded() -> None:
    passage = process(switching(1, 2), arrival(frame(1, ONE, "01:80:c2:00:00:0e")), MacTable(), Asked())

    assert sent(passage) == []


def test_ports_that_are_configured_no_flood_or_no_fwd_get_nothing() -> None:
    quiet = Port("p2", 2, Span("p"), config=frozenset({"NO_FLOOD"}))
    shut = Port("p3", 3, Span("p"), config=frozenset({"NO_FWD"}))

    passage = process(switching(1, quiet, shut, 4), arrival(frame(1, ONE, ALL)), MacTable(), Asked())

    assert sent(passage) == ["p4"]


def test_the_bridges_own_port_and_ports_without_a_number_are_flooded_too() -> None:
    of = switching(1, Port("br0", None, Span("p")), Port("nameless", None, Span("p")))
    macs = MacTable()

    passage = process(of, arrival(frame(1, ONE, ALL)), macs, Asked())
    answer = process(of, arrival(f"tcp,in_port=LOCAL,dl_src={TWO},dl_dst={ONE}"), macs, Asked())

    assert sent(passage) == ["br0", "nameless"]
    assert sent(answer) == ["p1"]
    assert macs.look_up(of, 0, mac(TWO)) == (LOCAL, None)


VLANS = (
    Port("access10", 1, Span("p"), tag=10),
    Port("access12", 2, Span("p"), tag=12),
    Port("trunk", 3, Span("p")),
    Port("narrow", 4, Span("p"), trunks=(12,)),
    Port("native", 5, Span("p"), tag=10, vlan_mode="native-untagged"),
)


@pytest.mark.parametrize(
    ("port", "tag", "expected"),
    [
        (1, None, [("trunk", 10), ("native", None)]),
        (1, 10, []),
        (2, None, [("trunk", 12), ("narrow", 12), ("native", 12)]),
        (3, None, []),
        (3, 12, [("access12", None), ("narrow", 12), ("native", 12)]),
        (4, None, []),
        (4, 10, []),
        (5, None, [("access10", None), ("trunk", 10)]),
        (5, 12, [("access12", None), ("trunk", 12), ("narrow", 12)]),
    ],
)
def test_vlans(port: int, tag: int | None, expected: list[tuple[str, int | None]]) -> None:
    more = "" if tag is None else f",dl_vlan={tag}"

    passage = process(switching(*VLANS), arrival(frame(port, ONE, ALL, more)), MacTable(), Asked())

    assert [(o.port.name, o.packet.ethernet.vlan) for o in passage.outputs] == expected
    assert passage.unknown == ()


def test_a_vlan_mode_that_is_not_modelled_is_said() -> None:
    odd = Port("p2", 2, Span("p"), tag=10, vlan_mode="dot1q-someday")

    for port in (1, 2):
        passage = process(switching(1, odd, 3), arrival(frame(port, ONE, ALL)), MacTable(), Asked())

        assert any("dot1q-someday" in text for text in passage.unknown)
