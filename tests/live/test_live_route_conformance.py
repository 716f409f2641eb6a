"""The kernel of this machine routes as the model says: random routes, rules and sysctls of both families."""

import pytest

from bothways.conform.route_live import hold_routes

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "sysctl")]


def test_the_kernel_routes_as_the_model_says() -> None:
    found = hold_routes(1200, seed=11)

    assert found.disagreements == []
    kinds = {kind for kind in found.reach if found.reach[kind]}
    assert {"IPv4 unicast", "IPv6 unicast", "IPv4 local", "IPv6 local", "IPv4 Invalid argument"} <= kinds
    assert {"IPv4 No route to host", "IPv6 Permission denied", "IPv4 Network is unreachable"} <= kinds
