"""How the tables came to be: Alembic, forward only. Old code keeps running while a migration runs beside it.

``upgrade(url)`` brings a database to the newest revision; a second process waits for the first. A test compares the
result with ``kvitto.store.schema``, on both databases.
"""

from importlib.resources import files
from typing import Final

from alembic import command
from alembic.config import Config

__all__ = ["HEAD", "upgrade"]

HEAD: Final = "head"


def upgrade(url: str) -> None:
    """Create or upgrade the tables behind ``sqlite:///PATH`` or ``postgresql://...``.

    Raises: ``StoreUnavailable`` if the database cannot be reached.
    """
    config = Config()
    config.set_main_option("script_location", str(files("kvitto.store.migrations")))
    config.attributes["url"] = url
    command.upgrade(config, HEAD)
