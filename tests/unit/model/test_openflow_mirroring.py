"""Mirrors of a bridge: what they copy, where the copies go, and with which tags."""

from __future__ import annotations

from openflow_samples import Asked, arrival, bridge, ports, sent

from bothways.facts.openflow import Bridge, Mirror, Port
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.openflow.passage import Passage
from bothways.model.openflow.pipeline import MacTable, process

SPAN = Span("ovsdb.jsonl", 7, text="a mirror")
TCP = "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2"
TAPPED = ports(1, 2, 3, Port("p5", 5, SPAN, tag=10), Port("p6", 6, SPAN, trunks=(10, 20)))


def mirrored(mirror: Mirror, flows: str = "actions=output:2", *others: Mirror) -> Bridge:
    return bridge(flows, TAPPED, mirrors=(mirror, *others))


def passed(given: Bridge, packet: str = TCP, in_port: int = 1) -> Passage:
    return process(given, arrival(f"in_port={in_port},{packet}"), MacTable(), Asked())


def copied(passage: Passage) -> list[tuple[str, str, int | None]]:
    """Mirror, port and VLAN of each copy that a mirror made."""
    return [
        (output.mirror, output.port.name, output.packet.ethernet.vlan)
        for output in passage.outputs
        if output.mirror
    ]


def test_what_comes_in_at_a_port_is_copied_as_it_came() -> None:
    given = mirrored(
        Mirror("m", SPAN, select_src=("p1",), output="p3"), "actions=set_field:10.9.9.9->ip_dst,output:2"
    )
    passage = passed(given)
    real, copy = passage.outputs

    assert (real.port.name, copy.port.name, copy.mirror) == ("p2", "p3", "m")
    assert real.packet.ip is not None
    assert copy.packet.ip is not None
    assert (str(real.packet.ip.dst), str(copy.packet.ip.dst)) == ("10.9.9.9", "10.0.0.2")
    assert any(step.did is Did.COPIED and SPAN in step.evidence for step in copy.steps)
    assert not any(step.function == "table=0" and step.did is Did.CHANGED for step in copy.steps)


def test_what_goes_out_of_a_port_is_copied_as_it_goes() -> None:
    given = mirrored(
        Mirror("m", SPAN, select_dst=("p2",), output="p3"), "actions=set_field:10.9.9.9->ip_dst,output:2"
    )
    copy = passed(given).outputs[-1]

    assert copy.packet.ip is not None
    assert (copy.mirror, str(copy.packet.ip.dst)) == ("m", "10.9.9.9")


def test_one_destination_gets_one_copy_of_a_packet() -> None:
    given = mirrored(Mirror("m", SPAN, select_all=True, output="p3"), "actions=output:2,output:2")

    assert copied(passed(given)) == [("m", "p3", None)]
    assert sent(passed(given)) == ["p2", "p2", "p3"]


def test_a_packet_that_is_dropped_is_copied_all_the_same_and_stays_dropped() -> None:
    passage = passed(mirrored(Mirror("m", SPAN, select_all=True, output="p3"), "actions=drop"))

    assert copied(passage) == [("m", "p3", None)]
    assert passage.steps[-1].did is Did.DROPPED


def test_a_mirror_of_vlans_takes_those_inside_the_bridge() -> None:
    wanted = Mirror("m", SPAN, select_all=True, select_vlans=(10,), output="p3")

    assert copied(passed(mirrored(wanted))) == []
    assert copied(passed(mirrored(wanted), in_port=5)) == [("m", "p3", 10)]


def test_a_mirror_into_a_vlan_floods_there_and_moves_nothing_that_is_there() -> None:
    into = Mirror("m", SPAN, select_src=("p1", "p6"), output_vlan=10)

    assert copied(passed(mirrored(into))) == [
        ("m", "p1", 10), ("m", "p2", 10), ("m", "p3", 10), ("m", "p5", None), ("m", "p6", 10),
    ]  # fmt: skip
    assert copied(passed(mirrored(into), f"{TCP},dl_vlan=10", 6)) == []


def test_a_mirror_cuts_what_it_copies() -> None:
    copy = passed(mirrored(Mirror("m", SPAN, select_all=True, output="p3", snaplen=64))).outputs[-1]

    assert (copy.mirror, copy.cut) == ("m", 64)


def test_a_port_where_a_mirror_sends_to_takes_nothing_in() -> None:
    given = mirrored(Mirror("m", SPAN, select_src=("p1",), output="p3"))
    passage = passed(given, in_port=3)

    assert passage.outputs == ()
    assert "where a mirror sends to" in passage.steps[-1].reason


def test_a_mirror_with_a_filter_is_not_known() -> None:
    passage = passed(mirrored(Mirror("m", SPAN, select_all=True, output="p3", filter="icmp")))

    assert copied(passage) == []
    assert any("its filter is not modelled" in text for text in passage.unknown)


def test_mirrors_for_one_port_make_one_copy() -> None:
    one, two = (Mirror(name, SPAN, select_all=True, output="p3") for name in ("m", "n"))

    assert copied(passed(mirrored(one, "actions=output:2", two))) == [("m", "p3", None)]


def test_a_mirror_without_a_destination_does_nothing() -> None:
    assert copied(passed(mirrored(Mirror("m", SPAN, select_all=True)))) == []
