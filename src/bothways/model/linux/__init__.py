"""
One network namespace of Linux: what its stack does to one packet.

================= ==================================================================================
stack             devices, bridges, ARP, and the way into and out of the IP layer
internet          the IP layer of both families: receive, check, route
delivery          what becomes of a packet for the namespace itself
forwarding        passing a packet on: TTL, MTU, redirects
output            sending, and what the stack answers by itself
sender            martians, own addresses, the reverse path
netfilter         takes a packet through what hangs on each hook
stages            what hangs there, in order: raw, conntrack, mangle, nat, filter, security, nft's chains
iptables/         chains, matches, targets
nftables          the chains of native nft tables
conntrack/, nat   the tracker and translation
family, functions what hangs on the hooks for one IP version; the kernel's names for both
routing/          policy rules, tables, longest prefix
addresses         what an address is to a namespace, and which one it sends from
source_address    the same choice for IPv6
sockets           who listens, who is connected
answers           RST, ICMP errors, echo replies
arp, ndisc        which questions for a MAC are answered, and who asks
bridge, vxlan     what the link layer does by itself
learned           what ICMP errors and redirects taught
settings          sysctls, and what is taken for granted without them
variants          names and habits that changed between kernels
passage, buffer   what comes out of a stack; what a packet carries inside it
================= ==================================================================================
"""
