#!/usr/bin/env bash
# Starts both processes with the demo configuration. State lies in run/; run/config.json is made once and then belongs
# to whoever edits it. Ctrl-C ends both.
#
# Neither process ends because the other one did: the data plane goes on without a control plane, and the control plane
# serves and waits without a data plane. The first that ends is reported, the second ends the demo.
set -euo pipefail
cd "$(dirname "$0")/.."

port=${PORT:-8080}
bin=${BILBYCAST_BIN_DIR:-target/release}
socket=run/dataplane.sock
shm=run/counters.shm

for binary in bilbycast-dataplane bilbycast-controlplane; do
    if ! [ -x "$bin/$binary" ]; then
        echo "$bin/$binary is missing; 'make build' makes it." >&2
        exit 1
    fi
done

# Whether somebody accepts TCP connections on that port of this host.
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

if is_taken "$port"; then
    echo "Port $port is in use by another program. Stop that, or choose another: make run PORT=8081" >&2
    exit 1
fi

mkdir -p run
if ! [ -e run/config.json ]; then
    cp demo/config.json run/config.json
    echo "run/config.json made from demo/config.json"
fi

dataplane=
controlplane=
ending=
# The terminal sends Ctrl-C to the whole group, so each process may have been told already.
end() {
    ending=yes
    for pid in $controlplane $dataplane; do
        kill -TERM "$pid" 2>/dev/null || true
    done
}
trap end INT TERM

# The last CPU carries the packets, everything else shares the others.
cpu=$(taskset -cp $$ 2>/dev/null | sed 's/.*[^0-9]//')
"$bin/bilbycast-dataplane" --control-socket "$socket" --shm "$shm" --cores "${cpu:-0}" \
    2>run/dataplane.log &
dataplane=$!
"$bin/bilbycast-controlplane" -c run/config.json -p "$port" --control-socket "$socket" --shm "$shm" \
    2>run/controlplane.log &
controlplane=$!

# GET of a path of the API, without needing curl.
get() {
    {
        exec 3<>"/dev/tcp/127.0.0.1/$port"
        printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" >&3
        sed '1,/^\r$/d' <&3
    } 2>/dev/null
}

# The value behind the first appearance of a field's name.
field() { grep -o "\"$1\":[^,}]*" | head -n 1 | cut -d : -f 2- | tr -d '"'; }

ready=
for _ in $(seq 100); do
    [ -z "$ending" ] || break
    if kill -0 "$controlplane" 2>/dev/null && kill -0 "$dataplane" 2>/dev/null; then
        if (get /health) | grep -q '"data_plane":"connected"'; then
            ready=yes
            break
        fi
    else
        break
    fi
    sleep 0.1
done

if [ -n "$ready" ]; then
    cat <<TEXT
bilbycast-edge is running.
  look     http://127.0.0.1:$port/
  health   http://127.0.0.1:$port/health
  stats    http://127.0.0.1:$port/api/v1/stats
  config   http://127.0.0.1:$port/api/v1/config    (run/config.json)
  watch    ffplay udp://127.0.0.1:5006
  logs     run/dataplane.log, run/controlplane.log
Ctrl-C ends both processes.
TEXT
    sleep 2 || true
    stats=$( (get /api/v1/stats) || true)
    input=${stats#*\"input\":}
    echo "now: $(field active_flows <<<"$stats") of $(field total_flows <<<"$stats") flows run," \
        "input $(field state <<<"$input"), $(field bitrate_bps <<<"$input") b/s," \
        "$(field packets_received <<<"$input") packets received, $(field packets_lost <<<"$input") lost"
elif [ -z "$ending" ]; then
    echo "It did not become ready; the last lines of the logs:" >&2
    tail -n 5 run/dataplane.log run/controlplane.log >&2
fi

failed=0
# Says which process ended. A process that was told to end is no news.
report() {
    local name=$1 status=$2 other=$3
    if [ -z "$ending" ]; then
        failed=1
        echo "$name ended with status $status; see run/${name#bilbycast-}.log. $other" >&2
    fi
}

while [ -n "$dataplane$controlplane" ]; do
    if [ -n "$dataplane" ] && ! kill -0 "$dataplane" 2>/dev/null; then
        status=0
        { wait "$dataplane"; } 2>/dev/null || status=$?
        dataplane=
        report bilbycast-dataplane "$status" "${controlplane:+The control plane goes on and waits for it.}"
    fi
    if [ -n "$controlplane" ] && ! kill -0 "$controlplane" 2>/dev/null; then
        status=0
        { wait "$controlplane"; } 2>/dev/null || status=$?
        controlplane=
        report bilbycast-controlplane "$status" "${dataplane:+The flows of the data plane go on.}"
    fi
    [ -z "$dataplane$controlplane" ] || sleep 0.2 || true
done
[ -z "$ending" ] || echo "both processes have ended"
exit "$failed"
