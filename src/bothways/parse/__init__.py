"""
Text and JSON of one tool to facts, one module per format.

================= ==================================================================================
ip_json           ``ip -j``: devices, routes, policy rules, neighbours
ip_text           plain ``ip addr``
ip_route_text     plain ``ip route``, ``ip rule``, ``ip neigh``
bridge_fdb        ``bridge -j fdb``
iptables          ``iptables-save``, ``ip6tables-save``, ``iptables -S``
nft_text          ``nft list ruleset``: what passes round the model
conntrack         ``conntrack -L``, ``-E``, ``-S``; ``conntrack_xml`` the same with ``-o xml``
invalid_log       what conntrack called INVALID
ss, sysctl, nstat sockets, kernel parameters, counters
kernel_stack      call stacks of the kernel; ``predicted_stack`` those of ``predict --as stack``
kernel_event      what ``bothways trace`` writes; ``kernel_trace`` puts its lines together
openflow, ovs, …  Open vSwitch: flows, ports, tables, database
collection        ``collection.jsonl``
flow, filter      what a user types: a connection, a capture filter
segments          what a user types to step the tracker by hand
transcript        a pasted terminal, cut into one ``piece`` per command: ``prompt``, ``command``,
                  ``programs``, ``tcpdump_options``, ``markup`` around lines
text_format       formats by their lines, where no command names them; ``text_json``
================= ==================================================================================

Every parser is ``parse_X(text, *, file, read_at=None) -> Parsed[Row]`` and never raises on any text, ``flow``
and ``segments`` excepted, which answer a person. A line is understood, irrelevant, not modelled or malformed;
the last two are problems (``reading``).
"""
