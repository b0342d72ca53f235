"""Several processes that serve the same port: a supervisor, which serves nothing, and its workers.

The supervisor owns the listening sockets, a set for each worker, so that no connection is lost when a worker ends: what
waits to be taken from its sockets is taken by another one. Workers are forked: one serves after 30 ms and has 8 MB of
its own, where a new interpreter takes half a second and 28 MB.
"""
