"""The dialects of this application, one per file."""
