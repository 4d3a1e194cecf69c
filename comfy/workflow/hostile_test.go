package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
)

// ui writes a document of the editor's from its parts, as JSON.
func ui(nodes, links string, subgraphs ...string) string {
	return `{"nodes": [` + nodes + `], "links": [` + links + `], "definitions": {"subgraphs": [` + strings.Join(subgraphs, ",") + `]}}`
}

// sub writes a subgraph.
func sub(id, nodes, links string) string {
	return fmt.Sprintf(`{"id": %q, "name": %q, "inputs": [{"name": "in", "type": "IMAGE"}], "outputs": [{"name": "out", "type": "IMAGE"}], "nodes": [%s], "links": [%s]}`, id, id, nodes, links)
}

// repeat joins n of what write makes, with commas.
func repeat(n int, write func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(write(i))
	}
	return b.String()
}

func instances(n int, class string) string {
	return repeat(n, func(i int) string { return fmt.Sprintf(`{"id": %d, "type": %q}`, i+1, class) })
}

const (
	aSave  = `{"id": 1, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}], "widgets_values": ["x"]}`
	anEmpt = `{"id": 2, "type": "EmptyImage", "outputs": [{"name": "IMAGE", "type": "IMAGE"}], "widgets_values": [8, 8, 1, 0]}`
)

// hostile are files that someone might send to break us: each is refused with a reason, or, where want is empty, harmless.
func hostile() map[string]struct{ doc, want string } {
	deep := func(n int) string { // subgraphs within subgraphs
		var subs []string
		for i := range n {
			subs = append(subs, sub("s"+strconv.Itoa(i), `{"id": 1, "type": "s`+strconv.Itoa(i+1)+`"}`, ""))
		}
		return ui(`{"id": 1, "type": "s0"}`, "", append(subs, sub("s"+strconv.Itoa(n), anEmpt, ""))...)
	}
	chain := func(class string, mode, n int) string { // to a save node at the end
		nodes := repeat(n, func(i int) string {
			return fmt.Sprintf(`{"id": %d, "type": %q, "mode": %d, "inputs": [{"name": "image", "type": "IMAGE", "link": %d}], "outputs": [{"name": "IMAGE", "type": "IMAGE"}]}`, i+10, class, mode, i+10)
		})
		links := repeat(n, func(i int) string { return fmt.Sprintf(`[%d, %d, 0, %d, 0, "IMAGE"]`, i+10, i+9, i+10) })
		return ui(aSave+","+nodes, fmt.Sprintf(`[1, %d, 0, 1, 0, "IMAGE"],`, n+9)+links)
	}
	return map[string]struct{ doc, want string }{
		"100 MB":                          {ui("", "") + strings.Repeat(" ", 100<<20), "larger than"},
		"4 MB of lists":                   {`{"nodes": [], "links": [` + strings.Repeat("[],", 1_300_000) + `[]]}`, "values"},
		"4 MB of objects":                 {`{"nodes": [` + strings.Repeat("{},", 1_000_000) + `{}], "links": []}`, "values"},
		"4 MB of numbers":                 {ui(`{"id": 1, "type": "X", "widgets_values": [`+strings.Repeat("1,", 1_900_000)+`1]}`, ""), "values"},
		"one text of 3 MB":                {ui(`{"id": 1, "type": "SaveImage", "widgets_values": ["`+strings.Repeat("x", 3<<20)+`"]}`, ""), ""},
		"a type of 3 MB":                  {ui(`{"id": 1, "type": "`+strings.Repeat("x", 3<<20)+`"}`, ""), "lacks nodes"},
		"nested lists":                    {`{"nodes": ` + strings.Repeat("[", 100_000), "nested more than"},
		"nested objects":                  {`{"nodes": [], "links": [], "extra": ` + strings.Repeat(`{"a":`, 80) + "1" + strings.Repeat("}", 80) + `}`, "nested more than"},
		"nested subgraphs":                {deep(40), "nested more than 16 deep"},
		"nested subgraphs, a thousand":    {deep(999), "nested more than 16 deep"},
		"nested just enough":              {deep(15), ""},
		"a subgraph that contains itself": {ui(`{"id": 1, "type": "s"}`, "", sub("s", `{"id": 1, "type": "s"}`, "")), `"s" contains itself`},
		"a subgraph that contains itself through another": {
			ui(`{"id": 1, "type": "a"}`, "", sub("a", `{"id": 1, "type": "b"}`, ""), sub("b", `{"id": 1, "type": "c"}`, ""), sub("c", `{"id": 1, "type": "a"}`, "")),
			"contains itself",
		},
		"a subgraph that contains itself, muted": {ui(`{"id": 1, "type": "s", "mode": 2}`, "", sub("s", `{"id": 1, "type": "s"}`, "")), "contains itself"},
		"a circle of subgraphs that nobody uses": {ui(anEmpt, "", sub("a", `{"id": 1, "type": "b"}`, ""), sub("b", `{"id": 1, "type": "a"}`, "")), ""},
		"1000 instances of 1000 nodes":           {ui(instances(1000, "s"), "", sub("s", instances(1000, "EmptyImage"), "")), "more than 10000 nodes"},
		"10 to the 15th":                         {ui(instances(10, "s0"), "", tower(14)...), "more than 10000 nodes"},
		"10001 nodes":                            {ui(instances(10_001, "EmptyImage"), ""), "more than 10000 nodes"},
		"1001 subgraphs": {
			ui("", "", repeat(1001, func(i int) string { return sub("s"+strconv.Itoa(i), "", "") })), "more than 1000 subgraphs",
		},
		"9000 nodes":               {ui(instances(9000, "EmptyImage"), ""), ""},
		"a loop of reroutes":       {ui(aSave+`, {"id": 2, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 2}]}, {"id": 3, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 3}]}`, `[1, 2, 0, 1, 0, "IMAGE"], [2, 3, 0, 2, 0, "*"], [3, 2, 0, 3, 0, "*"]`), "leads in a circle"},
		"a loop of bypassed nodes": {ui(aSave+`, {"id": 2, "type": "ImageInvert", "mode": 4, "inputs": [{"name": "image", "type": "IMAGE", "link": 2}], "outputs": [{"name": "IMAGE", "type": "IMAGE"}]}`, `[1, 2, 0, 1, 0, "IMAGE"], [2, 2, 0, 2, 0, "IMAGE"]`), "leads in a circle"},
		"a loop through a subgraph": {
			ui(aSave+`, {"id": 2, "type": "s", "inputs": [{"name": "in", "type": "IMAGE", "link": 2}], "outputs": [{"name": "out", "type": "IMAGE"}]}`, `[1, 2, 0, 1, 0, "IMAGE"], [2, 2, 0, 2, 0, "IMAGE"]`, sub("s", "", `[1, -10, 0, -20, 0, "IMAGE"]`)),
			"leads in a circle",
		},
		"a loop of nodes":           {ui(`{"id": 1, "type": "ImageInvert", "inputs": [{"name": "image", "type": "IMAGE", "link": 1}], "outputs": [{"name": "IMAGE", "type": "IMAGE"}]}`, `[1, 1, 0, 1, 0, "IMAGE"]`), ""}, // [workflow.Check] names it
		"a chain of 2000 reroutes":  {chain("Reroute", 0, 2000), "too many nodes"},
		"a chain of 2000 bypassed":  {chain("ImageInvert", 4, 2000), "too many nodes"},
		"many that follow long":     {manyLong(), "too many nodes"},
		"a huge id":                 {ui(`{"id": 1e300, "type": "X"}`, ""), "id is neither"},
		"an id beyond 64 bits":      {ui(`{"id": 99999999999999999999, "type": "X"}`, ""), "id is neither"},
		"a negative id":             {ui(`{"id": -10, "type": "X"}`, ""), "id is neither"},
		"an id that is a path":      {ui(`{"id": "../../etc/passwd", "type": "X"}`, ""), "id is neither"},
		"an id with a colon":        {ui(`{"id": "1:2", "type": "X"}`, ""), "id is neither"},
		"no id":                     {ui(`{"type": "X"}`, ""), "id is neither"},
		"doubled node":              {ui(anEmpt+","+anEmpt, ""), `"2" is there twice`},
		"doubled, as text":          {ui(anEmpt+`,{"id": "2", "type": "SaveImage"}`, ""), `"2" is there twice`},
		"doubled subgraph":          {ui("", "", sub("s", "", ""), sub("s", "", "")), `"s" is there twice`},
		"doubled link":              {ui(aSave+","+anEmpt, `[1, 2, 0, 1, 0, "IMAGE"], [1, 2, 1, 1, 0, "IMAGE"]`), `link "1" is there twice`},
		"doubled key":               {`{"nodes": [], "nodes": [], "links": []}`, `"nodes" is there twice`},
		"a node that is a number":   {ui("7", ""), "not an object"},
		"a node without type":       {ui(`{"id": 1}`, ""), "no type"},
		"a type that is a list":     {ui(`{"id": 1, "type": ["X"]}`, ""), "no type"},
		"a mode that is a text":     {ui(`{"id": 1, "type": "X", "mode": "never"}`, ""), "mode is not"},
		"a negative mode":           {ui(`{"id": 1, "type": "X", "mode": -4}`, ""), "mode is not"},
		"inputs that are an object": {ui(`{"id": 1, "type": "X", "inputs": {}}`, ""), "inputs is not a list"},
		"an input that is a text":   {ui(`{"id": 1, "type": "X", "inputs": ["a"]}`, ""), "not an object"},
		"an input's link is a list": {ui(`{"id": 1, "type": "X", "inputs": [{"name": "a", "link": [1]}]}`, ""), "not a whole number"},
		"values that are a number":  {ui(`{"id": 1, "type": "X", "widgets_values": 5}`, ""), "widgets_values"},
		"a link that is a text":     {ui("", `"1"`), "a link is not"},
		"a link that is short":      {ui("", `[1, 2]`), "a link is not"},
		"a link of texts":           {ui("", `["/", "a b", "c", "d", "e", "f"]`), "whole numbers"},
		"a slot of a billion":       {ui("", `[1, 2, 1000000000, 1, 0, "IMAGE"]`), "whole numbers"},
		"a negative slot":           {ui("", `[1, -10, -1, 1, 0, "IMAGE"]`), "whole numbers"},
		"subgraphs are a number":    {`{"nodes": [], "links": [], "definitions": {"subgraphs": 5}}`, "subgraphs is not a list"},
		"a subgraph is a text":      {ui("", "", `"s"`), "a subgraph is not an object"},
		"a subgraph without an id":  {ui("", "", `{"nodes": []}`), "has no id"},
		"a class named as built in": {ui(`{"id": 1, "type": "SaveImage"}`, "", sub("SaveImage", `{"id": 1, "type": "EmptyImage"}`, "")), ""},
		"links to nowhere": {
			ui(aSave+`,{"id": 3, "type": "s", "outputs": [{"name": "none", "type": "IMAGE"}]}, {"id": 4, "type": "ImageInvert", "inputs": [{"name": "image", "type": "IMAGE", "link": 4}]}`,
				`[1, 3, 7, 1, 0, "IMAGE"], [4, -10, 3, 4, 0, "IMAGE"]`, sub("s", "", `[1, -10, 9, -20, 7, "IMAGE"]`)), "",
		},
		"odd properties": {
			ui(`{"id": 3, "type": "s", "widgets_values": [1, 2, 3, 4], "properties": {"proxyWidgets": [5, [], ["-1"], [{}, "x"], ["9", "y"]], "models": {"a": 1}, "cnr_id": 7, "proxyWidgetErrorQuarantine": [1, {"originalEntry": 2}]}}, `+anEmpt, "",
				sub("s", "", "")), "",
		},
		"paths and URLs as values": {
			ui(`{"id": 1, "type": "LoadImage", "widgets_values": ["../../etc/passwd"]}, {"id": 2, "type": "CheckpointLoaderSimple", "widgets_values": ["http://169.254.169.254/x.safetensors"]}`, ""), "",
		}, // [workflow.Secure] refuses them
		"an API graph as values":            {ui(`{"id": 1, "type": "EmptyImage", "widgets_values": [["2", 0], {"class_type": "X"}, null, true]}`, ""), ""},
		"unknown keys":                      {`{"nodes": [` + anEmpt + `], "links": [], "__proto__": {"x": 1}, "constructor": 5, "version": "evil", "extra": {"groupNodes": {"a": 1}}}`, ""},
		"a class of a group node":           {ui(`{"id": 1, "type": "workflow>mine"}`, ""), "lacks nodes"},
		"9000 unknown classes":              {ui(repeat(9000, func(i int) string { return fmt.Sprintf(`{"id": %d, "type": "X%d"}`, i, i) }), ""), "40 more"},
		"a title of 3 MB":                   {ui(`{"id": 1, "type": "SaveImage", "title": "`+strings.Repeat("x", 3<<20)+`"}`, ""), ""},
		"an evil class":                     {ui("{\"id\": 1, \"type\": \"\\u001b[2J\\u202eX\"}", ""), `"\x1b[2J\u202eX"`},
		"not UTF-8":                         {"{\"nodes\": [], \"links\": [], \"a\": \"\xff\"}", "UTF-8"},
		"cut":                               {`{"nodes": [{"id": 1`, "not JSON"},
		"more behind":                       {`{"nodes": [], "links": []} {"nodes": []}`, "more after"},
		"an input side in the workflow":     {ui(aSave, `[1, -10, 0, 1, 0, "IMAGE"]`), ""},
		"a note that feeds":                 {ui(aSave+`,{"id": 2, "type": "Note"}`, `[1, 2, 0, 1, 0, "IMAGE"]`), ""},
		"an instance of 4000 inputs":        {wideInstance(4000), ""},
		"4000 prompts":                      {manyPrompts(4000), ""},
		"a node that needs 4000 muted ones": {manyMuted(4000), ""},
		"50,000 proxies of one instance":    {ui(`{"id": 1, "type": "s", "properties": {"proxyWidgets": [`+strings.Repeat(`["1","a"],`, 49_000)+`["1", "a"]]}}`, "", sub("s", anEmpt, "")), ""},
	}
}

// tower is subgraphs, each of ten of the next.
func tower(n int) (subs []string) {
	for i := range n {
		subs = append(subs, sub("s"+strconv.Itoa(i), instances(10, "s"+strconv.Itoa(i+1)), ""))
	}
	return append(subs, sub("s"+strconv.Itoa(n), anEmpt, ""))
}

// manyLong is thousands of nodes that each hang on a chain as long as one may be.
func manyLong() string {
	const long, many = 250, 4000
	nodes := repeat(long, func(i int) string {
		return fmt.Sprintf(`{"id": %d, "type": "Reroute", "inputs": [{"type": "*", "link": %d}]}`, i+10, i+10)
	}) + "," + repeat(many, func(i int) string {
		return fmt.Sprintf(`{"id": %d, "type": "ImageInvert", "inputs": [{"name": "image", "type": "IMAGE", "link": 9}]}`, i+1000)
	})
	links := fmt.Sprintf(`[9, %d, 0, 0, 0, "*"],`, long+9) + repeat(long, func(i int) string { return fmt.Sprintf(`[%d, %d, 0, %d, 0, "*"]`, i+10, i+9, i+10) })
	return ui(nodes, links)
}

// wideInstance is an instance with n inputs, each with a value of its own.
func wideInstance(n int) string {
	inputs := repeat(n, func(i int) string { return fmt.Sprintf(`{"name": "w%d", "type": "INT", "linkIds": [%d]}`, i, i) })
	nodes := repeat(n, func(i int) string {
		return fmt.Sprintf(`{"id": %d, "type": "EmptyImage", "inputs": [{"name": "width", "type": "INT", "link": %d, "widget": {}}]}`, i, i)
	})
	links := repeat(n, func(i int) string { return fmt.Sprintf(`[%d, -10, %d, %d, 0, "INT"]`, i, i, i) })
	values := repeat(n, func(i int) string { return strconv.Itoa(i + 1) })
	return ui(`{"id": 1, "type": "s", "widgets_values": [`+values+`]}`, "",
		fmt.Sprintf(`{"id": "s", "inputs": [%s], "outputs": [], "nodes": [%s], "links": [%s]}`, inputs, nodes, links))
}

// manyPrompts is n samplers, each with a prompt and a seed of its own.
func manyPrompts(n int) string {
	nodes := repeat(n, func(i int) string {
		return fmt.Sprintf(`{"id": %d, "type": "CLIPTextEncode", "widgets_values": ["a long prompt, all of the same length, %d"], "outputs": [{"type": "CONDITIONING"}]},`, 2*i, i) +
			fmt.Sprintf(`{"id": %d, "type": "KSampler", "widgets_values": [%d, "fixed", %d], "inputs": [{"name": "positive", "type": "CONDITIONING", "link": %d}]}`, 2*i+1, i, i, i)
	})
	return ui(nodes, repeat(n, func(i int) string { return fmt.Sprintf(`[%d, %d, 0, %d, 0, "CONDITIONING"]`, i, 2*i, 2*i+1) }))
}

// manyMuted is one node that has optional inputs from n others, which each need what is muted.
func manyMuted(n int) string {
	nodes := repeat(n, func(i int) string {
		return fmt.Sprintf(`{"id": %d, "type": "ImageInvert", "inputs": [{"name": "image", "type": "IMAGE", "link": 1}]}`, i+10)
	})
	inputs := repeat(n, func(i int) string { return fmt.Sprintf(`{"name": "i%d", "type": "IMAGE", "link": %d}`, i, i+10) })
	return ui(`{"id": 1, "type": "EmptyImage", "mode": 2}, {"id": 2, "type": "EmptyImage", "inputs": [`+inputs+`]},`+nodes,
		`[1, 1, 0, 0, 0, "IMAGE"],`+repeat(n, func(i int) string { return fmt.Sprintf(`[%d, %d, 0, 2, %d, "IMAGE"]`, i+10, i+10, i) }))
}

// readAll does with a document what a call would do before it is judged.
func readAll(data []byte, info *comfy.ObjectInfo) (workflow.Converted, error) {
	doc, err := workflow.Read(data)
	if err != nil {
		return workflow.Converted{}, err
	}
	doc.Hints()
	return doc.Convert(info)
}

func TestHostile(t *testing.T) {
	t.Parallel()
	info := someClasses(t)
	cases := hostile()
	if len(cases) < 40 {
		t.Fatalf("%d cases", len(cases))
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			converted, err := readAll([]byte(tt.doc), info)
			if tt.want == "" {
				if err != nil && !strings.Contains(err.Error(), "nothing of the workflow runs") {
					t.Errorf("it is harmless, and refused: %v", err)
				}
				checkConverted(t, converted)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 || len(converted.Graph) > 0 {
				t.Errorf("got %.1000v, want %q", err, tt.want)
			}
			_, ours := errors.AsType[*workflow.GraphError](err)
			_, unknown := errors.AsType[*workflow.UnknownClassError](err)
			if !ours && !unknown {
				t.Errorf("an error of type %T", err)
			}
		})
	}
}

// TestHostile_cost: each file costs at most 64 MB of memory, and on an idle machine a tenth of a second. Others' work moves the clock, so the
// bound is five times that, and the best of four runs counts. It runs alone, since memory is the process'.
func TestHostile_cost(t *testing.T) { //nolint:paralleltest // it measures
	if raced {
		t.Skip("the race detector takes memory and time of its own")
	}
	info := someClasses(t)
	for name, tt := range hostile() {
		data := []byte(tt.doc)
		const mostMemory, slow = 64 << 20, 500 * time.Millisecond
		memory, best := uint64(1<<62), time.Hour
		for range 4 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, _ = readAll(data, info)
			best = min(best, time.Since(start))
			runtime.ReadMemStats(&after)
			memory = min(memory, after.TotalAlloc-before.TotalAlloc)
			if memory <= mostMemory && best <= slow {
				break
			}
		}
		if memory > mostMemory {
			t.Errorf("%s: %d MB", name, memory>>20)
		}
		if best > slow {
			t.Errorf("%s: %v", name, best)
		}
		t.Logf("%-50s %6d kB %v", name, memory>>10, best)
	}
}

// checkConverted checks what must hold of every conversion: it can be written and read back, and each offer can be set.
func checkConverted(t *testing.T, c workflow.Converted) {
	t.Helper()
	if len(c.Graph) == 0 {
		return
	}
	written, err := json.Marshal(c.Graph)
	if err != nil {
		t.Fatalf("what was converted cannot be written: %v", err)
	}
	if len(written) < workflow.MaxGraphBytes {
		if _, err := workflow.ReadGraph(written); err != nil {
			t.Fatalf("what was converted cannot be read: %v", err)
		}
	}
	values, names := map[string]any{}, map[string]bool{}
	for _, o := range c.Offers {
		if names[o.Name] || o.Name == "" || len(o.Name) > 64 || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || len(o.Targets) == 0 {
			t.Errorf("offer %+v", o)
		}
		names[o.Name] = true
		for _, target := range o.Targets {
			if _, there := c.Graph[target.Node].Inputs[target.Input]; !there {
				t.Errorf("offer %s is for %+v, which is not there", o.Name, target)
			}
		}
		if o.Kind == workflow.OfferPicture {
			values[o.Name] = "img_1"
		}
	}
	if _, _, _, err := workflow.Set(c.Graph, c.Offers, values, 5); err != nil {
		t.Errorf("nothing but pictures set: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := workflow.Read(data)
		if err != nil {
			if _, ours := errors.AsType[*workflow.GraphError](err); !ours || err.Error() == "" {
				t.Errorf("%T %v", err, err)
			}
			return
		}
		if (doc.UI == nil) == (doc.Graph == nil) {
			t.Error("a document is of one format")
		}
		doc.Hints()
	})
}

func FuzzConvert(f *testing.F) {
	seeds(f)
	info := someClasses(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if converted, err := readAll(data, info); err == nil {
			checkConverted(t, converted)
		}
	})
}
