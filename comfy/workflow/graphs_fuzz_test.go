package workflow_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
)

// drawGraph makes any graph of seed: classes that are there or not, inputs that they have or not, values of every kind, and links to
// other nodes, themselves, and none.
func drawGraph(seed uint64, classes []*comfy.Class, values []any) comfy.Graph {
	r := rand.New(rand.NewPCG(seed, 1))
	nodes := 1 + r.IntN(40)
	g := comfy.Graph{}
	value := func() any {
		switch r.IntN(8) {
		case 0, 1, 2, 3:
			return comfy.Link{Node: strconv.Itoa(r.IntN(nodes + 2)), Slot: r.IntN(4) - 1}
		case 4:
			return []any{strconv.Itoa(r.IntN(nodes)), json.Number(strconv.Itoa(r.IntN(3)))}
		case 5:
			return map[string]any{"__value__": values[r.IntN(len(values))]}
		}
		return values[r.IntN(len(values))]
	}
	for i := range nodes {
		class := classes[r.IntN(len(classes))]
		n := comfy.Node{ClassType: class.Name, Inputs: map[string]any{}}
		for _, in := range class.Inputs {
			if r.IntN(10) > 0 {
				n.Inputs[in.Name] = value()
			}
		}
		for range r.IntN(3) {
			n.Inputs[[]string{"filename_prefix", "resize_type.width", "images.image0", "width", "url", "extra_pnginfo", "a.b.c", ""}[r.IntN(8)]] = value()
		}
		g[strconv.Itoa(i)] = n
	}
	return g
}

func fuzzed(f *testing.F) ([]*comfy.Class, []any) {
	f.Helper()
	classes := slices.SortedFunc(maps.Values(recorded(f, "v0.33.0").Classes), func(a, b *comfy.Class) int { return strings.Compare(a.Name, b.Name) })
	values := []any{
		nil, true, false, "", "x", "../../x", "http://x/", pictureA, "comfygate://images/" + pictureA, "euler", "scale by multiplier", "match size", "16:9 (Wide)", "1, 0.5", "a*b//(c-1)",
		json.Number("0"), json.Number("1"), json.Number("-5"), json.Number("512"), json.Number("8.0"), json.Number("1e400"), json.Number("18446744073709551615"), 1.5, uint64(1 << 63), int64(-1 << 63),
		[]any{},
		[]any{"a"},
		map[string]any{},
		map[string]any{"a": []any{"../x"}},
		comfy.Link{},
	}
	return classes, values
}

// Whatever the graph, its weight is no negative number, no less than that of a part of it, and the same each time.
func FuzzWeigh(f *testing.F) {
	classes, values := fuzzed(f)
	info := recorded(f, "v0.33.0")
	for seed := range uint64(20) {
		f.Add(seed, "max(a, b) ** 2")
	}
	f.Fuzz(func(t *testing.T, seed uint64, formula string) {
		g := drawGraph(seed, classes, append([]any{formula}, values...))
		one, two := workflow.Weigh(g, info, nil), workflow.Weigh(g, info, nil)
		if one != two {
			t.Errorf("%+v, then %+v", one, two)
		}
		if one.Width < 0 || one.Height < 0 || one.Count < 0 || one.Frames < 0 || one.Steps < 0 || one.Pixels < 0 || one.Work < one.Pixels {
			t.Errorf("weight %+v", one)
		}
		workflow.Check(g, info)
		workflow.Weigh(g, nil, map[string]workflow.Size{"0": {Width: -1, Height: 1 << 40}})
	})
}

// Whatever the graph, one that Secure finds no fault with names no file, has our prefix wherever one is, and is found to be so again.
func FuzzSecure(f *testing.F) {
	classes, values := fuzzed(f)
	info := recorded(f, "v0.33.0")
	for seed := range uint64(20) {
		f.Add(seed, "x.png [output]")
	}
	f.Fuzz(func(t *testing.T, seed uint64, word string) {
		g := drawGraph(seed, classes, append([]any{word, map[string]any{word: word}}, values...))
		before := fmt.Sprint(g)
		out, faults := workflow.Secure(g, info, toOurs, map[string]string{"1": pictureB})
		if fmt.Sprint(g) != before {
			t.Error("Secure changed what it was given")
		}
		for id, n := range out.Graph {
			for name, v := range n.Inputs {
				if name == "filename_prefix" && info.Classes[n.ClassType].Input(name) != nil && v != toOurs.Prefix {
					t.Errorf("node %s: prefix %v", id, v)
				}
				if strings.HasPrefix(n.ClassType, "LoadImage") && name == "image" && v != "" && len(faults) == 0 {
					t.Errorf("node %s: image %v", id, v)
				}
			}
		}
		workflow.Secure(g, nil, toOurs, nil)
	})
}
