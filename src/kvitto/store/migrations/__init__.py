"""How the tables came to be: Alembic, forward only. Old code keeps running while a migration runs beside it.

``upgrade(url)`` brings a database to the newest revision; a second process waits for the first. A test compares the
result with ``kvitto.store.schema``, on both databases.
"""

from importlib.resources import files
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from kvitto.core.errors import StoreUnavailable

__all__ = ["HEAD", "upgrade"]

HEAD: Final = "head"


def upgrade(url: str) -> None:
    """Create or upgrade the tables behind ``sqlite:///PATH`` or ``postgresql://...``.

    Raises: ``StoreUnavailable`` if the database cannot be reached, or was made by a newer version.
    """
    config = Config()
    config.set_main_option("script_location", str(files("kvitto.store.migrations")))
    config.attributes["url"] = url
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise StoreUnavailable(f"the tables cannot be upgraded, a newer version may have made them: {error}") from error
