"""Real photos for tests and benchmarks, where there are some."""

import os
from pathlib import Path


def find_photos() -> Path:
    """The ants and bees of PyTorch's tutorial, train/ and val/; may not exist."""
    return Path(os.environ.get("MODELMILL_TEST_DATA", "")) / "hymenoptera"
