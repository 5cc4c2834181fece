"""The steps, oldest first; how to add one stands in the folder above."""
