from __future__ import annotations

import pytest
from openflow_samples import Asked, arrival, bridge, ports, sent

from bothways.facts.choice import Freedom
from bothways.facts.openflow import Bridge
from bothways.facts.step import Did
from bothways.model.openflow.passage import Passage
from bothways.model.openflow.pipeline import MacTable, process
from bothways.model.openflow.tables import tables_of

SYN = (
    "tcp,in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,"
    "nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1000,tp_dst=22,tcp_flags=syn"
)


def through(of: Bridge, oracle: Asked | None = None, what: str = SYN) -> Passage:
    return process(of, arrival(what), MacTable(), oracle or Asked())


def test_the_highest_priority_wins_wherever_it_stands() -> None:
    passage = through(
        bridge("""priority=1 actions=output:2
                  priority=9,tcp actions=output:3
                  priority=5,ip actions=output:2""")
    )

    assert (sent(passage), passage.unknown) == (["p3"], ())


def test_a_miss_drops_and_says_where() -> None:
    passage = through(bridge("actions=goto_table:7"))

    assert [s.did for s in passage.steps] == [Did.MATCHED, Did.DROPPED]
    assert passage.steps[-1].reason == "no flow of table 7 matches"
    assert passage.unknown == ()


def test_a_miss_in_a_filtered_view_proves_nothing() -> None:
    passage = through(bridge("udp actions=output:2", partial="grep udp"))

    assert passage.steps[-1].did is Did.UNKNOWN
    assert any("filtered view (grep udp)" in text for text in passage.unknown)


def test_a_hit_in_a_filtered_view_may_be_overruled() -> None:
    passage = through(bridge("tcp actions=output:2", partial="grep tcp"))

    assert sent(passage) == ["p2"]
    assert any("filtered view (grep tcp) hides" in text for text in passage.unknown)


def test_two_flows_of_one_priority_are_a_choice_that_is_said() -> None:
    two = bridge("""tcp actions=output:2
                    tp_dst=22,tcp actions=output:3
                    priority=1 actions=drop""")
    first, other = Asked(), Asked({"": "br.flows.txt:2"})

    one, second = through(two, first), through(two, other)

    assert (sent(one), sent(second)) == (["p2"], ["p3"])
    assert first.freedoms == {Freedom.UNKNOWN}
    assert all("match and act differently" in " ".join(p.unknown) for p in (one, second))
    assert list(first.asked) == list(other.asked)


def test_two_flows_of_one_priority_that_do_the_same_are_no_choice() -> None:
    oracle = Asked()

    passage = through(bridge("tcp actions=output:2\nip actions=output:2"), oracle)

    assert (sent(passage), passage.unknown, oracle.asked) == (["p2"], (), {})


def test_a_term_that_is_not_modelled_forks_where_the_flow_could_win() -> None:
    doubtful = bridge("""priority=9,tcp,frobnicate=1 actions=drop
                         priority=1 actions=output:2""")
    other = Asked({"": "br.flows.txt:1"})

    likely, less = through(doubtful), through(doubtful, other)

    assert sent(likely) == ["p2"]
    assert (sent(less), less.steps[-1].did) == ([], Did.DROPPED)
    assert all("`frobnicate=1`" in " ".join(p.unknown) for p in (likely, less))


def test_a_term_that_is_not_modelled_is_no_matter_where_the_flow_cannot_win_or_acts_alike() -> None:
    for flows in (
        "priority=9,tcp actions=output:2\npriority=1,tcp,frobnicate=1 actions=drop",
        "priority=9,udp,frobnicate=1 actions=drop\npriority=1 actions=output:2",
        "priority=9,tcp,frobnicate=1 actions=output:2\npriority=1 actions=output:2",
    ):
        passage = through(bridge(flows))

        assert (sent(passage), passage.unknown) == (["p2"], ()), flows


def test_a_doubtful_flow_alone_in_its_table_may_miss() -> None:
    oracle = Asked()

    passage = through(bridge("frobnicate=1 actions=output:2"), oracle)

    assert passage.steps[-1].reason == "no flow of table 0 matches"
    assert [len(options) for options in oracle.asked.values()] == [2]
    assert passage.unknown


def test_a_conjunction_counts_if_every_clause_has_a_match() -> None:
    met = """priority=9,ip,nw_src=10.0.0.1 actions=conjunction(7,1/2)
             priority=9,tcp,tp_dst={port} actions=conjunction(7,2/2)
             priority=3,conj_id=7,ip actions=output:3
             priority=1 actions=output:2"""

    missing, whole = through(bridge(met.format(port=80))), through(bridge(met.format(port=22)))

    assert (sent(missing), missing.unknown) == (["p2"], ())
    assert (sent(whole), whole.unknown) == (["p3"], ())
    (step,) = whole.outputs[0].steps
    assert {span.line for span in step.evidence} == {1, 2, 3}


BOTH = "priority=9,ip actions=conjunction(7,1/2)\npriority=9,tcp actions=conjunction(7,2/2)"
SHARED = """priority=9,ip actions=conjunction(6,1/2),conjunction(7,1/2)
            priority=9,tcp actions=conjunction(7,2/2)
            priority=9,udp actions=conjunction(6,2/2)
            priority=4,conj_id=7 actions=output:3
            priority=4,conj_id=6 actions=drop"""


@pytest.mark.parametrize(
    ("flows", "expected"),
    [
        # nothing but clauses of one priority make up a conjunction
        ("priority=9,ip actions=conjunction(7,1/2)\npriority=8,tcp actions=conjunction(7,2/2)", "p2"),
        # a flow of the same priority that matches by itself wins
        (
            f"{BOTH}\npriority=9,tp_dst=22,tcp actions=output:3",
            "p3",
        ),
        # a clause of a higher priority hides a flow of the same match, unless its conjunction fails
        ("priority=9,ip actions=conjunction(7,1/2)\npriority=5,ip actions=output:3", "p3"),
        (
            f"{BOTH}\npriority=5,ip actions=output:3",
            "p2",
        ),
        # one clause may count for several conjunctions
        (
            SHARED,
            "p3",
        ),
    ],
)
def test_which_clauses_count(flows: str, expected: str) -> None:
    passage = through(bridge(f"{flows}\npriority=1 actions=output:2"))

    assert (sent(passage), passage.unknown) == ([expected], ())


def test_two_conjunctions_of_one_priority_are_free() -> None:
    flows = bridge("""priority=9,ip actions=conjunction(6,1/2),conjunction(7,1/2)
                      priority=9,tcp actions=conjunction(6,2/2),conjunction(7,2/2)
                      priority=4,conj_id=6 actions=output:2
                      priority=4,conj_id=7 actions=output:3""")
    first, other = Asked(), Asked({"": "conj_id=7"})

    assert (sent(through(flows, first)), sent(through(flows, other))) == (["p2"], ["p3"])
    assert first.freedoms == {Freedom.FREE}


def test_a_clause_that_nobody_can_tell_is_said() -> None:
    passage = through(
        bridge("""priority=9,ip,frobnicate=1 actions=conjunction(7,1/2)
                  priority=9,tcp actions=conjunction(7,2/2)
                  priority=4,conj_id=7 actions=output:3
                  priority=1 actions=output:2""")
    )

    assert sent(passage) == ["p2"]
    assert any("`frobnicate=1`" in text for text in passage.unknown)


def test_the_index_of_a_dump_is_built_once() -> None:
    one = bridge("priority=1 actions=output:2", ports(1, 2))
    assert one.flows is not None

    assert tables_of(one.flows) is tables_of(one.flows)
