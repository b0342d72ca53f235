"""Any other backend, as replicas on a Ray cluster. Ray itself is imported when the first model starts."""

from backends.ray.backend import Ray

__all__ = ["Ray"]
