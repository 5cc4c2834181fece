"""Who did it, what it comes to, and why: people, their events, graphs of causes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("gender", sa.String(32), nullable=False),
        sa.Column("age", sa.Integer(), nullable=True),
        sa.Column("city", sa.String(100), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
    )
    op.create_table(
        "events",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("context", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_events"),
    )
    op.create_index("ix_events_user_id_at", "events", ["user_id", "at"])
    op.create_table(
        "graphs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.Column("patterns", sa.JSON(), nullable=False),
        sa.Column("nodes", sa.JSON(), nullable=False),
        sa.Column("edges", sa.JSON(), nullable=False),
        sa.Column("insights", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_graphs"),
    )
    # Who is known from what they did alone. No PostgreSQL database is so old.
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "INSERT INTO people (id, name, gender, age, city, properties) "
            "SELECT DISTINCT user_id, '', '', NULL, '', '{}' FROM behaviors"
        )


def downgrade() -> None:
    op.drop_table("graphs")
    op.drop_table("events")
    op.drop_table("people")
