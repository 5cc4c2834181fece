"""Test cases with their verdicts, and the versions of presets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("expectation", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "verdicts",
        sa.Column("evaluation", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("misses", sa.JSON(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name="fk_verdicts_case_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("evaluation", "number", name="pk_verdicts"),
    )
    op.create_index("ix_verdicts_case_id_model_at_ms", "verdicts", ["case_id", "model", "at_ms"])
    op.add_column("presets", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "preset_versions",
        sa.Column("preset_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["preset_id"], ["presets.id"], name="fk_preset_versions_preset_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("preset_id", "version", name="pk_preset_versions"),
    )


def downgrade() -> None:
    op.drop_table("preset_versions")
    op.drop_column("presets", "version")
    op.drop_table("verdicts")
    op.drop_table("cases")
