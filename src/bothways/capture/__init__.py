"""
Packets as captures hold them, read into sightings.

============== ==================================================================
capture file   pcap or pcapng, told by its first bytes, also in gzip
pcap           the classic capture file: a header, then records of time and bytes
pcapng         sections of blocks, interfaces of their own, what each of them lost
frames         decoded frames of one tap, gathered into sightings
link layer     Ethernet, the cooked headers of an ``any`` capture (SLL, SLL2), raw IP, loopback
layers         what one frame holds: headers from the outside in, and the bytes of the innermost
tunnel         VXLAN: the frame counts as its inner packet, the underlay is kept beside it
words          a packet as tcpdump prints it, which is how every report quotes a frame
compose frame  a packet back into the bytes of a frame
pcapng write   frames of several taps into one capture file
tcpdump text   what people paste: lines of words, with or without numbers
order          whether the time stamps of one capture run forwards
============== ==================================================================

A record that cannot be decoded becomes a problem, never an exception: captures are hostile input.
"""
