"""On PYTHONPATH this cuts every Python process off from all but its own machine.

Kernels talk to their clients over the loopback interface; all else is refused at once,
by name or by address, before a packet leaves.
"""

import socket
import sys

# An optional part of jsonschema, for addresses with accents. No notebook has one, and
# each process that reads a notebook would spend a second or two on its grammar.
sys.modules["rfc3987_syntax"] = None

LOCAL = ("127.", "::1", "localhost", "0.0.0.0")
_connect, _lookup = socket.socket.connect, socket.getaddrinfo


def _refuse(host):
    raise OSError(f"the course needs no network, but something asked for {host!r}")


def connect(self, address):
    if isinstance(address, tuple) and not str(address[0]).startswith(LOCAL):
        _refuse(address[0])
    return _connect(self, address)


def getaddrinfo(host, *args, **kwargs):
    if host and not str(host).startswith(LOCAL) and host != socket.gethostname():
        _refuse(host)
    return _lookup(host, *args, **kwargs)


socket.socket.connect = connect
socket.getaddrinfo = getaddrinfo
