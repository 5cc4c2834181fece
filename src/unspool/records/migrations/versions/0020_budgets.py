"""Budgets; only those of the operator's records are used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def _number() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("tenant", sa.String(12), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("max_nanos", _number(), nullable=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("window", sa.String(8), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("warn_percent", _number(), nullable=False),
        sa.Column("ceiling_nanos", _number(), nullable=True),
        sa.Column("requests_per_minute", _number(), nullable=True),
        sa.Column("tokens_per_minute", _number(), nullable=True),
        sa.Column("live_runs", _number(), nullable=True),
        sa.Column("viewers", _number(), nullable=True),
        sa.Column("changed_ms", _number(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
        sa.UniqueConstraint("tenant", "kind", "subject", name="uq_budgets_tenant"),
    )
    op.create_table(
        "budget_accounts",
        sa.Column("budget", sa.String(12), nullable=False),
        sa.Column("account", sa.String(128), nullable=False),
        sa.Column("start_ms", _number(), nullable=False),
        sa.Column("spent_nanos", _number(), nullable=False),
        sa.Column("reserved_nanos", _number(), nullable=False),
        sa.Column("runs", _number(), nullable=False),
        sa.Column("tokens", _number(), nullable=False),
        sa.Column("warned_ms", _number(), nullable=True),
        sa.PrimaryKeyConstraint("budget", "account", "start_ms", name="pk_budget_accounts"),
    )
    op.create_table(
        "reservations",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("at_ms", _number(), nullable=False),
        sa.Column("tokens", _number(), nullable=False),
        sa.Column("charges", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_reservations"),
    )
    op.create_index("ix_reservations_at_ms", "reservations", ["at_ms"])


def downgrade() -> None:
    op.drop_table("reservations")
    op.drop_table("budget_accounts")
    op.drop_table("budgets")
