"""The verbs of the store, by noun; each file holds the statements of its verbs, once for both databases.

Which database it is must not be known here: the few differences are in `store.sqlite` and `store.postgres`.
"""

__all__: list[str] = []
