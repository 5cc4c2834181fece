"""The resources of the debug chat."""
