"""Which version new ones are held to beside the champion. Pure.

Many steps that are each "not worse" by a little could lead far down: none of them may lead further
below the reference than one step may.
"""

from serving.desired import DesiredState, PastVersion
from serving.spec import GateNumbers


def choose_reference(
    current: DesiredState | None, target: PastVersion, gate: GateNumbers
) -> PastVersion:
    """The reference once the gate has let target in.

    The new version, where it is right at least as often as the reference on the samples that both
    were asked about, and where there is none to compare with; else the one that was. Before there
    was a reference the champion stands for it.
    """
    if current is None:
        return target
    # With the first model of another task begins what no earlier one can be held against.
    if gate.standing == "other_task" and gate.reference_standing is None:
        return target
    if gate.reference_other_task:
        return target
    reference = current.reference or current.past
    if reference.version == current.version:
        return target if gate.standing in ("no_worse", "alone") else reference
    compared = gate.reference_version == reference.version
    return target if compared and gate.reference_standing == "no_worse" else reference
