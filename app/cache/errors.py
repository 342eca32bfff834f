"""What can go wrong with a cache; apart from ``remote``, whose libraries are imported only with Redis."""


class RemoteUnavailableError(Exception):
    """Redis cannot be used now; the caller goes on without it."""
