"""Content-Security-Policy sources for what stands inside a page."""

import base64
import hashlib
import re


def hash_inline(page: str, tag: str) -> str:
    """Sources that allow exactly the page's own inline <tag> blocks; 'none' where it has none."""
    blocks = re.findall(rf"<{tag}(?:\s[^>]*)?>(.*?)</{tag}>", page, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(block.encode()).digest()) for block in blocks]
    return " ".join(f"'sha256-{digest.decode()}'" for digest in digests) or "'none'"
