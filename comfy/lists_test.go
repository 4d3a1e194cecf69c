package comfy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
)

func answers(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, v) }
}

// CLIENT-INFO-1, CLIENT-FAIL-22: one request for many callers, none for a minute, a new one after that or after Forget.
func TestCache_CLIENT_INFO_1(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.on("GET /object_info", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(2 * time.Second)
			reply(w, http.StatusOK, map[string]any{"A": map[string]any{}})
		})
		c := f.client()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.ObjectInfo(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first caller's own end: %v", err)
		}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if info, err := c.ObjectInfo(t.Context()); err != nil || len(info.Classes) != 1 {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		want := func(n int, when string) {
			t.Helper()
			if _, err := c.ObjectInfo(t.Context()); err != nil || f.count("GET", "/object_info") != n {
				t.Errorf("%s: %d requests, want %d; %v", when, f.count("GET", "/object_info"), n, err)
			}
		}
		want(1, "at once, though the first caller left")
		time.Sleep(59 * time.Second)
		want(1, "after 59 s")
		time.Sleep(2 * time.Second)
		want(2, "after a minute")
		c.Forget()
		want(3, "after Forget")
	})
}

// An error is not kept.
func TestCache_errors(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	c := f.client()
	f.on("GET /object_info", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if _, err := c.ObjectInfo(t.Context()); err == nil {
		t.Error("no error")
	}
	f.on("GET /object_info", answers(map[string]any{}))
	if _, err := c.ObjectInfo(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	f := newFake(t, "/p")
	f.on("GET /models/loras", answers([]string{`sub\a.safetensors`, "b.safetensors", "c.safetensors"}))
	f.on("GET /experiment/models/loras", answers([]any{
		map[string]any{"name": "b.safetensors", "size": 3e9, "pathIndex": 0}, map[string]any{"name": `sub\a.safetensors`, "size": -1},
	}))
	f.on("GET /models/vae", answers([]string{"v.safetensors"})) // and no sizes
	c := f.client()
	want := []comfy.ModelFile{{Name: `sub\a.safetensors`}, {Name: "b.safetensors", Size: 3e9}, {Name: "c.safetensors"}}
	for range 3 {
		if got, err := c.Models(t.Context(), "loras"); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%v, %v", got, err)
		}
	}
	if n := f.count("GET", "/models"); n != 1 {
		t.Errorf("%d requests", n)
	}
	if got, err := c.Models(t.Context(), "vae"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for _, folder := range []string{"", "..", "a/b", "a b", strings.Repeat("x", 65)} {
		if _, err := c.Models(t.Context(), folder); !errors.Is(err, comfy.ErrFolder) {
			t.Errorf("folder %q: %v", folder, err)
		}
		if _, err := c.Metadata(t.Context(), folder, "x"); !errors.Is(err, comfy.ErrFolder) {
			t.Errorf("folder %q: %v", folder, err)
		}
	}
	f.on("GET /models/checkpoints", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if _, err := c.Models(t.Context(), "checkpoints"); err == nil {
		t.Error("a server's trouble reads as an empty list")
	}
}

// SC-47: a list has an end.
func TestLists_bounded(t *testing.T) {
	t.Parallel()
	many := func(item string, n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("[" + strings.Repeat(item+",", n-1) + item + "]"))
		}
	}
	f := newFake(t, "")
	f.on("GET /models/loras", many(`"x"`, 100_001))
	f.on("GET /embeddings", many(`"x"`, 100_001))
	f.on("GET /queue", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"queue_pending":[` + strings.Repeat(`[1,"x"],`, 10_000) + `[1,"x"]]}`))
	})
	c := f.client()
	calls := everyCall(c)
	for _, name := range []string{"Models", "Embeddings", "Queue"} {
		var large *comfy.TooLargeError
		if err := calls[name](t.Context()); !errors.As(err, &large) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	f.on("GET /view_metadata/checkpoints", answers(map[string]any{
		"modelspec.architecture": "stable-diffusion-xl-v1-base", "thumbnail": strings.Repeat("x", 5000), "n": 3,
	}))
	c := f.client()
	got, err := c.Metadata(t.Context(), "checkpoints", "sub/ä b.safetensors")
	if err != nil || !cmp.Equal(got, map[string]string{"modelspec.architecture": "stable-diffusion-xl-v1-base"}) {
		t.Errorf("%v, %v", got, err)
	}
	if q := f.requests()[0].query; q != "filename=sub%2F%C3%A4+b.safetensors" {
		t.Errorf("query %s", q)
	}
	if got, err := c.Metadata(t.Context(), "loras", "x"); err != nil || len(got) != 0 {
		t.Errorf("none: %v, %v", got, err)
	}
	// A caller who asks for ever new names fills no memory.
	for i := range 600 {
		if _, err := c.Metadata(t.Context(), "loras", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := comfy.CachedMetadata(c); n > 512 {
		t.Errorf("%d kept", n)
	}
}

// CLIENT-INFO-3: an empty object is an unknown class.
func TestClass(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			steps := recording(t, version, "introspection")
			f := newFake(t, "")
			for i, name := range []string{"KSampler", "CheckpointLoaderSimple", "NoSuch"} {
				a := answer(t, steps, http.MethodGet, "/api/object_info/"+name)
				f.on("GET /object_info/"+name, func(w http.ResponseWriter, _ *http.Request) { a.write(w) })
				class, err := f.client().Class(t.Context(), name)
				if err != nil || (class == nil) != (i == 2) || class != nil && class.Name != name {
					t.Errorf("%s: %v, %v", name, class, err)
				}
			}
			f.on("GET /object_info/a/b c?", answers(map[string]any{"a/b c?": map[string]any{}}))
			if class, err := f.client().Class(t.Context(), "a/b c?"); err != nil || class == nil {
				t.Errorf("an odd name: %v, %v", class, err)
			}
			if class, err := f.client().Class(t.Context(), ""); err != nil || class != nil {
				t.Errorf("no name: %v, %v", class, err)
			}
		})
	}
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	c := f.client()
	id := comfy.NewPromptID()
	if err := c.DeleteHistory(t.Context(), id); err != nil { // SC-51, CLIENT-FAIL-10
		t.Error(err)
	}
	if err := c.Free(t.Context()); err != nil {
		t.Error(err)
	}
	if f.requests()[0].body != `{"delete":["`+id+`"]}` || f.requests()[1].body != `{"free_memory":true,"unload_models":true}` {
		t.Errorf("%s, %s", f.requests()[0].body, f.requests()[1].body)
	}
}

// CLIENT-HTTP-1: versions, and what a server says that is none.
func TestProbe(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]comfy.ServerInfo{
		"0.3.56":        {BelowFloor: true},
		"v0.3.57":       {},
		"0.4.0":         {},
		"0.25.9":        {JobsAPI: true},
		"0.26.0":        {JobsAPI: true, JobCancel: true},
		"1.0":           {JobsAPI: true, JobCancel: true},
		"":              {},
		"nightly\x1b[m": {},
	} {
		f := newFake(t, "")
		f.jobsAPI = want.JobsAPI
		f.on("GET /system_stats", answers(map[string]any{"system": map[string]any{"comfyui_version": version}, "devices": make([]map[string]any, 1000)}))
		got, err := f.client().Probe(t.Context())
		if err != nil || got.BelowFloor != want.BelowFloor || got.JobsAPI != want.JobsAPI || got.JobCancel != want.JobCancel || len(got.Devices) > 64 {
			t.Errorf("%q: %+v, %v", version, got, err)
		}
	}
	f := newFake(t, "")
	if _, err := f.client().Probe(t.Context()); err == nil {
		t.Error("a server without /system_stats is one")
	}
}

// What doctor asks: how the server was started, without the values, and whether the Manager is there.
func TestStarted(t *testing.T) {
	t.Parallel()
	for _, manager := range []int{http.StatusOK, http.StatusNotFound} {
		f := newFake(t, "")
		f.on("GET /system_stats", answers(map[string]any{"system": map[string]any{"argv": []string{"main.py", "--listen", "0.0.0.0", "--output-directory=/srv/x"}}}))
		f.on("GET /manager/version", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(manager) })
		got, err := f.client().Started(t.Context())
		want := comfy.Started{Flags: []string{"--listen", "--output-directory"}, Manager: manager == http.StatusOK}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
	}
}
