package comfy

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Bounds of the workflows that a server ships.
const (
	maxTemplates     = 5_000
	maxTemplateBytes = 4 << 20 // one file; the largest of 0.33.0 has 0.7 MB
	keptTemplates    = 16      // files in the cache
	maxTemplateWords = 12      // tags, models, inputs or outputs that are kept of one
)

// ErrNoTemplate says that a server ships no template of a name.
var ErrNoTemplate = errors.New("comfyui has no such template")

// A Template is a workflow that the server ships, as its index tells. Texts are printable and cut short. What an older server's index does
// not say is empty.
type Template struct {
	Name, Title, Description string
	Group                    string   // the index' section: Image, Video, Audio, 3D Model, …
	Tags, Models             []string // words for people: "Text to Image", "Flux"
	Size                     int64    // bytes of its model files together; 0 when not told
	Paid                     bool     // it needs a service that is paid for
	Inputs, Outputs          []TemplateFile
}

// A TemplateFile is a file that a template takes or makes.
type TemplateFile struct{ Class, Media string } // Media is image, video, audio, …

// Templates returns the index of the workflows that the server ships, in its order, no name twice; cached like the other lists. A server that
// has none gives an empty list. The list is shared: don't change it.
func (c *Client) Templates(ctx context.Context) ([]Template, error) {
	if c.base.cloud {
		return nil, nil
	}
	return c.shipped.get(ctx, "", func(ctx context.Context) ([]Template, error) {
		data, err := c.template(ctx, "index", c.limits.JSONBytes)
		switch {
		case errors.Is(err, ErrNoTemplate):
			return nil, nil
		case err != nil:
			return nil, err
		}
		return readTemplates(data)
	})
}

// Template returns the file of one template of the index, in the format of ComfyUI's editor; cached. Its bytes are shared: don't change them.
// The error is [ErrNoTemplate] where there is none of that name.
func (c *Client) Template(ctx context.Context, name string) ([]byte, error) {
	if c.base.cloud || !isTemplate(name) {
		return nil, ErrNoTemplate
	}
	return c.files.get(ctx, name, func(ctx context.Context) ([]byte, error) {
		return c.template(ctx, name, maxTemplateBytes)
	})
}

// template reads a file of /templates, which unlike everything else is not below /api.
func (c *Client) template(ctx context.Context, name string, limit int64) (data []byte, err error) {
	page := false
	err = c.do(ctx, call{bare: true, route: []string{"templates", name + ".json"}, within: c.timeouts.Read}, func(resp *http.Response) error {
		if page = !isJSON(resp); page {
			return nil // the editor's own, which some servers show under every path that is not there
		}
		data, err = readBounded(resp.Body, resp.ContentLength, limit)
		return err
	})
	if page || status(err) == http.StatusNotFound {
		return nil, ErrNoTemplate
	}
	return data, err
}

// isTemplate reports whether a name is a template's: a plain file name without its extension. "index" is the list of them.
func isTemplate(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. ()+"
	return name != "" && name != "index" && len(name) <= 128 && strings.Trim(name, letters) == "" && !strings.Contains(name, "..") &&
		strings.Trim(name, ". ") == name
}

// A rawTemplate is one entry of the index in either age's spelling.
type rawTemplate struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Tags        json.RawMessage `json:"tags"`
	Models      json.RawMessage `json:"models"`
	Size        json.RawMessage `json:"size"`
	Open        *bool           `json:"openSource"` // 0.3.64 writes OpenSource; encoding/json reads both
	IO          struct {
		Inputs  json.RawMessage `json:"inputs"`
		Outputs json.RawMessage `json:"outputs"`
	} `json:"io"`
}

func readTemplates(data []byte) ([]Template, error) {
	var groups []struct {
		Title     string            `json:"title"`
		Templates []json.RawMessage `json:"templates"`
	}
	if err := decode(data, &groups); err != nil {
		return nil, err
	}
	list, seen := []Template{}, map[string]bool{}
	for _, group := range groups {
		for _, raw := range group.Templates {
			var t rawTemplate
			if decode(raw, &t) != nil || !isTemplate(t.Name) || seen[t.Name] { // one that is not understood hides no other
				continue
			}
			if seen[t.Name] = true; len(seen) > maxTemplates {
				return nil, &TooLargeError{What: "comfyui's list of templates", Limit: maxTemplates}
			}
			list = append(list, t.template(clean(group.Title, 60)))
		}
	}
	return list, nil
}

func (t rawTemplate) template(group string) Template {
	return Template{
		Name: t.Name, Title: clean(t.Title, 120), Description: clean(t.Description, 600), Group: group,
		Tags: words(t.Tags), Models: words(t.Models), Size: templateSize(t.Size), Paid: t.Open != nil && !*t.Open,
		Inputs: templateFiles(t.IO.Inputs), Outputs: templateFiles(t.IO.Outputs),
	}
}

func words(raw json.RawMessage) (list []string) {
	for item := range elements(raw) {
		if word, ok := text(item); ok && len(list) < maxTemplateWords {
			list = append(list, clean(word, 60))
		}
	}
	return list
}

func templateFiles(raw json.RawMessage) (list []TemplateFile) {
	for item := range elements(raw) {
		var f struct {
			Class string `json:"nodeType"`
			Media string `json:"mediaType"`
		}
		if len(list) < maxTemplateWords && decode(item, &f) == nil {
			list = append(list, TemplateFile{clean(f.Class, 100), clean(f.Media, 20)})
		}
	}
	return list
}

// templateSize reads a size in bytes; older indexes give it in units of 2³⁰.
func templateSize(raw json.RawMessage) int64 {
	n, ok := number(raw)
	switch {
	case !ok || n <= 0 || n > 1<<50:
		return 0
	case n < 10_000:
		return int64(n * (1 << 30))
	}
	return int64(n)
}
