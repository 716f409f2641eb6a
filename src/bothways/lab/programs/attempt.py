"""
Try one TCP connection and print what became of it, as JSON.

``attempt.py SOURCE SOURCE_PORT DESTINATION PORT SECONDS [SAY]``: connects, says SAY if given, and reads.
``fate`` is ``works`` only if something was read: a connect that succeeds proves nothing if a RST follows.
"""

import errno
import json
import socket
import sys
import time

source, source_port, destination, port, patience = sys.argv[1:6]
say = sys.argv[6].encode().decode("unicode_escape").encode() if len(sys.argv) > 6 else None
began = time.time()
result: dict[str, object] = {
    "source": source,
    "destination": destination,
    "destination_port": int(port),
    "began": began,
}
client = socket.socket(socket.AF_INET6 if ":" in destination else socket.AF_INET, socket.SOCK_STREAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
client.settimeout(float(patience))
stage = "connect"
try:
    client.bind((source, int(source_port)))
    client.connect((destination, int(port)))
    result["connected"] = round(time.time() - began, 6)
    stage = "read"
    if say:
        client.sendall(say)
    heard = client.recv(4096)
    result["heard"] = heard[:80].decode(errors="replace")
    fate, error = ("works", None) if heard else ("closed", None)
except ConnectionResetError:
    fate, error = "reset", "ECONNRESET"
except ConnectionRefusedError:
    # A RST while the handshake is under way reads like this too: connect() cannot tell the two apart.
    fate, error = "refused", "ECONNREFUSED"
except TimeoutError:
    fate, error = ("timeout" if stage == "connect" else "stall"), "ETIMEDOUT"
except OSError as failure:
    error = errno.errorcode.get(failure.errno or 0, str(failure))
    fate = "icmp-error" if error in {"EHOSTUNREACH", "ENETUNREACH", "EACCES"} else "unknown"
result.update(fate=fate, error=error, stage=stage, seconds=round(time.time() - began, 6))
try:
    result["source_port"] = client.getsockname()[1]
except OSError:
    result["source_port"] = int(source_port)
client.close()
print(json.dumps(result))
