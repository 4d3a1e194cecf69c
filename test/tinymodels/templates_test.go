package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	someInfo = `{
		"CheckpointLoaderSimple": {"name": "CheckpointLoaderSimple", "python_module": "nodes", "input": {"required": {"ckpt_name": [["a.safetensors"], {}]}}, "input_order": {"required": ["ckpt_name"]}, "output": ["MODEL", "CLIP", "VAE"]},
		"LoraLoaderModelOnly": {"name": "LoraLoaderModelOnly", "python_module": "nodes", "input": {"required": {"model": ["MODEL"], "lora_name": [[], {}]}}, "input_order": {"required": ["model", "lora_name"]}, "output": ["MODEL"]}
	}`
	someIndex    = `[{"title": "Image", "templates": [{"name": "one", "title": "One"}, {"name": "two", "title": "Two"}, {"name": "three", "title": "Three"}]}]`
	namesFiles   = `{"nodes": [{"id": 1, "type": "CheckpointLoaderSimple", "widgets_values": ["sub\\mix.safetensors"]}, {"id": 2, "type": "LoraLoaderModelOnly", "widgets_values": ["style.safetensors"]}], "links": []}`
	listsFiles   = `{"nodes": [{"id": 1, "type": "Unknown", "properties": {"models": [{"name": "ae.safetensors", "directory": "vae", "url": "https://example.org/ae"}, {"name": "../../../evil.safetensors", "directory": "vae"}, {"name": "passwd", "directory": "/etc"}]}}], "links": []}`
	noSuchFormat = `{"nodes": 5, "links": []}`
)

func shipping(t *testing.T, files map[string]string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// Files that templates list and those that their loaders name are there afterwards, empty, and none outside.
func TestRun_templates(t *testing.T) {
	t.Parallel()
	url := shipping(t, map[string]string{
		"/api/object_info": someInfo, "/templates/index.json": someIndex, "/templates/one.json": namesFiles, "/templates/two.json": listsFiles, "/templates/three.json": noSuchFormat,
	})
	dir := filepath.Join(t.TempDir(), "a", "b")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-out", dir, "-templates", url}, &stdout, &stderr); code != 0 || stderr.Len() > 0 || !strings.Contains(stdout.String(), "placeholders of 3 models that templates name") {
		t.Fatalf("code %d: %s%s", code, &stdout, &stderr)
	}
	for _, name := range []string{"checkpoints/sub/mix.safetensors", "loras/style.safetensors", "vae/ae.safetensors"} {
		if fi, err := os.Stat(filepath.Join(dir, "models", filepath.FromSlash(name))); err != nil || fi.Size() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	above, err := os.ReadDir(filepath.Dir(filepath.Dir(dir)))
	if err != nil || len(above) != 1 || slices.ContainsFunc(above, func(e os.DirEntry) bool { return !e.IsDir() }) {
		t.Errorf("%v, %v", above, err)
	}
}

func TestRun_templatesRefused(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"no templates":       {"/api/object_info": someInfo},
		"a template is gone": {"/api/object_info": someInfo, "/templates/index.json": someIndex},
		"no classes":         {"/templates/index.json": someIndex},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"-out", t.TempDir(), "-templates", shipping(t, files)}, &stdout, &stderr); code != 1 || stderr.Len() == 0 {
			t.Errorf("%s: code %d, %s", name, code, &stderr)
		}
	}
}
