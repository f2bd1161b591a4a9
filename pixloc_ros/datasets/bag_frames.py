"""The transforms of a bag: which frames are fixed to each other, and how others move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms

#: A transform on /tf that never differs more than that from its first value is a mounting (m, rad).
STILL_M, STILL_RAD = 1e-3, 1e-3


@dataclass(frozen=True)
class Edge:
    """T_parent_child (N, 4, 4) at stamps_ns (N,), as they were sent. fixed: all of them are one."""

    stamps_ns: np.ndarray
    T: np.ndarray
    fixed: bool

    @classmethod
    def of(cls, stamps_ns: np.ndarray, T: np.ndarray, static: bool) -> Edge:
        """static: from /tf_static, where a later transform replaces the earlier."""
        if static:
            return cls(stamps_ns[-1:], T[-1:], True)
        metres, radians = transforms.pose_error(T, np.broadcast_to(T[0], T.shape))
        return cls(stamps_ns, T, bool(metres.max() < STILL_M and radians.max() < STILL_RAD))


#: By parent and child.
Edges = dict[tuple[str, str], Edge]


def reached(edges: Edges, base: str) -> dict[str, np.ndarray]:
    """T_base_frame (4, 4) of every frame that fixed edges join to a base."""
    neighbours: dict[str, list[tuple[str, np.ndarray]]] = {}
    for (parent, child), edge in edges.items():
        if edge.fixed:
            neighbours.setdefault(parent, []).append((child, edge.T[0]))
            neighbours.setdefault(child, []).append((parent, transforms.inverse(edge.T[0])))
    found, queue = {base: np.eye(4)}, [base]
    while queue:
        frame = queue.pop()
        for neighbour, T in neighbours.get(frame, []):
            if neighbour not in found:
                found[neighbour] = found[frame] @ T
                queue.append(neighbour)
    return found


def moved_base(edges: Edges, base: str) -> tuple[np.ndarray, np.ndarray]:
    """Stamps (N,) and T_odom_base (N, 4, 4) of a base in the frame that it moves in.

    The one moving edge whose child is the base, or is fixed to it. DataError, which lists what
    moves, where there is none or more than one.
    """
    rigid = reached(edges, base)
    moving = {pair: edge for pair, edge in edges.items() if not edge.fixed}
    found = [pair for pair in moving if pair[1] in rigid]
    if len(found) != 1:
        listed = ", ".join(f"{parent} -> {child}" for parent, child in sorted(moving)) or "nothing"
        raise DataError(
            f"/tf says {'more than once' if found else 'nowhere'} how '{base}' moves; "
            f"what moves there: {listed}"
        )
    edge = moving[found[0]]
    return edge.stamps_ns, edge.T @ transforms.inverse(rigid[found[0][1]])
