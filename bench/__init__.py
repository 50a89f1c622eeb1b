"""The project's own bench: the whole way of a message, from the HTTP request to its callback, over loopback.

``run`` starts a server, an SMSC (``smsc``), a load (``load``) and a receiver of callbacks (``sink``), each a process
of its own, and tells what came of it; ``profile`` does the same with a sampling profiler on the server. ``parts/``
measures single parts. What the processes tell each other is on one ``board`` in shared memory.
"""

__all__: list[str] = []
