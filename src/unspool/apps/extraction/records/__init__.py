"""What this system keeps in the database, one table or two per file."""
