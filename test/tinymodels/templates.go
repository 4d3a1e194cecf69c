package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// writeNamed writes an empty file below dir for each model that the templates of the ComfyUI at url name, and returns how many those are.
func writeNamed(ctx context.Context, url, dir string) (int, error) {
	client, err := comfy.New(comfy.Config{URL: url})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	info, err := client.ObjectInfo(ctx)
	if err != nil {
		return 0, err
	}
	list, err := client.Templates(ctx)
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, fmt.Errorf("%s ships no templates", url)
	}
	files := map[string]bool{}
	for _, t := range list {
		data, err := client.Template(ctx, t.Name)
		if err != nil {
			return 0, fmt.Errorf("template %s: %w", t.Name, err)
		}
		maps.Copy(files, named(data, info))
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(file)), nil, os.O_APPEND); err != nil {
			return 0, err
		}
	}
	return len(files), nil
}

// named returns the model files of one template, as folder/name: those that its author lists and those that its loaders name. A template
// that cannot be read or converted names what it lists.
func named(data []byte, info *comfy.ObjectInfo) map[string]bool {
	files := map[string]bool{}
	add := func(folder, name string) {
		file := strings.ReplaceAll(folder+"/"+name, `\`, "/")
		if folder != "" && name != "" && filepath.IsLocal(filepath.FromSlash(file)) && filepath.Ext(file) != "" {
			files[file] = true
		}
	}
	doc, err := workflow.Read(data)
	if err != nil {
		return nil
	}
	for _, f := range doc.Hints() {
		add(f.Folder, f.Name)
	}
	converted, err := doc.Convert(info)
	if err != nil {
		return files
	}
	for _, m := range workflow.Models(converted.Graph, info) {
		if m.Kind != policy.Embedding && m.Kind != "models" {
			add(string(m.Kind), m.Name)
		}
	}
	return files
}
