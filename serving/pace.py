"""How long the next picture will wait, by how long the last ones did."""

# Of each new observation; a single giant picture must not close the door.
SHARE = 0.1


class Pace:
    """Seconds a picture, smoothed: what a picture took, divided by those it stood behind."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def observe(self, seconds: float, ahead: int) -> None:
        """A picture took so long, with so many before it when it came."""
        found = seconds / (ahead + 1)
        self._seconds += (found - self._seconds) * (SHARE if self._seconds else 1.0)

    def expect(self, ahead: int) -> float:
        """Seconds until a picture is answered that comes now; 0 before anything is known."""
        return self._seconds * (ahead + 1)
