"""The routes of this application besides its dialects, one resource per file."""
