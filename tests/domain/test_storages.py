"""The setting that names object storages: what is wrong is said, what is secret is not."""

from __future__ import annotations

import pytest

from panel.domain.storages import MalformedStorage, storages_from


def test_bases_and_their_roots():
    found = storages_from([{"base": "s3://conn@bucket/some/prefix/", "key": "k"}, {"base": "file:///var/xcoms"}])
    assert [(one.base, one.scheme, one.root) for one in found] == [
        ("s3://conn@bucket/some/prefix", "s3", "bucket/some/prefix"),
        ("file:///var/xcoms", "file", "/var/xcoms"),
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"base": "s3://bucket"},
        ["s3://bucket"],
        [{}],
        [{"base": "http://intranet/x"}],
        [{"base": "file://relative"}],
        [{"base": "file:///"}],
        [{"base": "file:///var/../etc"}],
        [{"base": "s3://"}],
        [{"base": "s3://bucket", "secret": 7}],
        [{"base": "s3://bucket", "password": "hidden"}],
    ],
)
def test_what_is_malformed_is_refused_without_repeating_it(value):
    with pytest.raises(MalformedStorage) as refusal:
        storages_from(value)
    assert "hidden" not in str(refusal.value)
