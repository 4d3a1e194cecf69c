package emulator

import "net/http"

// allRoutes is the table of routes. The first that fits answers.
func allRoutes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{method: get, path: "/ws", serve: (*exchange).serveWS},
		{method: get, path: "/", serve: (*exchange).serveRoot},

		{method: get, path: "/prompt", serve: (*exchange).getPrompt},
		{method: post, path: "/prompt", serve: (*exchange).postPrompt},
		{method: get, path: "/queue", serve: (*exchange).getQueue},
		{method: post, path: "/queue", serve: (*exchange).postQueue},
		{method: post, path: "/interrupt", serve: (*exchange).postInterrupt},
		{method: post, path: "/free", serve: (*exchange).postFree},
		{method: get, path: "/history", serve: (*exchange).getHistory},
		{method: post, path: "/history", serve: (*exchange).postHistory},
		{method: get, path: "/history/{prompt_id}", serve: (*exchange).getHistoryOf},

		{method: get, path: "/jobs", apiOnly: true, serve: (*exchange).getJobs},
		{method: post, path: "/jobs/cancel", apiOnly: true, serve: (*exchange).cancelJobs},
		{method: get, path: "/jobs/{job_id}", apiOnly: true, serve: (*exchange).getJob},
		{method: post, path: "/jobs/{job_id}/cancel", apiOnly: true, serve: (*exchange).cancelJob},

		{method: get, path: "/view", serve: (*exchange).getView},
		{method: get, path: "/view_metadata/{folder}", serve: (*exchange).getMetadata},
		{method: post, path: "/upload/image", serve: (*exchange).uploadImage},
		{method: post, path: "/upload/mask", serve: (*exchange).uploadMask},

		{method: get, path: "/object_info", serve: (*exchange).getInfos},
		{method: get, path: "/object_info/{class}", serve: (*exchange).getInfo},
		{method: get, path: "/models", serve: (*exchange).getFolders},
		{method: get, path: "/models/{folder}", serve: (*exchange).getModels},
		{method: get, path: "/experiment/models", serve: (*exchange).getModelFolders},
		{method: get, path: "/experiment/models/{folder}", serve: (*exchange).getModelFiles},
		{method: get, path: "/embeddings", serve: (*exchange).getEmbeddings},
		{method: get, path: "/extensions", serve: constant("[]")},
		{method: get, path: "/system_stats", serve: (*exchange).getStats},
		{method: get, path: "/features", serve: func(x *exchange) { x.json(http.StatusOK, x.server.features()) }},
		{method: get, path: "/users", serve: constant(`{"storage": "server", "migrated": true}`)},
		{method: get, path: "/settings", serve: constant("{}")},
		{method: get, path: "/settings/{id}", serve: constant("null")},
		{method: get, path: "/i18n", serve: constant("{}")},
		{method: get, path: "/templates/{file}", bare: true, serve: (*exchange).getTemplate},
		{method: get, path: "/workflow_templates", serve: constant("{}")},
		{method: get, path: "/internal/logs", bare: true, serve: constant(`""`)},
	}
}

// serveRoot is what stands in place of ComfyUI's own pages.
func (x *exchange) serveRoot() {
	writeText(x.w, http.StatusOK, "comfygate's embedded ComfyUI "+x.server.kind.version+
		". It has no pages; its interface is below /api.\n")
}

func (x *exchange) serveWS() { x.hub.serve(x.w, x.r, x.greeting) }
