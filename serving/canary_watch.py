"""What champion and canary have answered, by HAProxy's counters and the replicas' own."""

from collections import defaultdict

import requests
from prometheus_client.parser import text_string_to_metric_families

from serving.canary_verdict import Seen
from serving.gateway import BACKEND, CANARY, METRICS_PATH
from serving.middleware import QUIET_PATHS

TIMEOUT_SECONDS = 5
# An attempt that got no answer counts though another server answered in the end.
UNANSWERED = (
    "haproxy_server_connection_errors_total",
    "haproxy_server_response_errors_total",
    "haproxy_server_retry_warnings_total",
    "haproxy_server_redispatch_warnings_total",
)
ANSWERS = "haproxy_server_http_responses_total"
STATUS = "haproxy_server_status"
SECONDS = "modelmill_request_seconds_bucket"

Counters = dict[tuple[str, str], float]
Samples = list[tuple[str, dict[str, str], float]]


class WatchError(Exception):
    """The gateway, or a replica, does not tell its numbers now."""


class Watch:
    """Adds up counters, through restarts of what counts.

    whole: take the times of the champion's whole life, as where an earlier watcher was killed; else
    of what comes from now on. Canaries and the gateway begin to count with the canary.
    token: opens the replicas' metrics where the deployment asks for tokens.
    """

    def __init__(self, address: str, *, whole: bool, token: str) -> None:
        self._address, self._whole = address, whole
        self._headers = {"Authorization": f"Bearer {token}"}
        self._told = False
        self._last: Counters = {}
        self._sum: Counters = defaultdict(float)
        self._times: dict[tuple[str, float], float] = defaultdict(float)

    def look(self) -> tuple[Seen, Seen, bool]:
        """Champion, canary, and whether all the canary's replicas are up; raises WatchError."""
        servers = set()
        up = set()
        for name, labels, value in self._read(METRICS_PATH):
            if labels.get("proxy") != BACKEND or "server" not in labels:
                continue
            server = labels["server"]
            if name == STATUS:
                servers.add(server)
                if labels["state"] == "UP" and value:
                    up.add(server)
            elif name in UNANSWERED:
                self._add(_side(server), "error", f"{server} {name}", value)
            elif name == ANSWERS:
                kind = "error" if labels["code"] == "5xx" else "right"
                self._add(_side(server), kind, f"{server} {name} {labels['code']}", value)
        for server in sorted(servers & up):
            self._read_times(server)
        trial = {server for server in servers if _side(server) == CANARY}
        return self._describe(""), self._describe(CANARY), bool(trial) and trial <= up

    def _read(self, path: str) -> Samples:
        try:
            answer = requests.get(
                f"{self._address}{path}", headers=self._headers, timeout=TIMEOUT_SECONDS
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            raise WatchError(str(error)) from None
        families = text_string_to_metric_families(answer.text)
        return [(s.name, s.labels, s.value) for family in families for s in family.samples]

    def _read_times(self, server: str) -> None:
        try:
            samples = self._read(f"/replicas/{server.removeprefix(CANARY)}/metrics")
        except WatchError as error:
            # One that was made before there was such a token refuses it.
            if not self._told:
                print(f"Times of {server} cannot be read, its errors only: {error}", flush=True)
            self._told = True
            return
        now: dict[float, float] = defaultdict(float)
        for name, labels, value in samples:
            if name == SECONDS and labels["path"] not in QUIET_PATHS:
                now[float(labels["le"])] += value
        side = _side(server)
        from_now_on = side != CANARY and not self._whole
        for edge, value in now.items():
            self._times[side, edge] += self._grow(f"{server} {edge}", value, known=from_now_on)

    def _add(self, side: str, kind: str, key: str, value: float) -> None:
        self._sum[side, kind] += self._grow(key, value, known=False)

    def _grow(self, key: str, value: float, *, known: bool) -> float:
        """What was added since the last look; known: what the first look finds does not count."""
        last = self._last.get(("", key))
        self._last["", key] = value
        if last is None:
            return 0.0 if known else value
        return value - last if value >= last else value

    def _describe(self, side: str) -> Seen:
        errors, right = self._sum[side, "error"], self._sum[side, "right"]
        timed = sorted((edge, int(n)) for (which, edge), n in self._times.items() if which == side)
        return Seen(requests=int(errors + right), errors=int(errors), timed=tuple(timed))


def _side(server: str) -> str:
    return CANARY if server.startswith(CANARY) else ""
