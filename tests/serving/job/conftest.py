"""A dataset with a queue."""

from typing import Any

import pytest

from serving.job.reviews import queue_reviews
from tests.serving.reviewing import insert_sample, make_item


@pytest.fixture
def pets(database: Any, dataset: str) -> str:
    for number in range(5):
        insert_sample(database, dataset, number, "dog" if number == 4 else "cat")
    queue_reviews(database, [make_item(dataset, n, suspicion=n / 10) for n in range(4)])
    return dataset
