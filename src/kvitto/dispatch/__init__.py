"""SMPP out, receipts in: links, their binds, and the two loops over them.

It must not know HTTP, callbacks or any vendor. Start at `link`, then `submitter` and `receiver`.
"""

__all__: list[str] = []
