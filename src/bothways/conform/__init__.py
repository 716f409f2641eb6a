"""
The model, held against kernels: recorded ones, and the one that runs here.

============= =================================================================
recording     recorded sequences on disk: one JSON object per line
segment       a recorded segment as octets, and as the packet that the model knows
router        the model in the recorder's place: what it says of each segment
signature     TCP options for which no stack sends a RST
comparison    what a kernel and the model say of one segment, field by field
conformance   the outcome of holding many sequences
replay        sequences -> outcome
words         the outcome as text, and as ``bothways/conformance/1``
generation    sequences that nobody thought of, from a seed
netlink       ctnetlink and NFLOG, as octets
site          three namespaces, two wires, and the rules that make a kernel tell its verdicts
kernel        the running kernel in the model's place
live          fresh sequences -> running kernel and model -> outcome
============= =================================================================

The tables of Open vSwitch, each name with ``openflow_`` before it:

============= =================================================================
case          one traced packet, and what the switch said of it
recording     recorded traces on disk, in three forms -> cases
record, said  a recorded switch; what ``ofproto/trace`` said
bridges       a recorded switch -> the model's bridges
packet        a printed packet -> the model's packet
datapath      datapath actions -> the copies that they send
walk          a packet through the model, across patch ports
comparison    what switch and model say, held against each other
conformance   the outcome of holding many; ``replay``, ``words`` as above
draw          chance from a seed; ``drawn_match``, ``drawn_actions`` from it
pipeline      a random pipeline in pieces; ``generation`` makes them
unixctl       the control socket of ``ovs-vswitchd``
switch        a private Open vSwitch
live          fresh packets -> private switch -> cases
shrink        a disagreement, made small
============= =================================================================

This room touches the world: it reads recordings, and ``live`` makes namespaces of its own and removes them.
"""
