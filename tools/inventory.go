package tools

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// readers bounds what one call asks ComfyUI for at once.
const readers = 4

// An inventory reads what ComfyUI has, as far as policy lets it be known (SC-52). It is safe for concurrent use.
type inventory struct {
	server Server
	rules  ModelRule

	// The lists are long and change seldom: what policy leaves of them is kept beside what it was made from.
	mu       sync.Mutex
	of, kept *comfy.ObjectInfo
	folders  map[policy.Kind]folder
}

// A folder is a list of files as the server gave it, which is not changed, and what policy leaves of it.
type folder struct{ of, kept []comfy.ModelFile }

// is reports whether f was made from this very list.
func (f folder) is(of []comfy.ModelFile) bool {
	return len(of) > 0 && len(of) == len(f.of) && &of[0] == &f.of[0]
}

// read returns the files of kinds and the nodes.
func (v *inventory) read(ctx context.Context, kinds ...policy.Kind) (workflow.Inventory, error) {
	inv := workflow.Inventory{Files: make(map[policy.Kind][]comfy.ModelFile), Metadata: v.metadata(ctx)}
	err := v.server.Read(ctx, func(ctx context.Context, lists Lists) error {
		var mu sync.Mutex
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(readers)
		group.Go(func() error {
			info, err := lists.ObjectInfo(ctx)
			if err == nil {
				inv.Info = v.allowed(info)
			}
			return err
		})
		for _, kind := range kinds {
			group.Go(func() error {
				files, err := v.files(ctx, lists, kind)
				mu.Lock()
				defer mu.Unlock()
				inv.Files[kind] = files
				return err
			})
		}
		return group.Wait()
	})
	if err != nil {
		return workflow.Inventory{}, err
	}
	inv.Samplers, inv.Schedulers = options(inv.Info, "KSampler", "sampler_name"), options(inv.Info, "KSampler", "scheduler")
	return inv, nil
}

// files lists those of a folder that policy lets be known.
func (v *inventory) files(ctx context.Context, lists Lists, kind policy.Kind) ([]comfy.ModelFile, error) {
	if kind == policy.Embedding {
		names, err := lists.Embeddings(ctx)
		files := make([]comfy.ModelFile, 0, len(names))
		for _, name := range names {
			files = append(files, comfy.ModelFile{Name: name})
		}
		return v.filter(kind, files), err
	}
	files, err := lists.Models(ctx, string(kind))
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.folders[kind].is(files) {
		v.folders[kind] = folder{files, v.filter(kind, files)}
	}
	return v.folders[kind].kept, nil
}

func (v *inventory) filter(kind policy.Kind, files []comfy.ModelFile) []comfy.ModelFile {
	var kept []comfy.ModelFile
	for _, f := range files {
		if v.rules.AllowModel(kind, f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}

// allowed is info without the models that policy denies.
func (v *inventory) allowed(info *comfy.ObjectInfo) *comfy.ObjectInfo {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of != info || v.kept == nil {
		v.of, v.kept = info, workflow.Restrict(info, v.rules.AllowModel)
	}
	return v.kept
}

// metadata asks for a file's own word on what it is. What cannot be read tells nothing.
func (v *inventory) metadata(ctx context.Context) func(folder, name string) map[string]string {
	return func(folder, name string) (meta map[string]string) {
		err := v.server.Read(ctx, func(ctx context.Context, lists Lists) (err error) {
			meta, err = lists.Metadata(ctx, folder, name)
			return err
		})
		if err != nil {
			return nil
		}
		return meta
	}
}

// forget makes the next read ask anew: a model may have been added since (CLIENT-FAIL-22).
func (v *inventory) forget(ctx context.Context) error {
	return v.server.Read(ctx, func(_ context.Context, lists Lists) error {
		lists.Forget()
		return nil
	})
}

// options are the values that an input of a class takes; nil when the server has none such.
func options(info *comfy.ObjectInfo, class, input string) []string {
	c := info.Classes[class]
	if c == nil {
		return nil
	}
	in := c.Input(input)
	if in == nil {
		return nil
	}
	return in.Options
}
