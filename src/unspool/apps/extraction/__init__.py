"""
Events and causes (S3): a person's behaviours become events, frequent sequences become a graph.

Read `flows/extraction` first, with `event_prompts` and `event_lines` (what a model is asked, how
its lines are read). `flows/causal_graph` and `flows/graph_question` follow the same pattern with
`graph_prompts` and `graph_reading`; `frequent_patterns` finds what people often do one after
the other. `dialects/` are the contracts (`frames` is what they share), `records/` keeps events
and graphs, `api/` shows them, `client` offers all of it without a server.
"""

from unspool.plugs import App

app = App(
    flows={
        "causal_graph": ".flows.causal_graph",
        "extraction": ".flows.extraction",
        "graph_question": ".flows.graph_question",
    },
    dialects={
        "causal_graph": ".dialects.causal_graph",
        "extraction": ".dialects.extraction",
        "extraction_batch": ".dialects.extraction_batch",
    },
    api={
        "graphs": ".api.graphs",
        "patterns": ".api.patterns",
        "people": ".api.people",
    },
)
