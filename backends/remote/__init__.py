"""The backend `remote`: a proxy for any number of servers that speak OpenAI's API."""

from backends.remote.remote import Remote

__all__ = ["Remote"]
