"""One store suite for both databases: the fixtures are in ``tests/conformance/fixtures.py``."""

from tests.conformance.fixtures import (
    house,
    migrated_file,
    migrated_postgres,
    postgres_house,
    postgres_url,
    sqlite_url,
    url,
)

__all__ = ["house", "migrated_file", "migrated_postgres", "postgres_house", "postgres_url", "sqlite_url", "url"]
