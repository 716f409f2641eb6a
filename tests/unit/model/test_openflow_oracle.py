"""
The tables, held to what Open vSwitch 3.1.0 said in ``ofproto/trace``.

Final flow, outputs and look-ups must be what the switch said, or the model must say that it does not know.
What is unknown here: mirrors whose settings are not in the recording, NSH, other encapsulations, and
multicast snooping.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bothways.conform.openflow_recording import read_traces
from bothways.conform.openflow_replay import replay_traces

pytestmark = pytest.mark.shared

SHARED = Path(__file__).parents[4] / "shared" / "oracles" / "openflow"


@pytest.mark.parametrize(
    ("file", "cases", "agree"),
    [
        ("seed_pipeline_cases.json", 6, 6),
        ("pipeline_traces.jsonl.gz", 358, 358),
        ("ofproto_trace_core.json.gz", 807, 783),
    ],
)
def test_recorded_packets_end_as_in_the_switch(file: str, cases: int, agree: int) -> None:
    outcome = replay_traces(read_traces(SHARED / file))

    assert [each.case.name for each in outcome.first] == []
    assert (outcome.cases, outcome.disagreements) == (cases, 0)
    assert outcome.agree >= agree
