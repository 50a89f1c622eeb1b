"""Kvitto: a self-hosted SMS delivery-report server.

The map of the rooms is in ``ARCHITECTURE.md``; start reading at ``kvitto.app``.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
