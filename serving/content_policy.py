"""Content-Security-Policy sources for what stands inside a page."""

import base64
import hashlib
import re

# What stands between a page's beginning and its one script: nothing that a stranger wrote.
_LEADING = re.compile(
    r'<!doctype html>\s*<html lang="en">\s*<head>\s*<meta charset="utf-8">\s*'
    r"<script>(.*?)</script>",
    flags=re.DOTALL,
)


def hash_leading_script(page: str) -> str:
    """Source that allows the script which a page begins with; 'none' where it does not.

    Any other script is left out: a page holds names from strangers, and one that had slipped
    through as markup must not be allowed by its own hash.
    """
    found = _LEADING.match(page)
    return _name_source(found[1]) if found else "'none'"


def _name_source(block: str) -> str:
    digest = base64.b64encode(hashlib.sha256(block.encode()).digest())
    return f"'sha256-{digest.decode()}'"


def hash_inline(page: str, tag: str) -> str:
    """Sources that allow exactly the page's own inline <tag> blocks; 'none' where it has none."""
    blocks = re.findall(rf"<{tag}(?:\s[^>]*)?>(.*?)</{tag}>", page, flags=re.DOTALL)
    return " ".join(map(_name_source, blocks)) or "'none'"
