"""What several contracts share: messages of their clients, and runs that wait for a person."""
