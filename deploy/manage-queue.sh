#!/bin/sh
# Contains what a comfygate does, from a terminal, through its tool manage_queue. It needs COMFYGATE_TOOLSETS__ENABLED with operations.
#
#   GATE_URL=https://gate.example.com GATE_TOKEN=cg_… deploy/manage-queue.sh list
#   … drop_pending [PRINCIPAL]    … interrupt JOB_ID    … free_memory    … drain    … resume
#
# GATE_TOKEN is that of an admin. It is not shown among the processes.
set -eu
: "${GATE_URL:?say where comfygate is}" "${GATE_TOKEN:?say the token of an admin}"
action=${1:?say what to do: list, drop_pending, interrupt, free_memory, drain or resume}
case $action in
interrupt) more=",\"job_id\":\"${2:?say which job; list tells}\"" ;;
*) more=${2:+",\"principal\":\"$2\""} ;;
esac
printf 'Authorization: Bearer %s\n' "$GATE_TOKEN" | curl --fail-with-body --silent --show-error --max-time 90 --header @- \
	--header 'Content-Type: application/json' --header 'Accept: application/json, text/event-stream' \
	--header 'MCP-Protocol-Version: 2026-07-28' --header 'Mcp-Method: tools/call' --header 'Mcp-Name: manage_queue' \
	--data '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"manage_queue","arguments":{"action":"'"$action"'"'"$more"'},
		"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},
		"io.modelcontextprotocol/clientInfo":{"name":"manage-queue.sh","version":"1"}}}}' "$GATE_URL/mcp"
echo
