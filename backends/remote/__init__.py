"""The backend `remote`: a proxy for any number of servers that speak OpenAI's API; and `program`, which runs one."""

from backends.remote.program import Program
from backends.remote.remote import Remote

__all__ = ["Program", "Remote"]
