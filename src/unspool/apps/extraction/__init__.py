"""
Events and causes (S3): a person's behaviours become events, frequent sequences become a graph.

Read `flows/extraction` first, with `event_prompts` (the prompt) and `event_lines` (the reader of
the answer). `flows/causal_graph` and `flows/graph_question` follow the same pattern with
`graph_prompts` and `graph_reading`; `frequent_patterns` finds frequent sequences of events.
`dialects/` has the contracts (they share `frames`), `records/` stores events and graphs, `api/`
serves them, and `client` offers all of it without a server.
"""

from unspool.plugs import App

app = App(
    flows={
        "causal_graph": ".flows.causal_graph",
        "extraction": ".flows.extraction",
        "extraction_batch": ".flows.extraction_batch",
        "graph_question": ".flows.graph_question",
    },
    dialects={
        "causal_graph": ".dialects.causal_graph",
        "extraction": ".dialects.extraction",
        "extraction_batch": ".dialects.extraction_batch",
    },
    api={
        "behaviors": ".api.behaviors",
        "graphs": ".api.graphs",
        "patterns": ".api.patterns",
        "people": ".api.people",
    },
)
