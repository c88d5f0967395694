"""The words for proxies."""

import pytest

from bneck.errors import UsageError
from bneck.proxies.proxy import PROXIES, find_proxy
from bneck.proxies.short_training import ShortTraining


def test_every_proxy_of_the_table_is_there() -> None:
    assert find_proxy("short-training") is ShortTraining
    assert all(callable(find_proxy(word)) for word in PROXIES)
    assert find_proxy("bneck.proxies.short_training:ShortTraining") is ShortTraining


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("naswat", "unknown proxy 'naswat'; known: .*short-training, shared-weights:RUN, package"),
        ("no.such:thing", "cannot load proxy 'no.such:thing': No module"),
        ("bneck.errors:thing", "cannot load proxy 'bneck.errors:thing'"),
        (".errors:thing", "cannot load proxy '.errors:thing'"),
        (":thing", "cannot load proxy ':thing'"),
        ("shared-weights:", "unknown proxy 'shared-weights:'; known: .* shared-weights:RUN, pack"),
    ],
)
def test_unknown_proxies(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_proxy(word)
