"""
Unspool over a real small language model: `make test-model`.

The model comes as Python packages (`fetching`), an engine serves it (`support.engine`), and its
answers are broken in the middle (`seams`) and used by the five systems (`systems`). It is weak,
loops, and talks about itself: a product that is honest with it is honest with a better one.
"""
