"""What this system offers for managing, one resource per file."""
