"""``python -m kvitto`` is the ``kvitto`` command. Read on in ``kvitto.cli``."""

from kvitto.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
