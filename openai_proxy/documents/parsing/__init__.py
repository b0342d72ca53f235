"""Files that nobody vouches for -> their text, in processes that may use little and are killed at the end.

What a file is, is seen by its content. Nothing that it refers to is looked at: no script, no address, no attachment.
"""
