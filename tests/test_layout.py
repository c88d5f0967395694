"""The package's layout: a folder holds no more than can be taken in at a glance."""

from collections import Counter
from pathlib import Path

import bneck

MOST = 25


def test_no_folder_holds_more_modules_than_a_reader_takes_in() -> None:
    package = Path(bneck.__file__).parent
    modules = Counter(str(one.parent.relative_to(package)) for one in package.rglob("*.py"))
    assert modules["space"] > 10  # there is something to count
    assert {folder: count for folder, count in modules.items() if count > MOST} == {}
