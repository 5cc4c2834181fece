"""What of the conformance suite of Durable Streams is about reading, and what of that we lack."""

from __future__ import annotations

from typing import Final

GROUPS: Final = (
    "Read Operations",
    "Long-Poll Operations",
    "Browser Security Headers",
    "HEAD Metadata",
    "Offset Validation and Resumability",
    "Long-Poll Edge Cases",
    "Caching and ETag",
    "Chunking and Large Payloads",
    "Read-Your-Writes Consistency",
    "SSE Mode",
    "JSON Mode",
    r"Property-Based Tests \(fast-check\) (Byte-Exactness|Immutability|Offset Validation)",
    "Stream Closure (HEAD with|Read Closed|Long-poll with|SSE with)",
)
"""The beginnings of names. The rest writes: appending, producers, expiry, forks, subscriptions."""

LACKING: Final = {
    "should return TTL metadata if configured": "streams expire by the write path",
    "should allow If-None-Match in CORS preflight responses": "a server without keys is not for "
    "pages of other origins; one with keys allows it to the origins that they list",
}
"""Titles of the tests in those groups that fail, and why."""
