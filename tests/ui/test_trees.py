from panel.ui.trees import MOST_CHARACTERS, MOST_CHILDREN, MOST_DEPTH, MOST_NODES, Node, tree


def nodes(node: Node) -> int:
    return 1 + sum(nodes(child) for child in node.children)


def test_an_object_is_a_branch_of_its_fields_in_order():
    top = tree({"id": 7, "status": "failed", "ok": False, "next": None, "rows": [1, 2]})
    assert (top.kind, top.size, top.is_open) == ("object", 5, True)
    assert [(child.key, child.kind, child.text) for child in top.children[:4]] == [
        ("id", "number", "7"),
        ("status", "text", "failed"),
        ("ok", "word", "false"),
        ("next", "word", "null"),
    ]
    assert [child.text for child in top.children[4].children] == ["1", "2"]


def test_a_bare_value_is_a_leaf_and_empty_ones_have_no_branch():
    assert tree("done").text == "done"
    assert not tree({}).is_branch
    assert tree([]).text == "[]"


def test_long_lists_and_texts_say_how_much_is_left_out():
    top = tree({"rows": list(range(500)), "text": "x" * 5_000})
    rows, text = top.children
    assert (len(rows.children), rows.more, rows.size) == (MOST_CHILDREN, 400, 500)
    assert (len(text.text), text.more) == (MOST_CHARACTERS, 3_000)


def test_however_large_and_deep_the_tree_is_bounded_and_the_top_comes_first():
    wide = {f"key {n}": {f"inner {m}": list(range(50)) for m in range(50)} for n in range(90)}
    top = tree(wide)
    assert nodes(top) <= MOST_NODES + 1
    assert len(top.children) == 90
    deep = value = []
    for _ in range(5_000):
        value.append([])
        value = value[0]
    depth, node = 0, tree(deep)
    while node.children:
        depth, node = depth + 1, node.children[0]
    assert depth < MOST_DEPTH
    assert node.more == 1
