"""Reasons are named by the kernel that gave them."""

from __future__ import annotations

import pytest

from bothways.trace.probe.reasons import Reason, Reasons

ENUMERATIONS = {
    ("skb_drop_reason", None): {2: "SKB_DROP_REASON_NOT_SPECIFIED", 3: "SKB_DROP_REASON_NO_SOCKET"},
    ("sk_rst_reason", None): {0: "SK_RST_REASON_NOT_SPECIFIED", 2: "SK_RST_REASON_NO_SOCKET"},
    ("skb_drop_reason_subsys", None): {
        0: "SKB_DROP_REASON_SUBSYS_CORE",
        1: "SKB_DROP_REASON_SUBSYS_MAC80211_UNUSABLE",
        3: "SKB_DROP_REASON_SUBSYS_OPENVSWITCH",
    },
    ("ovs_drop_reason", "openvswitch"): {196609: "OVS_DROP_LAST_ACTION"},
    ("mac80211_drop_reason", None): {65537: "RX_DROP_U_MIC_FAIL"},
}


class Kernel:
    """Answers as the types of a kernel would."""

    def enumerators(self, name: str, module: str | None = None) -> dict[int, str] | None:
        return ENUMERATIONS.get((name, module))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (0, None),
        (3, Reason("NO_SOCKET", "core")),
        (99, Reason("99", "core")),
        (0x30001, Reason("LAST_ACTION", "openvswitch")),
        (0x30002, Reason("2", "openvswitch")),
        (0x10001, Reason("U_MIC_FAIL", "mac80211_unusable")),  # built in: no module tells it
        (0x70001, Reason("1", "7")),
    ],
)
def test_a_drop_is_named_with_its_subsystem(number: int, reason: Reason | None) -> None:
    assert Reasons(Kernel()).drop(number) == reason  # type: ignore[arg-type]  # a stand-in with the one method


def test_a_reset_is_named_where_the_kernel_has_reasons() -> None:
    assert Reasons(Kernel()).reset(2) == Reason("NO_SOCKET", "core")  # type: ignore[arg-type]  # a stand-in
    assert Reasons(None).reset(2) is None
    assert Reasons(None).drop(3) == Reason("3", "core")
