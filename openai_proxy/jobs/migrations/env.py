"""Run by Alembic, on the connection that it is given."""

from __future__ import annotations

from alembic import context

from openai_proxy.jobs.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
