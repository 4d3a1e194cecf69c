package comfy_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
)

// The index in the spelling of 0.3.64 and of 0.33.0.
const (
	oldIndex = `[{"moduleName":"default","isEssential":true,"title":"Getting Started","type":"image","templates":[
		{"name":"default","title":"Image Generation","mediaType":"image","description":"From text.","tags":["Text to Image"],"models":["SD1.5"],"size":1.5},
		{"name":"api_x","title":"Paid","description":"","OpenSource":false,"size":0}]}]`
	newIndex = `[{"title":"Video","type":"video","templates":[
		{"name":"video_wan2.1_t2v","title":"Wan","description":"d\u001b[31m","tags":["Video",7],"models":["Wan"],"openSource":true,"size":44452911514,
		 "io":{"inputs":[{"nodeId":1,"nodeType":"LoadImage","file":"a.png","mediaType":"image"}],"outputs":[{"nodeType":"SaveVideo","mediaType":"video"},3]}},
		{"name":"../evil"},{"name":"index"},{"name":7},"what",{"name":"video_wan2.1_t2v","title":"twice"},{"name":"last","tags":"x","size":"y","io":null}]}]`
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		index string
		want  []comfy.Template
	}{
		"0.3.64": {oldIndex, []comfy.Template{
			{Name: "default", Title: "Image Generation", Description: "From text.", Group: "Getting Started", Tags: []string{"Text to Image"}, Models: []string{"SD1.5"}, Size: 3 << 29},
			{Name: "api_x", Title: "Paid", Group: "Getting Started", Paid: true},
		}},
		"0.33.0": {newIndex, []comfy.Template{
			{
				Name: "video_wan2.1_t2v", Title: "Wan", Description: "d[31m", Group: "Video", Tags: []string{"Video"}, Models: []string{"Wan"}, Size: 44452911514,
				Inputs: []comfy.TemplateFile{{Class: "LoadImage", Media: "image"}}, Outputs: []comfy.TemplateFile{{Class: "SaveVideo", Media: "video"}},
			},
			{Name: "last", Group: "Video"},
		}},
		"none": {`[]`, []comfy.Template{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, "/p")
			f.on("GET /templates/index.json", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, tt.index)
			})
			c := f.client()
			for range 2 {
				got, err := c.Templates(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			}
			if n := f.count("GET", "/templates/"); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// What a server does not have, or answers in another way, is no list and no error of the server's.
func TestTemplates_absent(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"404": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>")
		},
	} {
		f := newFake(t, "")
		f.on("GET /templates/*", handler)
		c := f.client()
		if list, err := c.Templates(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		if _, err := c.Template(t.Context(), "default"); !errors.Is(err, comfy.ErrNoTemplate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newFake(t, "")
	f.on("GET /templates/*", answers("no list"))
	if _, err := f.client().Templates(t.Context()); !errors.Is(err, comfy.ErrProtocol) {
		t.Errorf("an index that is none: %v", err)
	}
}

// SC-26, SC-47: names that lead elsewhere are not asked for; a file is bounded; the cache is too.
func TestTemplate(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	f.on("GET /templates/*", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.URL.Path, "huge") {
			w.Header().Set("Content-Length", fmt.Sprint(5<<20))
			fmt.Fprint(w, strings.Repeat(" ", 5<<20))
			return
		}
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	})
	c := f.client()
	for range 2 {
		if data, err := c.Template(t.Context(), "a b (v1.5)"); err != nil || string(data) != `{"path":"/templates/a b (v1.5).json"}` {
			t.Errorf("%s, %v", data, err)
		}
	}
	if n := f.count("GET", "/templates/"); n != 1 {
		t.Errorf("%d requests", n)
	}
	for _, name := range []string{"", "index", "..", "../a", "a/b", `a\b`, "a..b", ".a", "a.", "a\x00", "a%2e", "a?b", "ä", strings.Repeat("a", 129)} {
		if _, err := c.Template(t.Context(), name); !errors.Is(err, comfy.ErrNoTemplate) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n := f.count("GET", "/templates/"); n != 1 {
		t.Errorf("%d requests after bad names", n)
	}
	var large *comfy.TooLargeError
	if _, err := c.Template(t.Context(), "huge"); !errors.As(err, &large) {
		t.Errorf("%v", err)
	}
	for i := range 40 {
		if _, err := c.Template(t.Context(), fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	before := f.count("GET", "/templates/")
	if _, err := c.Template(t.Context(), "t0"); err != nil || f.count("GET", "/templates/") != before+1 {
		t.Errorf("the first of 40 files is still kept; %v", err)
	}
	c.Forget()
	if _, err := c.Template(t.Context(), "t0"); err != nil || f.count("GET", "/templates/") != before+2 {
		t.Errorf("Forget keeps files; %v", err)
	}
}
