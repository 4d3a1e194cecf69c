package emulator

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

func (x *exchange) getInfos() {
	out := obj()
	for _, class := range x.server.order {
		out.set(class, x.server.infos[class].describe(x.server.options))
	}
	x.json(http.StatusOK, out)
}

// getInfo answers {} for a class that there is not.
func (x *exchange) getInfo() {
	out := obj()
	if info, ok := x.server.infos[x.params["class"]]; ok {
		out.set(info.class, info.describe(x.server.options))
	}
	x.json(http.StatusOK, out)
}

func (x *exchange) getFolders() { x.json(http.StatusOK, x.server.kind.folders) }

func (x *exchange) hasFolder() bool {
	if slices.Contains(x.server.kind.folders, x.params["folder"]) {
		return true
	}
	x.empty(http.StatusNotFound)
	return false
}

func (x *exchange) getModels() {
	if !x.hasFolder() {
		return
	}
	names := []string{}
	for _, m := range x.server.models(x.params["folder"]) {
		names = append(names, m.Name)
	}
	x.json(http.StatusOK, names)
}

// modelDir is where the files of a folder seem to lie.
func modelDir(folder string) string { return baseDir + "/models/" + folder }

// modelExtensions are the file kinds that ComfyUI takes for models.
func modelExtensions() []string {
	return []string{".bin", ".ckpt", ".pkl", ".pt", ".pt2", ".pth", ".safetensors", ".sft"}
}

func (x *exchange) getModelFolders() {
	list := []any{}
	for _, folder := range x.server.kind.folders {
		if folder == "configs" || folder == "custom_nodes" {
			continue
		}
		o := obj(pair{"name", folder}, pair{"folders", []string{modelDir(folder)}})
		if x.server.kind.modelExtensions {
			o.set("extensions", modelExtensions())
		}
		list = append(list, o)
	}
	x.json(http.StatusOK, list)
}

// installed is when all models seem to have been put there.
func installed() pyFloat {
	return pyFloat(time.Date(2026, time.August, 1, 12, 0, 0, 0, time.UTC).Unix())
}

func (x *exchange) getModelFiles() {
	if !x.hasFolder() {
		return
	}
	list := []any{}
	for _, m := range x.server.models(x.params["folder"]) {
		size := m.Size
		if m.Broken {
			size = 0
		}
		list = append(list, obj(
			pair{"name", m.Name}, pair{"pathIndex", 0}, pair{"modified", installed()}, pair{"created", installed()},
			pair{"size", size},
		))
	}
	x.json(http.StatusOK, list)
}

func (x *exchange) getEmbeddings() {
	names := []string{}
	for _, m := range x.server.models("embeddings") {
		names = append(names, strings.TrimSuffix(m.Name, path.Ext(m.Name)))
	}
	x.json(http.StatusOK, names)
}

// getMetadata answers 404 for a file without metadata too, and 500 for an empty one.
func (x *exchange) getMetadata() {
	name := x.r.URL.Query().Get("filename")
	m, ok := x.server.model(x.params["folder"], name)
	switch {
	case !strings.HasSuffix(name, ".safetensors") || !ok:
		x.empty(http.StatusNotFound)
	case m.Broken:
		x.fail()
	case m.Metadata == nil:
		x.empty(http.StatusNotFound)
	default:
		x.json(http.StatusOK, m.Metadata)
	}
}

func (x *exchange) getStats() {
	system, err := decodePython([]byte(x.server.kind.system))
	if err != nil {
		x.fail()
		return
	}
	list, err := decodePython([]byte(devices))
	if err != nil {
		x.fail()
		return
	}
	x.json(http.StatusOK, obj(pair{"system", system}, pair{"devices", list}))
}
