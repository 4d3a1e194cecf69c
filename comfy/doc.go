// Package comfy is a client for one ComfyUI server: its HTTP routes and its WebSocket.
// It follows comfyui-api.md; the ids in comments (CLIENT-…) are rules of that page.
package comfy
