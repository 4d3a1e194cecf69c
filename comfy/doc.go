// Package comfy is a client for one ComfyUI server: its HTTP routes, its WebSocket, and the life of a prompt from POST to
// picture. It follows comfyui-api.md; the ids in comments (CLIENT-…, SC-…) are rules of that page and of the security checklist.
//
// # What is believed
//
// The WebSocket is a hint, polling is the truth. A [Run] draws its progress from the socket, but its end and its outputs come
// only from the server's history or, where it has one, its jobs API. A socket that is deaf, cut or refused costs progress and
// some latency, never a job. A server that does not answer makes a run Unreachable, and a server that answers but does not know
// the run, seen twice at least 2 s apart, makes it [Lost].
//
// Every answer is bounded in bytes, depth and length before it is used, every call has a deadline of its own, and texts, file
// names and ids that a server chose are cut and cleaned of control characters. No error of this package holds a credential or a
// query string.
//
// # What is sent
//
// Only the /api/ form of a route, which old, new and hosted servers share. Never Origin, never Sec-Fetch-*, never an interrupt
// without a prompt id, never a queue number, and POST /prompt never twice: after a doubtful failure the queue and the history are
// asked instead. Clear text goes to this machine only, unless Config.AllowInsecure, and a credential never goes anywhere in clear
// text but to this machine. Redirects are not followed.
package comfy
