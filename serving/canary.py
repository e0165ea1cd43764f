"""Drive a canary: watch it through its window, then let it in, or send it away.

All that decides lies in the desired state, so that a job that was killed goes on where it is tried
again, and one whose canary somebody else has ended notices.
"""

import math
import time
from datetime import UTC, datetime
from typing import Any

from serving import environment
from serving.canary_state import find_canary, promote_canary, return_to_champion, start_window
from serving.canary_verdict import Seen, Verdict, judge
from serving.canary_watch import Watch, WatchError
from serving.containers import ContainerHost
from serving.desired import Canary, DesiredState, read_desired
from serving.docker_client import use_docker
from serving.hosts import address_of
from serving.job.errors import UserError
from serving.reconcile import reconcile
from serving.tokens import lend_token, locate_tokens, locate_watch

LOOK_SECONDS = 1.0
TELL_SECONDS = 10.0
# A replica that misses so many looks is down for good; one may have been busy.
LOOKS_DOWN = 5


def drive_canary(database: Any, deployment: str, request_id: str) -> tuple[DesiredState, str]:
    """Serve champion and canary until one of them is to serve alone.

    Returns the state in which the canary's version is the one in service, yet to be reconciled, and
    what it has shown. Raises UserError where it was sent away, or ended by somebody; the champion
    serves then.
    """
    before = read_desired(database, deployment)
    canary = find_canary(before, request_id)
    state, _ = reconcile(database, deployment)
    state = start_window(database, state, request_id)
    version = None if canary is None else canary.version
    verdict = Verdict(decision="wait")
    address = address_of(environment.host(), state.port)
    whole = canary is not None and canary.taking
    with lend_token(locate_watch(locate_tokens(environment.home(), deployment))) as token:
        watcher = _Watcher(deployment, Watch(address, whole=whole, token=token))
        while (canary := find_canary(state, request_id)) is not None:
            verdict = watcher.judge(canary)
            if verdict.decision == "return":
                state = return_to_champion(database, state, verdict.why)
                reconcile(database, deployment)
            elif verdict.decision == "promote":
                state = promote_canary(database, state, request_id)
            else:
                left = (canary.end - datetime.now(UTC)).total_seconds()
                time.sleep(max(0.0, min(LOOK_SECONDS, left)))
                state = _read(database, deployment)
    if state.version != version:
        raise UserError(explain_end(state, request_id))
    return state, f"As a canary, {verdict.why}." if verdict.why else ""


def explain_end(state: DesiredState, request_id: str) -> str:
    """Why a request's canary is no more, and what serves."""
    if state.dropped is not None and state.dropped.request_id == request_id:
        return state.dropped.why
    return (
        f"The canary of {state.deployment!r} was ended by somebody else; version {state.version} "
        f"serves. ./modelmill deployments {state.deployment} shows who did what."
    )


class _Watcher:
    def __init__(self, deployment: str, watch: Watch) -> None:
        self._deployment, self._watch = deployment, watch
        self._down = 0
        self._told = -math.inf

    def judge(self, canary: Canary) -> Verdict:
        over = datetime.now(UTC) >= canary.end
        trouble = self._find_trouble(canary.version)
        if trouble is not None:
            return Verdict(decision="return", why=f"a replica of it ended: {trouble}")
        try:
            champion, seen, up = self._watch.look()
        except WatchError as error:
            # The gateway itself may be on its way back.
            self._down += 1
            if self._down < LOOKS_DOWN:
                return Verdict(decision="wait")
            return Verdict(decision="return", why=f"the gateway does not tell how it does: {error}")
        self._down = 0 if up else self._down + 1
        self._tell(canary, champion, seen)
        verdict = judge(champion, seen, over=over)
        if verdict.decision != "return" and not up:
            if self._down >= LOOKS_DOWN:
                return Verdict(decision="return", why="a replica of it does not say it is ready")
            return Verdict(decision="wait")
        return verdict

    def _tell(self, canary: Canary, champion: Seen, seen: Seen) -> None:
        """How it goes, for who follows the job's log."""
        if time.monotonic() - self._told < TELL_SECONDS:
            return
        self._told = time.monotonic()
        left = max(0.0, (canary.end - datetime.now(UTC)).total_seconds())
        print(
            f"Canary, version {canary.version} with {canary.percent} %: {seen.requests} requests, "
            f"{seen.errors} failed; the champion: {champion.requests}, {champion.errors} failed; "
            f"{left:.0f} s left",
            flush=True,
        )

    def _find_trouble(self, version: int) -> str | None:
        with use_docker() as client:
            if client is None:
                return "no Docker engine answers any more"
            return ContainerHost(client).find_trouble(self._deployment, version)


def _read(database: Any, deployment: str) -> DesiredState:
    state = read_desired(database, deployment)
    if state is None:
        raise UserError(f"Deployment {deployment!r} is gone.")
    return state
