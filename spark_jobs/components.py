"""Connected components."""

from collections.abc import Iterable


def find_components(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Nodes that edges join, directly or not; each sorted, and all in the order of their first.

    Every end of an edge must be among the nodes. Union-find with path halving: near linear.
    """
    parent = {node: node for node in nodes}

    def root(node: str) -> str:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in edges:
        a, b = root(one), root(other)
        # The smaller name is the root, whatever the order of the edges.
        parent[max(a, b)] = min(a, b)
    members: dict[str, list[str]] = {}
    for node in sorted(parent):
        members.setdefault(root(node), []).append(node)
    return list(members.values())
