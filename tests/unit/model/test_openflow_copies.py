"""Groups, clones and what else runs on a copy; learned flows; labels: as Open vSwitch 3.1.0 has them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from openflow_samples import Asked, arrival, bridge, ports, sent

from bothways.facts.choice import Freedom
from bothways.facts.dump import Dump
from bothways.facts.openflow import Bridge, Group, Port
from bothways.facts.span import Span
from bothways.model.openflow.learned import LearnedFlows
from bothways.model.openflow.passage import Passage
from bothways.model.openflow.pipeline import MacTable, process
from bothways.parse.openflow_groups import read_group

MACS = "dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
SYN = f"tcp,in_port=1,{MACS},nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1000,tp_dst=22,tcp_flags=syn"


def group(text: str, line: int) -> Group:
    found, problems = read_group(Span("groups", line, text=text))
    assert found is not None, problems
    return found


def through(
    flows: str, *groups: str, oracle: Asked | None = None, what: str = SYN, **more: object
) -> Passage:
    rows = tuple(group(text, line) for line, text in enumerate(groups, 1))
    of = bridge(flows, ports(1, 2, 3, 4), groups=Dump(rows, "groups"))
    return process(of, arrival(what), MacTable(), oracle or Asked(), **more)  # type: ignore[arg-type] # as the test gives


STACKED = (
    "load:3->NXM_NX_REG0[],push:NXM_NX_REG0[],clone(pop:NXM_NX_REG1[],output:2),pop:NXM_NX_REG2[],"
    "output:NXM_NX_REG2[]"
)
LOADED = "bundle_load(eth_src,50,active_backup,ofport,NXM_NX_REG0[0..15],members:9,3),output:NXM_NX_REG0[]"
ALL = "group_id=7,type=all,bucket=actions=output:2,bucket=actions=set_field:10.9.9.9->ip_src,output:3"


@pytest.mark.parametrize(
    ("flows", "groups", "expected"),
    [
        ("ip actions=group:7,output:4", [ALL], ["p2", "p3", "p4"]),
        ("ip actions=group:7", ["group_id=7,type=indirect,bucket=actions=output:2"], ["p2"]),
        (
            "ip actions=group:7",
            ["group_id=7,type=ff,bucket=watch_port:9,output:2,bucket=watch_port:3,output:3"],
            ["p3"],
        ),
        (
            "ip actions=group:7",
            [
                "group_id=7,type=ff,bucket=watch_group:8,output:2,bucket=watch_port:3,output:3",
                "group_id=8,type=ff,bucket=watch_port:9,output:4",
            ],
            ["p3"],
        ),
        ("ip actions=group:7,output:4", ["group_id=7,type=ff,bucket=watch_port:9,output:2"], ["p4"]),
        ("ip actions=write_actions(group:7,output:4)", [ALL], ["p2", "p3"]),
        # a bucket is an action set: writes first, one output, none to a register
        (
            "ip actions=group:7",
            ["group_id=7,type=all,bucket=actions=output:2,output:3,set_field:10.9.9.9->ip_src"],
            ["p3"],
        ),
        ("ip actions=group:7", ["group_id=7,type=all,bucket=actions=set_field:10.9.9.9->ip_src"], []),
        # leaving a bucket is not leaving the flow; leaving a clone is
        (
            "ip actions=group:7,output:4\ntable=1 actions=exit",
            ["group_id=7,type=all,bucket=resubmit(,1)"],
            ["p4"],
        ),
        ("ip actions=clone(exit),output:4", [], []),
        ("ip actions=clone(output:2),output:4", [], ["p2", "p4"]),
        ("ip actions=write_actions(output:3),goto_table:1\ntable=1 actions=exit", [], []),
        # a clone takes action set and stack along, and gives back its own
        (
            "ip actions=write_actions(output:4),goto_table:1\ntable=1 actions=clone(output:3)",
            [],
            ["p3", "p4", "p4"],
        ),
        (
            f"ip actions={STACKED}",
            [],
            ["p2", "p3"],
        ),
        ("ip actions=group:9,output:2", [], []),
        # two flows of three and one choose by a hash that the switch computes itself
        ("ip actions=bundle(eth_src,50,active_backup,ofport,members:9,3,2)", [], ["p3"]),
        ("ip actions=bundle(eth_src,50,hrw,ofport,members:9)", [], []),
        (
            f"ip actions={LOADED}",
            [],
            ["p3"],
        ),
    ],
)
def test_where_copies_go(flows: str, groups: list[str], expected: list[str]) -> None:
    passage = through(flows, *groups)

    assert (sent(passage), passage.unknown) == (expected, ())


def test_what_a_bucket_writes_is_seen_by_its_own_copy_only() -> None:
    first, second, third = through("ip actions=group:7,output:4", ALL).outputs

    assert [str(copy.packet.source) for copy in (first, second, third)] == [
        "10.0.0.1:1000", "10.9.9.9:1000", "10.0.0.1:1000",
    ]  # fmt: skip
    assert any("group 7 bucket 1" in step.reason for step in second.steps)


SELECT = "type=select,bucket=output:2,bucket=output:3,bucket=weight:7,output:4"


def test_a_datapath_chooses_a_bucket_as_it_likes() -> None:
    for method in ("", "selection_method=dp_hash,"):
        first, other = Asked(), Asked({"": "bucket 1"})

        one, two = (
            through("actions=group:7", f"group_id=7,{method}{SELECT}", oracle=o) for o in (first, other)
        )

        assert (sent(one), sent(two)) == (["p2"], ["p3"])
        assert (one.unknown, first.freedoms) == ((), {Freedom.FREE})
        assert one.steps == ()


@pytest.mark.parametrize(
    ("source", "port", "expected"),
    # scores as the switch prints them: 10833, 60995, 203952 and 3571, 9075, 4144
    [("1.2.3.4", 44, "p4"), ("1.2.3.5", 45, "p3")],
)
def test_a_hash_of_fields_is_computed(source: str, port: int, expected: str) -> None:
    fields = "selection_method=hash,fields(ip_src,ip_dst,tcp_src),"
    what = f"tcp,in_port=1,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_src={source},nw_dst=4.3.2.1"
    oracle = Asked()

    passage = through(
        "actions=group:7",
        f"group_id=7,{fields}{SELECT}",
        what=f"{what},tp_src={port},tp_dst=80",
        oracle=oracle,
    )

    assert (sent(passage), passage.unknown, oracle.asked) == ([expected], (), {})


def test_groups_that_were_not_collected_are_not_known() -> None:
    passage = process(bridge("actions=group:7"), arrival(SYN), MacTable(), Asked())

    assert "`ovs-ofctl dump-groups br0` was not collected" in passage.unknown[0]


# -- learning ------------------------------------------------------------------------------------------

LEARNING = """table=0 actions=learn(table=9,priority=5,cookie=0x7,NXM_OF_VLAN_TCI[0..11],\
NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0x2->NXM_NX_REG3[],output:NXM_OF_IN_PORT[]),resubmit(,9)
table=9,priority=1 actions=output:4"""


def test_what_a_packet_teaches_is_known_to_the_next_one() -> None:
    of, learned = bridge(LEARNING.replace("\\\n", ""), ports(1, 2, 3, 4)), LearnedFlows()
    back = SYN.replace("in_port=1", "in_port=3").replace(
        MACS, "dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01"
    )

    one = process(of, arrival(SYN), MacTable(), Asked(), learned=learned)
    two = process(of, arrival(back), MacTable(), Asked(), learned=learned)

    assert (sent(one), sent(two)) == (["p4"], ["p1"])
    (flow,) = [flow for flow in learned.all(of) if flow.actions[-1].args == {"port": 1}]
    assert (flow.table, flow.priority, flow.cookie, flow.span.line) == (9, 5, 7, 1)
    assert [(term.field, term.value) for term in flow.match] == [("vlan_tci", 0), ("eth_dst", 0x020000000001)]
    assert flow.actions[0].args["value"] == 2
    assert any("a flow is learned in table 9" in step.reason for step in one.outputs[0].steps)


def test_the_same_packet_teaches_nothing_twice_and_a_trace_nothing_at_all() -> None:
    of, learned, still = (
        bridge(LEARNING.replace("\\\n", ""), ports(1, 2, 3, 4)),
        LearnedFlows(),
        LearnedFlows(still=True),
    )

    for _ in range(3):
        process(of, arrival(SYN), MacTable(), Asked(), learned=learned)
        process(of, arrival(SYN), MacTable(), Asked(), learned=still)
    learned.settle()

    assert (len(learned.all(of)), len(still.all(of))) == (1, 0)


# -- sizes, labels, tags ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "expected"), [(1501, ["p3"]), (1500, ["p2"])])
def test_a_length_decides(size: int, expected: list[str]) -> None:
    flows = """ip actions=check_pkt_larger(1500)->NXM_NX_REG0[3],resubmit(,1)
               table=1,reg0=0x8/0x8 actions=output:3
               table=1 actions=output:2"""
    flows = flows.replace("table=1 actions", "table=1,reg0=0x0/0x8 actions")
    given = arrival(SYN)
    sized = replace(given, packet=replace(given.packet, length=size))

    passage = process(bridge(flows), sized, MacTable(), Asked())

    assert (sent(passage), passage.unknown) == (expected, ())


def test_a_label_covers_the_packet_and_the_datapath_uncovers_it() -> None:
    flows = """ip actions=push_mpls:0x8847,set_field:7->mpls_label,output:2,resubmit(,1)
               table=1,mpls,mpls_label=7 actions=pop_mpls:0x0800,dec_ttl,output:3"""

    labelled, bare = through(flows).outputs

    assert (labelled.packet.ethernet.type, labelled.packet.ip, labelled.fields["mpls_label"][0]) == (
        0x8847,
        None,
        7,
    )
    assert str(bare.packet.source) == "10.0.0.1:1000"
    assert bare.packet.ip is not None
    assert bare.packet.ip.ttl == 63


def test_two_tags_go_on_and_off() -> None:
    pushed = "push_vlan:0x88a8,set_field:4096->vlan_vid,push_vlan:0x8100,set_field:4106->vlan_vid"

    both, one, none = through(f"ip actions={pushed},output:2,pop_vlan,output:3,pop_vlan,output:4").outputs

    assert (both.packet.ethernet.vlan, both.fields["vlan_tci1"][0]) == (10, 0x1000)
    assert (one.packet.ethernet.vlan, one.fields["vlan_tci1"][0]) == (0, 0)
    assert none.packet.ethernet.vlan is None


def test_a_cut_copy_says_how_long_it_is_and_none_goes_through_a_patch() -> None:
    of = bridge("actions=output(port=2,max_len=100),output(port=3,max_len=64)",
                ports(1, 2, Port("patch", 3, Span("p"), kind="patch")))  # fmt: skip

    passage = process(of, arrival(SYN), MacTable(), Asked())

    assert [(output.port.name, output.cut) for output in passage.outputs] == [("p2", 100)]
    assert passage.unknown == ()


def test_a_meter_is_taken_to_let_a_packet_pass() -> None:
    oracle = Asked()

    passage = through("ip actions=meter:3,output:2", oracle=oracle)

    assert (sent(passage), passage.unknown) == (["p2"], ())
    assert any("meter 3" in text for text in oracle.assumed)


def test_resubmit_to_the_original_direction_needs_a_tracked_packet() -> None:
    passage = through("ip actions=resubmit(,1,ct),output:2\ntable=1 actions=output:3")

    assert (sent(passage), passage.unknown) == (["p2"], ())


def tree(state: str) -> Bridge:
    held = ports(1, Port("p2", 2, Span("p"), state=frozenset({state} if state else ())))
    return replace(bridge("actions=output:2", held), spanning_tree=True)


@pytest.mark.parametrize(("state", "expected"), [("STP_FORWARD", ["p2"]), ("STP_BLOCK", []), ("", ["p2"])])
def test_a_spanning_tree_blocks_ports(state: str, expected: list[str]) -> None:
    oracle = Asked()

    passage = process(tree(state), arrival(SYN), MacTable(), oracle)

    assert sent(passage) == expected
    assert bool(oracle.assumed) is (state == "")


LIMITED = """table=0 actions=learn(table=9,limit=2,result_dst=reg0[4],cookie=0x7,NXM_OF_IP_SRC[]),resubmit(,1)
table=1,reg0=0x10/0x10 actions=output:2
table=1,reg0=0/0x10 actions=output:3
cookie=0x7,table=9,ip,nw_src=10.9.9.9 actions=drop
cookie=0x8,table=9,ip,nw_src=10.9.9.8 actions=drop
cookie=0x7,table=8,ip,nw_src=10.9.9.7 actions=drop"""


def test_learning_ends_where_a_table_has_as_many_flows_of_the_cookie_as_it_may() -> None:
    of, learned = bridge(LIMITED, ports(1, 2, 3, 4)), LearnedFlows()

    def sent_for(source: str) -> list[str]:
        what = arrival(SYN.replace("nw_src=10.0.0.1", f"nw_src={source}"))
        return sent(process(of, what, MacTable(), Asked(), learned=learned))

    assert sent_for("10.0.0.1") == ["p2"]
    assert sent_for("10.0.0.2") == ["p3"]
    assert sent_for("10.0.0.1") == ["p2"]  # it is there already
    learned.settle()
    assert len(learned.all(of)) == 1


def test_a_limit_needs_all_flows_of_the_table() -> None:
    of = bridge(LIMITED, ports(1, 2, 3, 4))
    assert of.flows is not None
    partial = replace(of, flows=replace(of.flows, partial="table=0"))
    passage = process(partial, arrival(SYN), MacTable(), Asked(), learned=LearnedFlows())

    assert any("were not all collected" in text for text in passage.unknown)


def test_groups_that_come_back_through_the_set_of_a_clone_end_as_tables_do() -> None:
    """Each round enters a table and a group more deeply; the 64th ends it, and nothing goes out."""
    circle = "group_id=7,type=all,bucket=actions=resubmit(,1),bucket=actions=output:3"
    passage = through("table=0,ip actions=group:7\ntable=1,ip actions=clone(write_actions(group:7))", circle)

    assert sent(passage) == []
    assert any("again and again" in step.reason for step in passage.steps)


def test_copies_within_copies_that_are_too_deep_are_not_known() -> None:
    tables = [f"table={n},actions=clone(resubmit(,{n + 1})),output:2" for n in range(250)]
    passage = through("\n".join([*tables, "table=250,actions=output:3"]))

    assert passage.outputs == ()
    assert any("copied within copies" in text for text in passage.unknown)
