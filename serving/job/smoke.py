"""Test samples that a new server must answer right before it gets traffic."""

from serving.job.spec import Spec


class SmokeSample(Spec):
    """A test sample, base64, with the label that the evaluated bundle gave it.

    Where it may have several: all that were said, `a|b`, and nothing where none was.
    """

    sha256: str
    content_base64: str
    predicted: str


class SmokeSamples(Spec):
    """What the new server must answer before it gets traffic."""

    samples: tuple[SmokeSample, ...]
