"""Later versions of posts of sales copy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "post_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("post", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source_run", sa.String(64), nullable=True),
        sa.Column("model", sa.String(260), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_post_versions"),
    )
    op.create_index("ix_post_versions_run_id_post", "post_versions", ["run_id", "post"])
    op.create_index("uq_post_versions_source_run", "post_versions", ["source_run"], unique=True)


def downgrade() -> None:
    op.drop_table("post_versions")
