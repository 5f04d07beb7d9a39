"""A Ray runtime of two processes on this machine, until standard input ends. Prints its address and the raylet's id."""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

if __name__ == "__main__":
    arguments = {
        "num_cpus": 2,
        "include_dashboard": False,
        "object_store_memory": 80 << 20,
    }
    cluster = Cluster(initialize_head=True, head_node_args=arguments)
    raylet = cluster.head_node.all_processes["raylet"][0].process.pid
    sys.stdout.write(f"{cluster.address} {raylet}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()
