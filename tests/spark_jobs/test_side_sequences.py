"""No group on two sides, no side ever changed, whatever a team does to a dataset, in any order."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from serving.bundle.manifest import ONE, SEVERAL, Task
from spark_jobs.near_duplicates.groups import (
    Labelled,
    Limits,
    count_classes,
    find_groups,
    find_leaders,
)
from spark_jobs.sides import Assignment, SideRequest, allowed_sides, assign_sides, find_units
from spark_jobs.spec import Origin, Side
from spark_jobs.stages.assign_sides import Decision, decide, list_units

QUOTAS: dict[Side, float] = {"train": 0.5, "val": 0.25, "test": 0.25}
NAMES = [f"{number:02}" for number in range(14)]
LABELS = st.sampled_from(["a", "b", "a|b"])
NAME = st.sampled_from(NAMES)
SPLITS = st.sampled_from([None, "train", "val", "test"])
GROUP = st.sampled_from([None, None, None, "camera 1", "camera 2"])


@dataclass
class Stored:
    """A sample as the database has it. seen: False once a stage rejects it."""

    label: str
    group: str | None
    split: str | None
    side: Side | None = None
    origin: Origin | None = None
    active: bool = True
    seen: bool = True

    @property
    def left_out(self) -> bool:
        return not (self.active and self.seen)


class Dataset(RuleBasedStateMachine):
    """Pictures resemble each other as they like; people and runs come in any order."""

    task: Task = ONE

    def __init__(self) -> None:
        super().__init__()
        self.alike: list[tuple[str, str]] = []
        self.there: dict[str, Stored] = {}
        self.gives_splits = False

    @initialize(pairs=st.lists(st.tuples(NAME, NAME), max_size=20), gives_splits=st.booleans())
    def draw_pictures(self, pairs: list[tuple[str, str]], *, gives_splits: bool) -> None:
        self.gives_splits = gives_splits
        self.alike = sorted({(a, b) for a, b in pairs if a < b})

    @rule(found=st.dictionaries(NAME, st.tuples(LABELS, GROUP), min_size=1))
    def import_some(self, found: dict[str, tuple[str, str | None]]) -> None:
        for name, (label, group) in found.items():
            self.there.setdefault(name, Stored(label, group, None))

    @precondition(lambda self: self.gives_splits)
    @rule(found=st.dictionaries(NAME, st.tuples(LABELS, GROUP), min_size=1), split=SPLITS)
    def import_a_split(self, found: dict[str, tuple[str, str | None]], split: str | None) -> None:
        for name, (label, group) in found.items():
            self.there.setdefault(name, Stored(label, group, split))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def delete_or_dispute(self, data: st.DataObject) -> None:
        self.there[data.draw(st.sampled_from(sorted(self.there)))].active = False

    @precondition(lambda self: self.there)
    @rule(data=st.data(), label=LABELS)
    def relabel(self, data: st.DataObject, label: str) -> None:
        sample = self.there[data.draw(st.sampled_from(sorted(self.there)))]
        sample.label, sample.active = label, True

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def turn_another_stage_on_or_off(self, data: st.DataObject) -> None:
        sample = self.there[data.draw(st.sampled_from(sorted(self.there)))]
        sample.seen = not sample.seen

    @rule(seed=st.integers(0, 3))
    def run_etl(self, seed: int) -> None:
        before = {name: sample.side for name, sample in self.there.items() if sample.side}
        scenes = self._find_scenes()
        wanted, decision = self._decide(seed)
        for name, side in decision.sides.items():
            sample = self.there[name]
            assert sample.side in (None, side)
            if sample.side is None:
                sample.side, sample.origin = side, wanted.origins[name]
            assert sample.origin == wanted.origins[name]
        for unit in find_units(decision.used):
            ours = {decision.sides[n] for n in unit if self.there[n].origin == "assigned"}
            assert len(ours) <= 1
        splits = frozenset(s.split for s in self.there.values() if s.split is not None)
        fresh = decision.sides.keys() - before.keys()
        for a, b in [*self.alike, *((b, a) for a, b in self.alike)]:
            if a in fresh and b in before and not {a, b} & scenes:
                allowed = allowed_sides(self.there[a].split, splits)
                if self.there[b].origin == "given" and before[b] not in allowed:
                    continue
                if self.there[a].origin == "given":
                    continue
                # A model may have learned from b, wherever b is today.
                assert not self._belong_together(a, b) or decision.sides[a] == before[b]
        for a, b in self.alike:
            if {a, b} <= decision.sides.keys() and not {a, b} & scenes:
                given = "given" in (self.there[a].origin, self.there[b].origin)
                same = decision.sides[a] == decision.sides[b]
                assert same or given or not self._belong_together(a, b)
        _, again = self._decide(seed + 1)
        assert (again.sides, name_units(again)) == (decision.sides, name_units(decision))

    def _belong_together(self, a: str, b: str) -> bool:
        return self.task == SEVERAL or self.there[a].label == self.there[b].label

    def _known(self) -> dict[str, Labelled]:
        return {
            name: Labelled(name, sample.label, sample.side, sample.left_out)
            for name, sample in sorted(self.there.items())
            if not sample.left_out or sample.side is not None
        }

    def _pairs(self) -> list[tuple[str, str]]:
        known = self._known()
        return [(a, b) for a, b in self.alike if a in known and b in known]

    def _limits(self) -> Limits:
        counts = count_classes(self._known(), self.task)
        return Limits(share=0.05, size=4, classes=counts, task=self.task)

    def _find_scenes(self) -> set[str]:
        """Samples of components that are too large to be copies.

        Where they are so only with those left out, and have one side, they are copies.
        """
        limits = self._limits()
        everything = {n: Labelled(n, known.label) for n, known in self._known().items()}
        large = find_groups(everything, self._pairs(), limits).over_large
        used = find_groups(self._known(), self._pairs(), limits).over_large
        crowded = {name for component in used for name in component}
        sides = [{self.there[n].side for n in component} - {None} for component in large]
        return crowded.union(
            *(
                component
                for component, there in zip(large, sides, strict=True)
                if len(there) > 1 or crowded & set(component)
            )
        )

    def _decide(self, seed: int) -> tuple[Assignment, Decision]:
        known, pairs, limits = self._known(), self._pairs(), self._limits()
        near = find_groups(known, pairs, limits).near
        leaders = find_leaders(known, pairs, limits)
        requests = [
            SideRequest(
                sha256=name,
                label=sample.label,
                split=self.there[name].split,
                side=sample.side,
                origin=self.there[name].origin,
                group=self.there[name].group,
                near=near.get(name, ()),
                follows=leaders.get(name, ()),
            )
            for name, sample in known.items()
        ]
        usable = [request for request in requests if not known[request.sha256].left_out]
        names = {name: name for name in known}
        wanted = assign_sides(requests, QUOTAS, seed, self.task)
        return wanted, decide(usable, wanted, names, as_they_are=False)


def name_units(decision: Decision) -> dict[str, str | None]:
    """Sample → the name that it shares with its unit."""
    units = list_units(decision.used)
    return {member.sha256: unit.group for unit in units for member in unit.members}


class DatasetOfSeveral(Dataset):
    """The same where a sample has several labels: then copies of other labels are copies, too."""

    task = SEVERAL


TestDataset = Dataset.TestCase
TestDataset.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestSeveral = DatasetOfSeveral.TestCase
TestSeveral.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
