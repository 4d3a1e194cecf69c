package workflow_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// versions are the two real servers whose classes were recorded.
var versions = []string{"v0.3.64", "v0.33.0"}

var builtIn = sync.OnceValues(func() (*workflow.Catalog, error) { return workflow.Load("") })

func catalog(tb testing.TB) *workflow.Catalog {
	tb.Helper()
	c, err := builtIn()
	if err != nil {
		tb.Fatalf("Load: %v", err)
	}
	return c
}

var (
	infos   = map[string]*comfy.ObjectInfo{}
	infosMu sync.Mutex
)

// recorded returns what a real server of this version said of its classes, read by our client.
func recorded(tb testing.TB, version string) *comfy.ObjectInfo {
	tb.Helper()
	infosMu.Lock()
	defer infosMu.Unlock()
	if info := infos[version]; info != nil {
		return info
	}
	packed, err := os.ReadFile(filepath.Join("testdata", "object_info_"+version+".json.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
	}))
	defer srv.Close()
	client, err := comfy.New(comfy.Config{URL: srv.URL})
	if err != nil {
		tb.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // of no meaning here
	info, err := client.ObjectInfo(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	infos[version] = info
	return info
}

// at returns inv as it is at a server with info: its files are in the lists of the loaders, too.
func at(inv workflow.Inventory, info *comfy.ObjectInfo) workflow.Inventory {
	out := &comfy.ObjectInfo{Classes: maps.Clone(info.Classes)}
	for class, inputs := range map[string]map[string]policy.Kind{
		"CheckpointLoaderSimple": {"ckpt_name": policy.Checkpoint},
		"UNETLoader":             {"unet_name": policy.DiffusionModel},
		"CLIPLoader":             {"clip_name": policy.TextEncoder},
		"DualCLIPLoader":         {"clip_name1": policy.TextEncoder, "clip_name2": policy.TextEncoder},
		"VAELoader":              {"vae_name": policy.VAE},
		"LoraLoader":             {"lora_name": policy.LoRA},
		"LoraLoaderModelOnly":    {"lora_name": policy.LoRA},
		"UpscaleModelLoader":     {"model_name": policy.Upscaler},
	} {
		c := *info.Classes[class]
		c.Inputs = slices.Clone(c.Inputs)
		for i := range c.Inputs {
			if kind, ok := inputs[c.Inputs[i].Name]; ok {
				c.Inputs[i].Options = slices.Clone(c.Inputs[i].Options)
				for _, f := range inv.Files[kind] {
					c.Inputs[i].Options = append(c.Inputs[i].Options, f.Name)
				}
			}
		}
		out.Classes[class] = &c
	}
	inv.Info = out
	inv.Samplers = info.Classes["KSampler"].Input("sampler_name").Options
	inv.Schedulers = info.Classes["KSampler"].Input("scheduler").Options
	return inv
}

// files makes an inventory of names like "vae/ae.safetensors".
func files(names ...string) workflow.Inventory {
	inv := workflow.Inventory{Files: map[policy.Kind][]comfy.ModelFile{}}
	for _, name := range names {
		folder, file, _ := strings.Cut(name, "/")
		inv.Files[policy.Kind(folder)] = append(inv.Files[policy.Kind(folder)], comfy.ModelFile{Name: file})
	}
	return inv
}

// filesOf returns the files that a family needs, under their usual names.
func filesOf(tb testing.TB, family string) []string {
	tb.Helper()
	if family == "checkpoint" { // which is for whatever no family knows
		return []string{"checkpoints/my_own_mix.safetensors"}
	}
	for _, f := range catalog(tb).Families(workflow.Inventory{}) {
		if f.ID == family {
			var names []string
			for _, m := range f.Missing {
				names = append(names, m.Folder+"/"+m.Name)
			}
			return names
		}
	}
	tb.Fatalf("there is no family %s", family)
	return nil
}

// families returns the ids of all families.
func families(tb testing.TB) (ids []string) {
	tb.Helper()
	for _, f := range catalog(tb).Families(workflow.Inventory{}) {
		ids = append(ids, f.ID)
	}
	return ids
}

// ask is a bare prompt.
func ask() workflow.Ask {
	return workflow.Ask{Prompt: "a red fox", Seed: 1<<64 - 1, Prefix: "comfygate/test"}
}

func text(tb testing.TB, inv workflow.Inventory, a workflow.Ask) workflow.Made {
	tb.Helper()
	made, err := catalog(tb).Text(inv, a)
	if err != nil {
		tb.Fatalf("Text: %s", explain(err))
	}
	return made
}

// explain writes an error with all that it holds.
func explain(err error) string {
	if fields, ok := errors.AsType[workflow.FieldErrors](err); ok {
		var all []string
		for _, f := range fields {
			all = append(all, f.Field+": "+f.Problem+" ("+f.Fits+")")
		}
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%v %+v", err, err)
}

// golden compares v, as JSON, with a golden file.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", "golden", name+".json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs from what it was (-want +got):\n%s", path, diff)
	}
}
