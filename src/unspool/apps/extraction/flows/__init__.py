"""What this system does, one flow per file."""
