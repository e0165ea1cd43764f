#!/bin/sh
# Checks the files, loads the image, starts the server. Asks no network.
set -eu
cd "$(dirname "$0")"
sha256sum --check --quiet SHA256SUMS
docker load --quiet --input image.tar
export MODELMILL_HOST="${MODELMILL_HOST:-127.0.0.1}"
export MODELMILL_PORT="${MODELMILL_PORT:-{{ port }}}"
export MODELMILL_CPUS="${MODELMILL_CPUS:-$(nproc)}"
if docker compose version >/dev/null 2>&1; then
    docker compose up --detach
else
    docker rm --force {{ container }} >/dev/null 2>&1 || true
    docker network inspect {{ container }} >/dev/null 2>&1 || docker network create {{ container }} >/dev/null
    docker run --detach --name {{ container }} --network {{ container }} --restart unless-stopped \
        --publish "$MODELMILL_HOST:$MODELMILL_PORT:{{ inner_port }}" \
        --read-only --tmpfs /tmp:size=128m --cap-drop ALL --security-opt no-new-privileges \
        --memory {{ memory }} --pids-limit {{ processes }} --cpus "$MODELMILL_CPUS" \
        --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 {{ image }} >/dev/null
fi
# Asked from inside: this shell may have no network at all.
ask="import urllib.request; urllib.request.urlopen('http://127.0.0.1:{{ inner_port }}/readyz', timeout=2)"
tries=60
until docker exec {{ container }} python -c "$ask" >/dev/null 2>&1; do
    tries=$((tries - 1))
    if [ "$tries" = 0 ]; then
        docker logs --tail 20 {{ container }} >&2
        echo "The server does not answer; above is what it said last." >&2
        exit 1
    fi
    sleep 1
done
echo "{{ deployment }} version {{ version }}: http://$MODELMILL_HOST:$MODELMILL_PORT/"
