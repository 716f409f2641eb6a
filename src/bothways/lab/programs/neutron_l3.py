"""
The real ``neutron-l3-agent`` for one router, in one process: ``neutron_l3.py ROUTER.json STATE``.

It runs with a Python that has Neutron, inside the host's network namespace and in a mount namespace of its
own, where ``/run/netns`` shows the router's namespace under Neutron's name. ROUTER.json is what the agent
would get from its server (``L3PluginApi.get_routers``); there is no server, no broker and no database.
Devices stand already, so the interface driver plugs nothing. It ends when the router is programmed.
"""

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

__all__ = ["Server", "main"]

ROUTER, STATE = sys.argv[1:3]
# Chains are named after the program that makes them, at import.
sys.argv = ["neutron-l3-agent"]
# Helpers that pyroute2 forks must not inherit the wake-up pipe of the agent's signal handler.
os.register_at_fork(
    after_in_child=lambda: (signal.set_wakeup_fd(-1), signal.signal(signal.SIGTERM, signal.SIG_DFL))
)
warnings.simplefilter("ignore")

from oslo_service import backend  # noqa: E402

backend.init_backend(backend.BackendType.THREADING)

from neutron import privileged  # noqa: E402
from neutron.agent import l3_agent  # noqa: E402
from neutron.agent.l3 import agent  # noqa: E402
from neutron.agent.metadata import driver as metadata  # noqa: E402
from neutron.common import config as common_config  # noqa: E402
from oslo_config import cfg  # noqa: E402

CONFIGURATION = """\
[DEFAULT]
interface_driver = neutron.agent.linux.interface.OVSInterfaceDriver
state_path = {state}
enable_metadata_proxy = true
transport_url = fake://
use_stderr = true
[agent]
root_helper = env
[oslo_concurrency]
lock_path = {state}/lock
[ovs]
ovsdb_connection = unix:{state}/nobody
"""


class Server:
    """In the server's place: one router, and nobody who wants to hear of it."""

    def __init__(self, topic: str, host: str) -> None:
        del topic, host
        self.routers = json.loads(Path(ROUTER).read_text())

    def get_routers(self, context: object, router_ids: object = None) -> Any:
        """Return the router."""
        del context, router_ids
        return json.loads(json.dumps(self.routers))

    def get_router_ids(self, context: object) -> list[str]:
        """Return its id."""
        del context
        return [router["id"] for router in self.routers]

    def __getattr__(self, name: str) -> Any:
        """Answer everything else with nothing."""
        empty = {"get_host_ha_router_count": 0, "get_service_plugin_list": [], "get_networks": []}
        return lambda *_, **__: empty.get(name)


def main() -> None:
    """Program the router and end."""
    state = Path(STATE)
    state.mkdir(parents=True, exist_ok=True)
    file = state / "l3.conf"
    file.write_text(CONFIGURATION.format(state=state))
    agent.L3PluginApi = Server
    # Its rules are the agent's own; what listens behind them is a service of the lab.
    metadata.MetadataDriver.spawn_monitored_metadata_proxy = lambda *_, **__: None
    l3_agent.register_opts(cfg.CONF)
    common_config.init(["--config-file", str(file)])
    commands = ("ovs_vsctl_cmd", "namespace_cmd", "conntrack_cmd", "link_cmd", "dhcp_release_cmd")
    for each in ("default", *commands):
        getattr(privileged, each).set_client_mode(False)
    one = agent.L3NATAgent("host1", cfg.CONF)
    one.init_host()
    for router in one.plugin_rpc.get_routers(None):
        one._process_added_router(router)  # noqa: SLF001 - there is no public way without a server
    print("programmed", flush=True)
    os._exit(0)


main()
