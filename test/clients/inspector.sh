#!/usr/bin/env bash
# The main job through the MCP Inspector's command line: inspector.sh stdio|http|sse legacy|modern. Prints one line for each check.
# Each call is a process of its own, so over stdio no call can meet the job of another: there, cancel is refused.
set -euo pipefail
kind=$1 era=$2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export HOME=$out # the Inspector keeps files there

common=(--protocol-era "$era" --format json --stored-auth-only)
case $kind in
http) target=("$E2E_URL/mcp" --transport http) ;;
sse) target=("$E2E_URL/sse" --transport sse) ;;
esac
inspect() { # the Inspector's options…; writes $out/got
	if [ "$kind" = stdio ]; then
		local env=()
		for name in "${!COMFYGATE_@}"; do env+=(-e "$name=${!name}"); done
		timeout --foreground 120 "$E2E_NODE" "$E2E_INSPECTOR" --cli "$@" "${common[@]}" "${env[@]}" -- "$E2E_BINARY" serve
	else
		timeout --foreground 120 "$E2E_NODE" "$E2E_INSPECTOR" --cli "${target[@]}" "${bearer[@]}" "$@" "${common[@]}"
	fi >"$out/got" 2>"$out/err"
}
bearer=(--header "Authorization: Bearer $E2E_TOKEN")

check() { # name, exit status, pattern in what it prints, options…
	local name="inspector $era $kind: $1" want=$2 pattern=$3 status=0
	shift 3
	inspect "$@" || status=$?
	if [ "$status" -eq "$want" ] && grep -q "$pattern" "$out/got" "$out/err"; then
		echo "ok    $name"
	else
		echo "FAIL  $name: exit $status, want $want and $pattern: $(cut -c1-400 "$out/got" "$out/err" | tr '\n' ' ')"
	fi
}
tool() { # name, exit status, pattern, tool, arguments
	check "$1" "$2" "$3" --method tools/call --tool-name "$4" --tool-args-json "$5"
}
found() { grep -oE "$1" "$out/got" | head -n 1; }

case $era in modern) version=2026-07-28 ;; *) version=2025-11-25 ;; esac
check initialize 0 "\"protocolVersion\":\"$version\"" --method initialize
check "tools/list, strict" 0 '"name":"upscale"' --method tools/list --strict
tool generate 0 '"type":"image"' generate '{"prompt":"a lighthouse at dusk","width":512,"height":512}'
uri=$(found 'comfygate://images/[a-z2-7]{26}')
check resources/read 0 . --method resources/read --uri "$uri" --output "$out/full.png" --output-format raw
if [ "$(head -c 4 "$out/full.png" | tail -c 3)" = PNG ]; then
	echo "ok    inspector $era $kind: the file is a picture"
else
	echo "FAIL  inspector $era $kind: the file is no picture"
fi
tool upscale 0 '1024×1024' upscale "{\"image\":\"${uri##*/}\",\"factor\":2}"
tool status 0 'healthy' status '{}'
if [ "$kind" = stdio ]; then
	tool "cancel of a job of another process" 5 JOB_NOT_FOUND cancel '{"job_id":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}'
else
	tool "a job to cancel" 0 'goes on' generate '{"prompt":"a city of glass","width":2048,"height":2048,"steps":100,"count":4,"wait_seconds":0}'
	job=$(found 'Job: [a-z2-7]{26}')
	tool "cancel of a running job" 0 '"state":"cancelled"' cancel "{\"job_id\":\"${job#Job: }\"}"
fi
tool "bad argument" 5 INVALID_PARAMETER generate '{"promt":"x","prompt":"y"}'
tool "unknown model" 5 MODEL_NOT_ALLOWED generate '{"prompt":"x","model":"z_image_turbo.safetensors"}'
tool "unknown tool" 5 tool_not_found paint '{}'
check "unknown picture" 1 'no such picture' --method resources/read --uri comfygate://images/aaaaaaaaaaaaaaaaaaaaaaaaaa
if [ "$kind" != stdio ]; then
	bearer=()
	check "no token is refused" 3 auth_required --method tools/list
	bearer=(--header "Authorization: Bearer wrong")
	check "a wrong token is refused" 3 auth_required --method tools/list
fi
