"""No model at all: says back what it hears. A double for tests, and a load-test target for users.

What it does can be scripted by the model's options, or by `script` in a request's extra fields:

    {"first_delay": 0.1, "delay": 0.02, "chunks": 100, "size": 12, "fail": "late", "after": 3}

sends 100 chunks of 12 characters, the first after 0.1 s, the others 20 ms apart, and breaks after the third.
"""

from backends.echo.backend import Echo

__all__ = ["Echo"]
