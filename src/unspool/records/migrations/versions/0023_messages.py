"""Messages that wait for their turn in a conversation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    changes = sa.Column[int]("changes", sa.Integer(), nullable=False, server_default="0")
    op.add_column("conversations", changes)
    # No id is given twice: a run is found again by that of its message.
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("asked", sa.String(96), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("sender", sa.JSON(), nullable=False),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        sa.Column("cancels", sa.String(32), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("error", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name="fk_messages_conversation_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_messages_conversation_id", "messages", ["conversation_id"])
    op.create_table(
        "queues",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "conversation_id", name="pk_queues"),
    )


def downgrade() -> None:
    op.drop_table("queues")
    op.drop_table("messages")
    op.drop_column("conversations", "changes")
