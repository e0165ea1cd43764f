"""The end of a server's log, for people: what its JSON lines say, without what is for programs."""

import json


def read_last_words(log: str) -> str:
    """Each line's message and trace; lines that are no such objects, as another program's, as they
    are."""
    return "\n".join(filter(None, map(_read_line, log.strip().splitlines())))


def _read_line(line: str) -> str:
    try:
        told = json.loads(line)
    except ValueError:
        return line
    if not isinstance(told, dict) or "message" not in told:
        return line
    return "\n".join(str(told[name]) for name in ("message", "trace") if told.get(name))
