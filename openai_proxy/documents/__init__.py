"""Documents: texts that are handed in, found again by what they say, and asked about. Knows no HTTP and no protocol.

`Documents` (an edge's `documents`) keeps them in collections and searches; `actions` asks a model about passages. What
reads, keeps and searches is the extra `documents`: it is imported when it is first used.
"""

from openai_proxy.documents.passage import Passage
from openai_proxy.documents.shelves import MY, USER

__all__ = ["MY", "USER", "Passage"]
