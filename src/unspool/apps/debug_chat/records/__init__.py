"""The records of the debug chat: test cases and their verdicts."""
