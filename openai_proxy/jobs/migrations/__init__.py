"""How the tables came to be what they are. `alembic revision` is told by README how to write the next step."""
