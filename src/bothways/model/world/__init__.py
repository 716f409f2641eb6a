"""
A whole site, walked: snapshot and choices in, journeys and a fate out.

wiring        what is at the other end of a device
network       moves frames through stacks, switches, wires and tunnels
neighbours    who answers ARP or neighbour discovery, found by walking the request
side_walk     packets that are walked while others wait for them
kernel_tunnel VXLAN of the kernel, whose datagrams are walked
tunnel_ports  tunnels of Open vSwitch: which port of which host takes a packet
switch_underlay the hosts' part in the way between two such ports
complaint     what a program is told by ICMP or by its own stack
outside       stations that no dump shows
endpoint      the two ends of a TCP connection, as a table
connection    lets them talk, and says what becomes of it
replay        forks by walking again
crossings     every packet at every device: what captures would hold
"""

from bothways.model.world.connection import predict, walk
from bothways.model.world.observed import Entrance, Observed
from bothways.model.world.replay import Replay
from bothways.model.world.wiring import At, SwitchPort, Wiring

__all__ = ["At", "Entrance", "Observed", "Replay", "SwitchPort", "Wiring", "predict", "walk"]
