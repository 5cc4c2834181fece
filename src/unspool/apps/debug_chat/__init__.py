"""
The debug chat (S2): ask a model, see what it costs, compare models side by side.

The chat itself is the flow `chat`, which belongs to no application; `flow` here compares
models. `dialects/` are its two contracts, with `metrics` for the figures that both show. `log`
writes the lines that the seed document prints, `client` offers the chat without a server.
`evaluation` asks models with test cases and judges the answers by `expectations`; `records/` and
`api/` keep and show them.
"""

from unspool.plugs import App

app = App(
    flows={"compare": ".flow", "evaluation": ".evaluation"},
    dialects={
        "debug_chat": ".dialects.debug_chat",
        "debug_compare": ".dialects.debug_compare",
    },
    api={"cases": ".api.cases"},
    observers={"debug_chat_log": ".log"},
)
