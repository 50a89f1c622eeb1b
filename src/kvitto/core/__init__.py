"""The nouns and the rules of the house: values in, values out.

Pure and standard library only: no socket, file, clock (but for `clock` and `ids`), database or log line is known here.
Start at `model`, then `status`.
"""

__all__: list[str] = []
