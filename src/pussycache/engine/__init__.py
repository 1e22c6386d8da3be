"""Who may be served, who may store, and what a miss does; policy without I/O, and its two drivers.

Nothing in this folder knows which cache keeps the entries or how a method came to be wrapped.
"""
