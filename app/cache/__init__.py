"""Two levels: this process's memory over Redis, which the processes share.

``memory`` is bounded and forgets, ``remote`` talks to Redis and never keeps a request waiting, ``tiered``
joins them and computes each missing value once.
"""
