"""A bridge whose tables are empty: who switches then (``ofproto/fail-open.c``, tried on Open vSwitch 3.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from openflow_samples import Asked, arrival, bridge, ports

from bothways.facts.step import Did
from bothways.model.openflow.pipeline import MacTable, process

SYN = "tcp,in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2"
CONTROLLER = ("tcp:127.0.0.1:6653",)


@pytest.mark.parametrize(
    ("fail_mode", "controllers", "open_"),
    [
        ("standalone", CONTROLLER, True),
        (None, CONTROLLER, True),
        ("secure", CONTROLLER, False),
        ("standalone", (), False),
        ("standalone", None, False),
        (None, None, False),
    ],
)
def test_without_flows_a_bridge_drops_unless_it_may_have_taken_over(
    fail_mode: str | None, controllers: tuple[str, ...] | None, *, open_: bool
) -> None:
    empty = replace(bridge("", ports(1, 2)), fail_mode=fail_mode, controllers=controllers)
    oracle = Asked()
    passage = process(empty, arrival(SYN), MacTable(), oracle)

    assert bool(passage.outputs) is open_
    assert bool(passage.unknown) is open_
    if not open_:
        assert passage.steps[-1].did is Did.DROPPED


def test_that_its_controller_answers_and_gives_no_flows_is_the_other_choice() -> None:
    empty = replace(bridge("", ports(1, 2)), controllers=CONTROLLER)
    passage = process(empty, arrival(SYN), MacTable(), Asked({"": "drops"}))

    assert passage.outputs == ()
    assert passage.steps[-1].did is Did.UNKNOWN
