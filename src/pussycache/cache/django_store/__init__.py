"""How a cache of Django's serves as the shared store of proxies: by `add`, `set` and `get_many`.

What a call does with a shared store, and when, is said in cache/shared and not here.
"""
