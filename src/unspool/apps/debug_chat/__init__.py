"""
The debug chat (S2): ask a model, see what it costs, compare models side by side.

The chat itself is the flow `chat`, which belongs to no application; `flow` here compares
models. `dialects/` are its two contracts, with `metrics` for the figures that both show. `log`
writes the lines that the seed document prints, `client` offers the chat without a server.
"""

from unspool.plugs import App

app = App(
    flows={"compare": ".flow"},
    dialects={
        "debug_chat": ".dialects.debug_chat",
        "debug_compare": ".dialects.debug_compare",
    },
    observers={"debug_chat_log": ".log"},
)
