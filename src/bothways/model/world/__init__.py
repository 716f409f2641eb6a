"""
A whole site, walked: snapshot and choices in, journeys and a fate out.

wiring        what is at the other end of a device
network       moves frames through stacks, switches, wires and tunnels
neighbours    who answers ARP, found by walking the request
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
