"""HAProxy's configuration before a deployment's replicas. Pure."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from serving.gateway_errors import render_choices, render_replies

PORT = 8000
# Where the gateway answers itself: which configuration it follows, and its own Prometheus metrics.
CONFIGURATION_PATH = "/gateway/configuration"
METRICS_PATH = "/gateway/metrics"
# How long a caller's idle connection is kept; replicas outlive their place in the configuration by
# a little more, for its next request still goes where the connection came from.
KEEP_ALIVE_SECONDS = 2
# A request larger than this cannot be sent again to another replica when the first one dies; up to
# here it is taken in as a whole before a replica sees it, for HAProxy repeats no other.
BUFFER_BYTES = 256 * 1024
# How HAProxy calls the servers that get a share of the requests; a number follows.
CANARY = "canary-"
BACKEND = "replicas"
# HAProxy's largest.
MAX_WEIGHT = 256

_HEAD = """\
global
    maxconn 500
    tune.bufsize {buffer}
    stats socket /tmp/haproxy.sock mode 600 level admin expose-fd listeners
    hard-stop-after 60s
    log stdout format raw local0 notice

defaults
    mode http
    log global
    balance leastconn
    retries 5
    option redispatch 1
    retry-on conn-failure empty-response
    # A connection that was used before may be closed by now, and what is lost on it is not retried.
    option http-server-close
    option forwardfor
    option idle-close-on-response
    timeout connect 1s
    timeout client {client}s
    timeout http-request {header}s
    timeout http-keep-alive {keep_alive}s
    timeout server {server}s
    timeout queue 5s
    {replies}

# The engine's own name server: a replica that was restarted may have another address.
resolvers engine
    nameserver engine 127.0.0.11:53
    resolve_retries 2
    timeout resolve 1s
    timeout retry 500ms
    hold valid 1s
    hold nx 30s
    hold timeout 30s
    hold refused 30s
    hold other 30s
    hold obsolete 1s
"""
_SERVER = "resolvers engine init-addr last,libc,none"


def render_config(
    replicas: Sequence[str],
    canaries: Sequence[str] = (),
    percent: int = 0,
    /,
    *,
    header_seconds: float,
    body_seconds: float,
    answer_seconds: float,
) -> str:
    """The whole file. replicas: names of containers on the gateway's network; canaries: of those
    that get `percent` of the requests.

    All are servers of one backend, so that what a canary does not answer another one does.

    The times are the servers' own limits. The gateway waits a little longer, so that the server's
    sentence reaches the caller, except for a body's first BUFFER_BYTES, which no server waits for:
    that these came too slowly the gateway says in its stead.
    Raises ValueError where there is no replica.
    """
    if not replicas:
        raise ValueError("a gateway needs a replica")
    head = _HEAD.format(
        buffer=BUFFER_BYTES,
        client=round(body_seconds + 5),
        header=round(header_seconds + 1),
        replies="\n    ".join(render_replies(body_seconds)),
        keep_alive=KEEP_ALIVE_SECONDS,
        server=round(body_seconds + answer_seconds + 5),
    )
    servers = _list_servers(replicas, canaries, percent)
    body = [
        f"backend {BACKEND}",
        # Fewest connections first would keep a slow version from getting its share.
        *(["    balance roundrobin"] if canaries else []),
        "    option httpchk GET /readyz",
        "    http-check expect status 200",
    ]
    # Taken out after one failed answer: the other replicas take all in the meantime.
    body.append(
        "    default-server check inter 500ms fastinter 100ms downinter 200ms fall 1 rise 1"
    )
    body += [f"    server {s.name} {s.host}:{PORT} {s.weight}{_SERVER}" for s in servers]
    for n, server in enumerate(servers, start=1):
        body += ["", f"backend replica-{n}", "    http-request set-path /metrics"]
        body.append(f"    server {n} {server.host}:{PORT} track {BACKEND}/{server.name} {_SERVER}")
    choices = [
        f"    use_backend replica-{n} if {{ path /replicas/{n}/metrics }}"
        for n in range(1, len(servers) + 1)
    ]
    rest = "\n".join([*choices, f"    default_backend {BACKEND}", "", *body, ""])
    said = "\n    ".join(render_choices(body_seconds))
    mark = hashlib.sha256((head + said + rest).encode()).hexdigest()[:16]
    front = f"""
frontend api
    bind :{PORT}
    acl asks-configuration path {CONFIGURATION_PATH}
    http-request return status 200 content-type text/plain string {mark} if asks-configuration
    http-request use-service prometheus-exporter if {{ path {METRICS_PATH} }}
    {said}
    http-request wait-for-body time {round(body_seconds * 1000)}ms
"""
    return head + front + rest


def list_replicas(config: str) -> tuple[str, ...]:
    """Names of the containers that a configuration sends requests to, without the canaries."""
    _, _, rest = config.partition(f"\nbackend {BACKEND}\n")
    servers = [line.split() for line in rest.partition("\n\n")[0].splitlines()]
    return tuple(
        words[2].removesuffix(f":{PORT}")
        for words in servers
        if words[0] == "server" and not words[1].startswith(CANARY)
    )


class _Server(NamedTuple):
    name: str
    host: str
    weight: str


def _list_servers(
    replicas: Sequence[str], canaries: Sequence[str], percent: int
) -> tuple[_Server, ...]:
    """The backend's, the canaries last."""
    if not canaries:
        return tuple(_Server(str(n), host, "") for n, host in enumerate(replicas, start=1))
    each, trial = weigh(len(replicas), len(canaries), percent)
    first = len(replicas) + 1
    return (
        *(_Server(str(n), host, f"weight {each} ") for n, host in enumerate(replicas, start=1)),
        *(
            _Server(f"{CANARY}{n}", host, f"weight {trial} ")
            for n, host in enumerate(canaries, start=first)
        ),
    )


def weigh(replicas: int, canaries: int, percent: int) -> tuple[int, int]:
    """Weight of each replica and of each canary, by which these get `percent` together.

    The smallest pair that HAProxy can be given and that comes closest.
    """
    wanted = (100 - percent) * canaries / (percent * replicas)
    pairs = [
        (min(MAX_WEIGHT, max(1, round(wanted * trial))), trial)
        for trial in range(1, MAX_WEIGHT + 1)
    ]
    return min(pairs, key=lambda pair: abs(pair[0] / pair[1] - wanted))


def read_mark(config: str) -> str:
    """What a gateway that follows this configuration answers at CONFIGURATION_PATH."""
    line = next(one for one in config.splitlines() if one.endswith(" if asks-configuration"))
    return line.split(" string ")[1].split()[0]
