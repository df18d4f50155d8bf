"""
Circles in a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

#: Returns the numbers of the nodes after a node.
Follow = Callable[[int], list[int]]


def components(nodes: Iterable[int], follow: Follow) -> Iterator[list[int]]:
    """
    The strongly connected components of the nodes and of all that follow, each after all others
    that it leads to (Tarjan's algorithm, without recursion).
    """
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    done: set[int] = set()
    for root in nodes:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        stack.append(root)
        work = [(root, iter(follow(root)))]
        while work:
            node, rest = work[-1]
            for after in rest:
                if after not in order:
                    order[after] = low[after] = len(order)
                    stack.append(after)
                    work.append((after, iter(follow(after))))
                    break
                if after not in done and order[after] < low[node]:
                    low[node] = order[after]
            else:
                work.pop()
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
                if low[node] == order[node]:
                    component = [stack.pop()]
                    while component[-1] != node:
                        component.append(stack.pop())
                    done.update(component)
                    yield component


def isCircle(component: list[int], follow: Follow) -> bool:
    """
    Whether a way leads from each node of a component back to it.
    """
    return len(component) > 1 or component[0] in follow(component[0])
