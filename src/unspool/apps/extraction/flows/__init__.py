"""The flows of this application, one per file."""
