"""A Ray cluster of two nodes on this machine, in processes of its own: it ends with the process that asked for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.running import ROOT, environment

# Ray looks for the machine's own address even where it is told the loopback one, unless it takes this for a laptop.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_SERVE_LOG_TO_STDERR": "0", **LOOPBACK}
STORE = 100_000_000


@contextmanager
def nodes() -> Iterator[str]:
    """The cluster's address, on the loopback interface alone."""
    command = [sys.executable, "-m", "tests.backends.ray.nodes"]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(PYTHONPATH=paths, **QUIET),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = next((line for line in process.stdout if line.startswith(b"address ")), b"")
            assert address, "no cluster came up"
            yield address.split()[1].decode()
        finally:
            process.stdin.close()
            process.wait(60)


def main() -> None:
    """Start the nodes, tell the address, and end them when nobody asks for them any more."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 4, "node_ip_address": "127.0.0.1", "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node, resources={"second": 1})
    sys.stdout.write(f"address {cluster.address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
