"""
What flows share: objects that fit a schema (`structured`), work side by side (`gather`),
flows made from functions (`functions`), and flows loaded from a file (`files`).
"""
