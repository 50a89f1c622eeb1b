"""The read side: filters, pages and cursors over what the store holds, and the counting of events.

It changes nothing and knows no vendor: dialects and the command line shape what it returns.
"""

__all__: list[str] = []
