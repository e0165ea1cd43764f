"""Several labels as one string."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.bundle.manifest import ONE, SEVERAL
from serving.job.labels import join_labels, list_classes, split_labels

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="|"), min_size=1)


@given(st.lists(NAMES, max_size=6), st.randoms())
def test_order_and_repetition_are_of_no_account(names: list[str], random: "object") -> None:
    clean = {unicodedata.normalize("NFC", name.strip()) for name in names} - {""}
    if not clean:
        with pytest.raises(ValueError, match="empty label"):
            join_labels(names)
        return
    joined = join_labels(names)
    assert set(split_labels(joined)) == clean
    assert len(split_labels(joined)) == len(clean)
    shuffled = names + names[:2]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert join_labels(shuffled) == join_labels(split_labels(joined)) == joined


def test_bars_stand_between_labels() -> None:
    assert join_labels([" b", "a", "b "]) == "a|b"
    with pytest.raises(ValueError, match=r"the class name 'a\|b' holds '\|'"):
        join_labels(["c", "a|b"])
    assert list_classes("a|b", SEVERAL) == ("a", "b")
    assert list_classes("a|b", ONE) == ("a|b",)
