package comfy

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// maxList bounds a list of names, of classes or of outputs.
const maxList = 100_000

// A ModelFile is one file of a models folder.
type ModelFile struct {
	Name string // as listed, with subfolder
	Size int64  // bytes; 0 when the server does not tell
}

// ErrFolder is the error for a models folder that cannot be one.
var ErrFolder = errors.New("a models folder is a word such as checkpoints")

// Models lists a models folder, from /models/{folder} and, for sizes, /experiment/models/{folder}; cached.
// An unknown folder is an empty list. The list is shared: don't change it.
func (c *Client) Models(ctx context.Context, folder string) ([]ModelFile, error) {
	if !isFolder(folder) {
		return nil, ErrFolder
	}
	return c.models.get(ctx, folder, func(ctx context.Context) ([]ModelFile, error) { return c.loadModels(ctx, folder) })
}

func (c *Client) loadModels(ctx context.Context, folder string) ([]ModelFile, error) {
	type sized struct {
		files []ModelFile
		err   error
	}
	sizes := make(chan sized, 1) // asked beside the names: two round trips in the time of one
	err := c.background(ctx, func(ctx context.Context) {
		files, err := c.modelSizes(ctx, folder)
		sizes <- sized{files, err}
	})
	if err != nil {
		return nil, err
	}
	var names []string
	if !c.base.cloud { // which has the sized list only
		names, err = askJSON[[]string](ctx, c, nil, "models", folder)
	}
	if err != nil && status(err) != http.StatusNotFound {
		return nil, err
	}
	with := <-sizes
	switch {
	case len(names) > maxList:
		return nil, &TooLargeError{What: "comfyui's list of " + folder, Limit: maxList}
	case c.base.cloud && with.err != nil && status(with.err) != http.StatusNotFound:
		return nil, with.err
	case c.base.cloud:
		return with.files, nil
	}
	size := make(map[string]int64, len(with.files))
	for _, f := range with.files {
		size[f.Name] = f.Size
	}
	files := make([]ModelFile, len(names))
	for i, name := range names {
		files[i] = ModelFile{Name: name, Size: size[name]}
	}
	return files, nil
}

func (c *Client) modelSizes(ctx context.Context, folder string) ([]ModelFile, error) {
	type entry struct {
		Name string  `json:"name"`
		Size float64 `json:"size"`
	}
	list, err := getJSON[[]entry](ctx, c, c.timeouts.Read, nil, "experiment", "models", folder)
	if err != nil {
		return nil, err
	}
	if len(list) > maxList {
		return nil, &TooLargeError{What: "comfyui's list of " + folder, Limit: maxList}
	}
	files := make([]ModelFile, len(list))
	for i, e := range list {
		files[i] = ModelFile{Name: e.Name, Size: int64(max(e.Size, 0))}
	}
	return files, nil
}

func isFolder(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return s != "" && len(s) <= 64 && strings.Trim(s, letters) == ""
}

// Embeddings lists textual inversions, without extension; cached. The list is shared: don't change it.
func (c *Client) Embeddings(ctx context.Context) ([]string, error) {
	return c.embeds.get(ctx, "", func(ctx context.Context) ([]string, error) {
		names, err := askJSON[[]string](ctx, c, nil, "embeddings")
		switch {
		case status(err) == http.StatusNotFound:
			return nil, nil
		case len(names) > maxList:
			return nil, &TooLargeError{What: "comfyui's list of embeddings", Limit: maxList}
		}
		return names, err
	})
}

// maxMetadata bounds one value of a model's metadata; those that tell what a model is have a few words.
const maxMetadata = 4 << 10

// Metadata returns the safetensors header's __metadata__ of a model, empty when there is none; cached. Values over 4 KiB, such as
// pictures and tag counts of training, are left out. The map is shared: don't change it.
func (c *Client) Metadata(ctx context.Context, folder, name string) (map[string]string, error) {
	if !isFolder(folder) {
		return nil, ErrFolder
	}
	return c.metas.get(ctx, folder+"/"+name, func(ctx context.Context) (map[string]string, error) {
		all, err := askJSON[map[string]any](ctx, c, url.Values{"filename": {name}}, "view_metadata", folder)
		if status(err) == http.StatusNotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		short := make(map[string]string, len(all))
		for k, v := range all {
			if s, ok := v.(string); ok && len(k)+len(s) <= maxMetadata {
				short[k] = s
			}
		}
		return short, nil
	})
}

// Forget empties the caches of lists and classes (CLIENT-FAIL-22).
func (c *Client) Forget() {
	c.classes.forget()
	c.single.forget()
	c.models.forget()
	c.embeds.forget()
	c.metas.forget()
	c.shipped.forget()
	c.files.forget()
}
