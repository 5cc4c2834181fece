"""
An HTTP/1.1 client for answers that are read as they come: bytes in, plain calls out.

A byte of a body goes from the socket through `Connection.data_received` and the parser to the
reader's `feed` without a queue, a task or a timer. The client keeps no limits of time apart
from that on connecting: the reader arms one timer and closes the response when it rings.

Read `errors` first (the failures, by what to do then), `request` (the bytes that are sent),
`response` (how a body is read), `decoding` (gzip and deflate), `connection` (one socket and
the parser), `connecting` (how a socket is made: names, addresses, TLS, tunnels), `proxies`,
`pool` (connections that are kept) and `client`, which puts them together.
"""

from .client import Client
from .connecting import Resolve
from .errors import (
    BadEncoding,
    BadFraming,
    BadProxy,
    BadRequest,
    BadTls,
    Broken,
    Closed,
    ConnectTimeout,
    Forbidden,
    NotConnected,
    TransportError,
)
from .proxies import Proxies
from .response import Headers, Response

__all__ = [
    "BadEncoding",
    "BadFraming",
    "BadProxy",
    "BadRequest",
    "BadTls",
    "Broken",
    "Client",
    "Closed",
    "ConnectTimeout",
    "Forbidden",
    "Headers",
    "NotConnected",
    "Proxies",
    "Resolve",
    "Response",
    "TransportError",
]
