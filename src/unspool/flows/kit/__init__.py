"""
What flows share: objects that fit a schema (`structured`), work side by side (`gather`),
flows made from functions (`functions`), flows loaded from a file (`files`), and what is known held
against what a model says (`grounding`).
"""
