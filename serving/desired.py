"""The desired state of deployments, in MongoDB: changed only by compare-and-set."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from serving.spec import EventAction, GateNumbers, Rollout

# Versions that a deployment remembers having served.
REMEMBERED = 10
# After its window a canary waits so long for the job that started it, or a retry of that.
ABANDONED = timedelta(minutes=10)


class PastVersion(BaseModel):
    """A version that served, and where it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int
    image_tag: str
    bundle_uri: str


class Canary(PastVersion):
    """A version that takes `percent` of the requests for `minutes` from `since` on.

    since: when it was decided, and, once `taking`, when its replicas were ready.
    request_id: whose it is; a retry goes on with its own. reference: what later versions are held
    to once this one has stayed; None: what they are held to now.
    """

    percent: int
    minutes: float
    since: datetime
    taking: bool = False
    request_id: str
    reference: PastVersion | None = None

    @property
    def past(self) -> PastVersion:
        """The version alone."""
        return PastVersion(
            version=self.version, image_tag=self.image_tag, bundle_uri=self.bundle_uri
        )

    @property
    def end(self) -> datetime:
        """When its window is over."""
        return self.since + timedelta(minutes=self.minutes)

    def is_abandoned(self, now: datetime) -> bool:
        """Whether nobody seems to drive it any more: retries come sooner than this."""
        return now > self.end + ABANDONED


class DroppedCanary(BaseModel):
    """The last canary that did not stay, for a retry that comes too late to see it go."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int
    request_id: str
    why: str


class DesiredState(BaseModel):
    """What should serve under a deployment's name. Fields of later versions are left alone.

    replaced_version: what served until this version did, newer or older.
    history: what a rollback goes back to, the nearest last; without the version in service.
    reference: what new versions must not be worse than, too; None in documents of before.
    moved_generation: when the version last changed; None in documents of before, and then it may
    have been with this generation. request_id: the request that made this generation.
    slowness: in which way the version that was last promoted is slow, for a retry to tell.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    deployment: str
    version: int
    replaced_version: int | None = None
    image_tag: str
    bundle_uri: str
    frozen: bool = False
    generation: int
    moved_generation: int | None = None
    port: int
    rollout: Rollout = Rollout()
    history: tuple[PastVersion, ...] = ()
    reference: PastVersion | None = None
    request_id: str = ""
    slowness: str = ""
    canary: Canary | None = None
    dropped: DroppedCanary | None = None

    @property
    def past(self) -> PastVersion:
        """The version in service, as later ones remember it."""
        return PastVersion(
            version=self.version, image_tag=self.image_tag, bundle_uri=self.bundle_uri
        )

    def has_moved_since(self, generation: int) -> bool:
        """Whether the version has changed since a generation; settings do not count."""
        moved = self.generation if self.moved_generation is None else self.moved_generation
        return not moved <= generation <= self.generation

    def advance(self, **changes: Any) -> "DesiredState":
        """The next generation, with other settings."""
        return self.model_copy(update={"generation": self.generation + 1, **changes})

    def wants_canary(self, target: PastVersion) -> bool:
        """Whether a version is tried first: only containers can share the requests."""
        return bool(self.rollout.canary_percent and self.image_tag and target.image_tag)

    def begin_canary(
        self,
        target: PastVersion,
        *,
        since: datetime,
        request_id: str,
        reference: PastVersion | None = None,
    ) -> "DesiredState":
        """The next generation, with a version on trial beside the one in service."""
        canary = Canary(
            **target.model_dump(),
            percent=self.rollout.canary_percent,
            minutes=self.rollout.canary_minutes,
            since=since,
            request_id=request_id,
            reference=reference,
        )
        return self.advance(canary=canary)

    def let_in(self, canary: Canary, **changes: Any) -> "DesiredState":
        """The next generation, with the version that was on trial in the champion's place."""
        reference = canary.reference or self.reference
        return self.serve_next(canary.past, reference=reference, **changes)

    def drop_canary(self, why: str, **changes: Any) -> "DesiredState":
        """The next generation, without the version on trial, if there is one."""
        if self.canary is None:
            return self.advance(**changes)
        dropped = DroppedCanary(
            version=self.canary.version, request_id=self.canary.request_id, why=why
        )
        return self.advance(**{"canary": None, "dropped": dropped, **changes})

    def serve_next(self, target: PastVersion, **changes: Any) -> "DesiredState":
        """The next generation, with a new version; this one is remembered."""
        kept = [one for one in self.history if one.version not in (target.version, self.version)]
        return self._serve(target, tuple([*kept, self.past][-REMEMBERED:]), changes)

    def serve_again(self, target: PastVersion, **changes: Any) -> "DesiredState":
        """The next generation, with an older version; what came after that is forgotten."""
        versions = [one.version for one in self.history]
        if target.version in versions:
            kept = self.history[: versions.index(target.version)]
        else:
            kept = tuple(one for one in self.history if one.version < target.version)
        if self.reference is not None and self.reference.version == self.version:
            # Who goes back from a version does not hold others to it.
            changes = {"reference": target, **changes}
        return self._serve(target, kept, changes)

    def _serve(
        self, target: PastVersion, history: tuple[PastVersion, ...], changes: dict[str, Any]
    ) -> "DesiredState":
        return self.advance(
            **target.model_dump(),
            replaced_version=self.version,
            moved_generation=self.generation + 1,
            history=history,
            canary=None,
            **changes,
        )


def _parse(document: dict[str, Any]) -> DesiredState:
    return DesiredState.model_validate({**document, "deployment": document["_id"]})


def read_desired(database: Any, deployment: str) -> DesiredState | None:
    """The state of one deployment; None before its first version."""
    document = database["deployments"].find_one({"_id": deployment})
    return None if document is None else _parse(document)


def list_desired(database: Any) -> list[DesiredState]:
    """Every deployment, by name."""
    return [_parse(document) for document in database["deployments"].find().sort("_id", 1)]


def list_names(database: Any) -> list[str]:
    """Every deployment's, sorted; also of one whose document cannot be read."""
    return sorted(database["deployments"].distinct("_id"))


def compare_and_set(database: Any, state: DesiredState, expected_generation: int) -> bool:
    """Write a state if the stored generation is the expected one (0: none stored); else False."""
    from pymongo.errors import DuplicateKeyError

    fields = state.model_dump(exclude={"deployment"}) | {"updated_at": datetime.now(UTC)}
    deployments = database["deployments"]
    if expected_generation == 0:
        try:
            deployments.insert_one({"_id": state.deployment, **fields})
        except DuplicateKeyError:
            return False
        return True
    changed = deployments.update_one(
        {"_id": state.deployment, "generation": expected_generation}, {"$set": fields}
    )
    return bool(changed.matched_count == 1)


def record_event(
    database: Any,
    state: DesiredState,
    *,
    action: EventAction,
    who: str,
    why: str,
    from_version: int | None,
    gate: GateNumbers | None = None,
    to_version: int | None = None,
) -> None:
    """Append the audit entry of a generation, once; to_version: the one in service, if not said."""
    database["deployment_events"].update_one(
        {"deployment": state.deployment, "generation": state.generation},
        {
            "$setOnInsert": {
                "at": datetime.now(UTC),
                "action": action,
                "who": who,
                "from_version": from_version,
                "to_version": to_version or state.version,
                "why": why,
                "gate": None if gate is None else gate.model_dump(),
            }
        },
        upsert=True,
    )
