"""Shapes that several resources answer with, as PROTOCOL.md describes them."""
