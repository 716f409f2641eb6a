"""The counter of the flow that drops a packet in the walk, beside what a capture shows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

from bothways.bundle import open_bundle
from bothways.diagnose.counted_drop import counted_drop
from bothways.diagnose.gather import gather

SITE: Final = Path(__file__).resolve().parents[3] / "examples/odl-l3-only"
SYN: Final = (
    "12:00:0{}.0 IP 192.168.111.210.17350 > 192.168.111.223.22: Flags [S], seq 9, win 64240, length 0\n"
)
SEEN: Final = "no fewer than the 3 SYNs that were seen"
TOO_FEW: Final = "but the SYN was seen 3 times: it did not take all of them"


def told(folder: Path, counters: str, syns: int, action: str = "drop") -> str:
    """What is said of a flow that takes the SYN in the switch of the ODL site."""
    shutil.copytree(SITE, folder, ignore=shutil.ignore_patterns("captures"))
    flows = folder / "hosts/host5/ovs/br-int.flows.txt"
    row = f" table=30, {counters}priority=3000,tcp,nw_dst=192.168.111.223,tp_dst=22 actions={action}\n"
    flows.write_text(flows.read_text() + row)
    capture = folder / "hosts/host5/captures/root/eth0.txt"
    capture.parent.mkdir(parents=True)
    capture.write_text("".join(SYN.format(second) for second in range(syns)))
    case, _ = gather(open_bundle(folder), None)
    assert case is not None
    return counted_drop(case).removeprefix("; ")


@pytest.mark.parametrize(
    ("counters", "syns", "words"),
    [
        ("n_packets=3, n_bytes=222, ", 3, f"that flow counted 3 packets, {SEEN}"),
        ("n_packets=8, n_bytes=592, ", 3, f"that flow counted 8 packets, {SEEN}"),
        ("n_packets=1, n_bytes=74, ", 1, "that flow counted 1 packet"),
        ("n_packets=0, n_bytes=0, ", 3, f"that flow counted 0 packets, {TOO_FEW}"),
        ("n_packets=2, n_bytes=0, ", 3, f"that flow counted 2 packets, {TOO_FEW}"),
        ("", 3, ""),
    ],
)
def test_a_counter_confirms_or_contradicts(tmp_path: Path, counters: str, syns: int, words: str) -> None:
    assert told(tmp_path / "site", counters, syns) == words


def test_nothing_is_said_where_no_flow_drops_the_packet(tmp_path: Path) -> None:
    assert told(tmp_path / "site", "n_packets=5, n_bytes=0, ", 2, "goto_table:250") == ""
