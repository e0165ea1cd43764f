"""Locations as people and programs write them."""

from urllib.parse import SplitResult, urlsplit


def split_location(location: str) -> SplitResult:
    """Split a URI that has neither query nor fragment: `?` and `#` are signs of its path.

    ValueError where it is none.
    """
    return urlsplit(location.replace("#", "%23").replace("?", "%3F"))
