"""How a request is known: in answers, in errors, in the log, and to who keeps it."""

import re
import uuid
from collections.abc import Mapping

REQUEST_ID_HEADER = "X-Request-ID"
# The gateway asks for the same.
SANE = "[A-Za-z0-9._-]{1,64}"


def make_request_id(headers: Mapping[str, str]) -> str:
    """The caller's X-Request-ID where it is sane, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if re.fullmatch(SANE, given) else uuid.uuid4().hex
