"""The contracts of this system, one file each."""
