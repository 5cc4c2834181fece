"""
The failures on the way to a server and back, sorted by what to do.

* TransportError
  + BadRequest          nothing was sent, and sending it again will not help
  + NotConnected        nothing was sent; it may work later
    - ConnectTimeout    it took longer than `connect_s`
    - BadTls            the server could not prove who it is, or speaks no TLS
    - BadProxy          the proxy let nothing through
    - Forbidden         an address that nothing is sent to; trying again will not help
  + Broken              the connection broke; the bytes before are good
    - Closed            we closed it
  + BadFraming          the answer is not HTTP/1.1; the bytes before are good
  + BadEncoding         the body is not compressed as its head says; the bytes before are good

Messages are ours: they hold no byte of an answer, no header's value and no address but host
and port.
"""


class TransportError(Exception):
    """A request that has no answer, or an answer that is not whole."""


class BadRequest(TransportError):
    """The address, method or headers make no request."""


class NotConnected(TransportError):
    """There is no connection."""


class ConnectTimeout(NotConnected):
    """There was no connection in time."""


class BadTls(NotConnected):
    """The handshake failed, most often for the certificate."""


class BadProxy(NotConnected):
    """A proxy opened no tunnel."""


class Forbidden(NotConnected):
    """Every address of the name is one that nothing is sent to."""


class Broken(TransportError):
    """The connection broke before the answer was whole."""


class Stale(Broken):
    """A kept connection was closed before any byte of the answer: the client sends again."""


class Closed(Broken):
    """The connection was closed from our side."""


class BadFraming(TransportError):
    """The answer is not HTTP/1.1, or larger than a limit."""


class BadEncoding(TransportError):
    """The content encoding was not asked for, is not what it says, or is a bomb."""
