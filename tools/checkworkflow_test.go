package tools_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

type checkedFault struct{ Node, Class, Input, Problem, Got, Fits, Rule string }

// A checked is what check_workflow tells.
type checked struct {
	Runnable bool
	Faults   []checkedFault
	Missing  []struct{ File, Folder, Source string } `json:"missing_models"`
	Policy   struct {
		Allowed      bool
		Rule, Reason string
	}
	Cost struct {
		Work float64 `json:"megapixel_steps"`
	}
	Inputs  []offered
	Results []string
	Models  []string
}

func (h *house) check(t *testing.T, c tools.Caller, args string) checked {
	t.Helper()
	r, err := h.call(t.Context(), t, c, "check_workflow", args)
	if err != nil {
		t.Fatalf("%s: %v", args, err)
	}
	var v checked
	structured(t, find(t, h.list, "check_workflow"), r, &v)
	return v
}

// A graph with seven faults: all seven are named, each with its node, and what would fit where that can be said.
func TestCheckWorkflow_sevenFaults(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, emulator.Options{Version: version}, nil)
			v := h.check(t, callerOf("ann"), `{"graph":{
				"1":{"class_type":"CheckpointLoaderSimple","inputs":{"ckpt_name":"nope.safetensors"}},
				"2":{"class_type":"CLIPTextEncode","inputs":{"text":"x","clip":["77",1]}},
				"3":{"class_type":"EmptyLatentImage","inputs":{"width":"wide","height":512,"batch_size":0}},
				"4":{"class_type":"KSampler","inputs":{"model":["1",0],"positive":["2",0],"negative":["2",9],"latent_image":["3",0],
					"seed":1,"steps":20,"cfg":7,"sampler_name":"eulr","scheduler":"normal","denoise":1}},
				"5":{"class_type":"VAEDecode","inputs":{"samples":["4",0],"vae":["1",2]}},
				"6":{"class_type":"SaveImagee","inputs":{"images":["5",0]}},
				"7":{"class_type":"SaveImage","inputs":{"images":["5",0],"filename_prefix":"a"}}}}`)
			got := map[string]string{}
			for _, f := range v.Faults {
				got[f.Node+" "+f.Input] = f.Problem + "; " + f.Fits
			}
			for _, want := range []string{"1 ckpt_name", "2 clip", "3 width", "3 batch_size", "4 negative", "4 sampler_name", "6 "} {
				if got[want] == "" {
					t.Errorf("%s is not named: %v", want, got)
				}
			}
			if v.Runnable || len(v.Missing) != 1 || v.Missing[0].Folder != "checkpoints" {
				t.Errorf("runnable %v, missing %v", v.Runnable, v.Missing)
			}
			if !strings.Contains(got["4 sampler_name"], "euler") || !strings.Contains(got["6 "], "SaveImage") {
				t.Errorf("what would fit: %v", got)
			}
			if n := h.emulator.Requests("POST /prompt"); n != 0 {
				t.Errorf("%d graphs were submitted", n)
			}
		})
	}
}

// What could not even be read is a fault, not an error.
func TestCheckWorkflow_unreadable(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	for graph, want := range map[string]string{
		`{}`:                       "no nodes",
		`{"1":{"inputs":{}}}`:      "class_type",
		`{"nodes":[1],"links":[]}`: "",
		`{"nodes":[{"id":1,"type":"Nope","mode":0,"inputs":[],"outputs":[],"properties":{"cnr_id":"far-away"}}],"links":[]}`: "no node of this class",
	} {
		v := h.check(t, callerOf("ann"), `{"graph":`+graph+`}`)
		if v.Runnable || v.Policy.Allowed || len(v.Faults) == 0 || !strings.Contains(fmt.Sprint(v.Faults), want) {
			t.Errorf("%s: %+v", graph, v)
		}
	}
}

// The verdict is the caller's own, with the name of the rule.
func TestCheckWorkflow_verdict(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	viewer := callerOf("vic")
	viewer.Principal = auth.Principal{Name: "vic", Role: policy.Viewer, Scopes: policy.ScopesOf(policy.Viewer)}
	nobody := callerOf("")
	large := strings.NewReplacer(`"width":96`, `"width":16384`, `"height":64`, `"height":16384`).Replace(blue)
	for name, tt := range map[string]struct {
		c     tools.Caller
		graph string
		rule  string
	}{
		"allowed": {callerOf("ann"), blue, policy.RuleAllow},
		"viewer":  {viewer, blue, policy.RuleRole},
		"nobody":  {nobody, blue, policy.RulePrincipal},
		"large":   {callerOf("ann"), large, policy.RulePixels},
	} {
		v := h.check(t, tt.c, `{"graph":`+tt.graph+`}`)
		if allowed := tt.rule == policy.RuleAllow; v.Policy.Rule != tt.rule || v.Policy.Allowed != allowed || v.Runnable != allowed {
			t.Errorf("%s: %+v", name, v.Policy)
		}
	}
}

// SC-52: neither a denied model nor a denied class is named in what would fit, in options, or in what is listed.
func TestWorkflows_SC52_nothingDeniedIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.server.documents = map[string]string{"t": `{"1":{"class_type":"CheckpointLoaderSimple","inputs":{"ckpt_name":"base.safetensors"}},"2":{"class_type":"SecretSave","inputs":{}}}`}
	for tool, args := range map[string]string{
		"check_workflow": `{"graph":{"1":{"class_type":"CheckpointLoaderSimple","inputs":{"ckpt_name":"sekret.safetensors"}},"2":{"class_type":"SecretSav","inputs":{}}}}`,
		"describe_nodes": `{"search":"c","limit":50}`,
		"list_workflows": `{}`,
	} {
		r := b.mustRun(t, tool, args)
		if strings.Contains(strings.ReplaceAll(r.Text, "SecretSav\"", ""), "SecretSave") || strings.Contains(r.Text, "secret.safetensors") {
			t.Errorf("%s names what is denied: %s", tool, r.Text)
		}
	}
	known, unknown := b.mustRun(t, "check_workflow", checkpoint("secret.safetensors")), b.mustRun(t, "check_workflow", checkpoint("sycret.safetensors"))
	if a, c := known.Text, strings.ReplaceAll(unknown.Text, "sycret", "secret"); a != c {
		t.Errorf("a denied model answers\n%s\nan unknown one\n%s", a, c)
	}
}

func checkpoint(name string) string {
	return fmt.Sprintf(`{"graph":{"1":{"class_type":"CheckpointLoaderSimple","inputs":{"ckpt_name":%q}}}}`, name)
}
