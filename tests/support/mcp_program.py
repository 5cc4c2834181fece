"""A server of the Model Context Protocol, for tests: over its own input and output, or HTTP."""

from __future__ import annotations

import os
import sys

from mcp.server import MCPServer

server = MCPServer("shop")


@server.tool()
def find_order(number: str) -> str:
    """Where an order is."""
    return f"order {number} is {os.environ.get('ORDER_STATE', 'unknown')}"


@server.tool()
def refund(number: str) -> str:
    """Gives money back; nobody is to call it."""
    raise ValueError(f"no refund for {number}")


@server.tool()
def die() -> str:
    """End the program in the middle of the call."""
    os._exit(3)


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
