"""Durable jobs: requests that are kept until there is room for them, whose events can be read more than once.

Any of the six requests can be one, whichever protocol brought it. Knows no HTTP and no dialect. `job` is the
vocabulary, `jobs` the one door, `worker` and `work` have engines answer, `store` says what a database has to do.
"""
