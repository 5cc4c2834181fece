"""JSON that several resources share, as PROTOCOL.md describes it."""
