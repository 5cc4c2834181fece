"""Experiments that learn, end and are won; copies by product, style and reader."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_copies_sku_style_user_id", ["sku", "style", "user_id"]),
    ("ix_copies_user_id_created_ms", ["user_id", "created_ms"]),
)


def upgrade() -> None:
    columns: list[sa.Column[Any]] = [
        sa.Column("learns", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("winner", sa.String(64), nullable=False, server_default=""),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
    ]
    for column in columns:
        op.add_column("experiments", column)
    for name, indexed in INDEXES:
        op.create_index(name, "copies", indexed)


def downgrade() -> None:
    for name, _ in INDEXES:
        op.drop_index(name, "copies")
    for column in ("ended_ms", "winner", "learns"):
        op.drop_column("experiments", column)
