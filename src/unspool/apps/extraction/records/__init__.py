"""The tables of this application, one or two per file."""
