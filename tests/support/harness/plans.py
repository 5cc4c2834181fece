"""Which plan brings a server to pass a point, where a plain run does not."""

from __future__ import annotations

from support.harness.sandbox import Plan

SHARED = Plan(store="postgresql")
LEFT = Plan(store="postgresql", is_killed_first=True, pause_s=0.03, most=1)
"""Runs last until their server is dead."""

PLANS = {
    "admission.reused": Plan(kind="equal"),
    "runner.claimed": Plan(is_killed_first=True),
    "runner.recovered": Plan(is_killed_first=True),
    "journal.claiming": Plan(is_killed_first=True),
    "runner.cancelling": Plan(cancels=True),
    "runner.interrupted": Plan(cancels=True, most=3, pause_s=0.01),
    "runner.letting_go": Plan(is_stopped=True, most=1),
    "generation.broken": Plan(breaks=True),
    "runner.keeping": Plan(kind="extract", most=2),
    "runner.kept": Plan(kind="extract", most=2),
    "context.saying": Plan(is_refusing=True),
    "writing.fragment": Plan(kind="tools"),
    "context.answered": Plan(kind="calls"),
    # How often depends on how events come to share a commit; twice is certain.
    "journal.appended": Plan(most=2),
    # One a second: the runs have to outlast two, or the server dies after them.
    "journal.checkpointed": Plan(pause_s=0.1, most=2),
    "journal.migrating": Plan(is_new=True),
    "postgresql.sending": SHARED,
    "postgresql.answered": SHARED,
    "postgresql.ringing": SHARED,
    "postgresql.beating": SHARED,
    # The one that dies here has to be the one that adopts.
    "postgresql.fenced": LEFT,
    "postgresql.claimed": LEFT,
    "postgresql.burying": LEFT,
}
