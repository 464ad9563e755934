"""A JSON value as a tree that a page can unfold: bounded, whatever the value is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

MOST_NODES: Final = 1_000
MOST_CHILDREN: Final = 100
MOST_DEPTH: Final = 20
MOST_CHARACTERS: Final = 2_000
OPEN_DEPTH: Final = 2
"""Nodes above this depth are open at first, if they have few children."""
FEW: Final = 20


@dataclass(slots=True)
class Node:
    """One value. ``key`` is its name or place in what holds it ("" at the top); ``kind`` one of ``object``, ``array``,
    ``text``, ``number``, ``word`` (true, false, null). ``size`` is the number of children or characters, ``more`` how
    many of them are left out."""

    key: str
    kind: str
    text: str = ""
    size: int = 0
    more: int = 0
    is_open: bool = False
    children: list[Node] = field(default_factory=list)

    @property
    def is_branch(self) -> bool:
        return self.kind in {"object", "array"} and self.size > 0


def tree(value: Any) -> Node:
    """The value from the top, at most MOST_NODES nodes and MOST_DEPTH levels of it."""
    top = _node("", value, depth=0)
    left, level = MOST_NODES, [(top, value)]
    for depth in range(1, MOST_DEPTH):  # level by level, so that what is near the top is shown first
        below: list[tuple[Node, Any]] = []
        for node, held in level:
            shown = _children(held)[: min(MOST_CHILDREN, left)]
            left -= len(shown)
            for key, child in shown:
                node.children.append(_node(key, child, depth))
                below.append((node.children[-1], child))
        level = [(node, held) for node, held in below if node.is_branch]
    _count_what_is_left_out(top)
    return top


def _node(key: str, value: Any, depth: int) -> Node:
    if isinstance(value, dict | list):
        kind = "object" if isinstance(value, dict) else "array"
        text = "{}" if isinstance(value, dict) else "[]"
        return Node(key, kind, text, size=len(value), is_open=depth < OPEN_DEPTH and len(value) <= FEW)
    if isinstance(value, str):
        return Node(key, "text", value[:MOST_CHARACTERS], len(value), max(0, len(value) - MOST_CHARACTERS))
    if value is None or isinstance(value, bool):
        return Node(key, "word", {None: "null", True: "true", False: "false"}[value])
    return Node(key, "number", str(value))


def _children(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(str(key), child) for key, child in value.items()]
    return [(str(place), child) for place, child in enumerate(value)] if isinstance(value, list) else []


def _count_what_is_left_out(node: Node) -> None:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.is_branch:
            node.more = node.size - len(node.children)
            waiting += node.children
