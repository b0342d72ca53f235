"""What OpenAI's API lets clients ask and what that asks of an engine: bodies typed, checked and translated.

Every dialect may use it: a request of another protocol is one of these under other names.
"""
