"""
Ask for an address by ARP, as a station with an empty table would: ``ask.py DEVICE SOURCE ADDRESS``.

Whoever owns it answers, and every switch on the way learns where each of them is. Prints the MACs that
answered, one on a line, in the order of their answers.
"""

import socket
import sys
import time
from pathlib import Path

device, source, address = sys.argv[1:4]
mac = bytes.fromhex(Path(f"/sys/class/net/{device}/address").read_text().strip().replace(":", ""))
wanted = socket.inet_aton(address)
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as wire:
    wire.bind((device, 0x0806))
    request = bytes.fromhex("08060001080006040001") + mac + socket.inet_aton(source) + b"\0" * 6 + wanted
    wire.send(b"\xff" * 6 + mac + request)
    until = time.monotonic() + float(sys.argv[4] if len(sys.argv) > 4 else 0.1)
    while (left := until - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            frame = wire.recv(2048)
        except TimeoutError:
            break
        if frame[20:22] == b"\0\2" and frame[28:32] == wanted:
            print(frame[22:28].hex(":"))
