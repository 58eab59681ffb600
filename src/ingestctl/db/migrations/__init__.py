"""Alembic migrations: additive only, each step safe to repeat after being killed half-way."""
