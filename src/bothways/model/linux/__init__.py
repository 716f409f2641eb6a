"""
One network namespace of Linux: what its stack does to one packet.

================= ==================================================================================
stack             devices, bridges, ARP, and the way into and out of the IP layer
internet, output  the IP layer: receive, route, deliver, forward; send and answer
netfilter         takes a packet through what hangs on each hook
stages            what hangs there, in order: raw, conntrack, mangle, nat, filter, security, nft's chains
iptables/         chains, matches, targets
nftables          the chains of native nft tables
conntrack/, nat   the tracker and translation
routing           policy rules, tables, longest prefix
addresses         what an address is to a namespace, and which one it sends from
sockets           who listens, who is connected
answers           RST, ICMP errors, echo replies
arp, bridge       what the link layer does by itself
settings          sysctls, and what is taken for granted without them
variants          names and habits that changed between kernels
passage, buffer   what comes out of a stack; what a packet carries inside it
================= ==================================================================================
"""
