package library_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/policy"
)

const graph = `{"1":{"class_type":"EmptyImage","inputs":{"width":64}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0]}}}`

func open(t *testing.T) (*library.Library, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := library.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func full() library.Entry {
	least, most := 1.0, 30.0
	return library.Entry{Name: "my-flow_2", Graph: []byte(graph), Sheet: library.Sheet{
		Title: "My flow", Description: "Two lines:\nthis is the second.", Scopes: []policy.Scope{policy.ImageGenerate},
		Inputs: []library.Input{
			{Name: "steps", Label: "Steps", Node: "57:12", Input: "steps", Kind: workflow.OfferInteger, Min: &least, Max: &most, Required: true},
			{Name: "sampler", Description: "How", Node: "3", Input: "sampler_name", Options: []string{"euler", "dpmpp_2m"}},
		},
	}}
}

// What is saved is what is read, in files for their owner alone, and nothing else is left in the folder.
func TestSave(t *testing.T) {
	t.Parallel()
	l, dir := open(t)
	want := full()
	if err := l.Save(want, false); err != nil {
		t.Fatal(err)
	}
	got, err := l.Get(want.Name)
	if err != nil || got.Modified.IsZero() {
		t.Fatalf("%v, modified %v", err, got.Modified)
	}
	got.Modified = time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	list, err := l.List()
	if err != nil || len(list) != 1 || list[0].Graph != nil || list[0].Title != want.Title {
		t.Errorf("%v, %+v", err, list)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

// Nothing is replaced unless that was said, also where two say it at once.
func TestSave_neverSilently(t *testing.T) {
	t.Parallel()
	l, dir := open(t)
	other, err := library.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // of a test
	var saved, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			e := full()
			e.Title = fmt.Sprint("title ", i)
			err := []*library.Library{l, other}[i%2].Save(e, false)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				saved++
			case errors.Is(err, library.ErrExists):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if saved != 1 || refused != 19 {
		t.Errorf("%d saved, %d refused", saved, refused)
	}
	e := full()
	e.Title, e.Inputs, e.Graph = "second", nil, []byte(strings.ReplaceAll(graph, "64", "128"))
	if err := l.Save(e, true); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Get(e.Name); err != nil || got.Title != "second" || !strings.Contains(string(got.Graph), "128") || got.Inputs != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

// A file that a person changes, adds or removes is seen at the next look.
func TestReload(t *testing.T) {
	t.Parallel()
	l, dir := open(t)
	write(t, dir, "a.json", graph)
	if e, err := l.Get("a"); err != nil || e.Title != "" {
		t.Fatalf("%+v, %v", e, err)
	}
	write(t, dir, "a.yaml", "title: A\n")
	if e, err := l.Get("a"); err != nil || e.Title != "A" {
		t.Errorf("a sheet that was added: %+v, %v", e, err)
	}
	write(t, dir, "a.yaml", "title: B\n")
	stamp := time.Now().Add(time.Hour) // the same size, and perhaps the same tick of the clock
	if err := os.Chtimes(filepath.Join(dir, "a.yaml"), stamp, stamp); err != nil {
		t.Fatal(err)
	}
	if e, err := l.Get("a"); err != nil || e.Title != "B" || !e.Modified.Equal(stamp.Truncate(time.Nanosecond)) && e.Modified.Sub(stamp).Abs() > time.Second {
		t.Errorf("a sheet that was changed: %+v, %v", e, err)
	}
	if err := os.Remove(filepath.Join(dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Get("a"); !errors.Is(err, library.ErrNotFound) {
		t.Errorf("a workflow that is gone: %v", err)
	}
	if list, err := l.List(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// A broken file is listed with its fault and hides no other. Its fault names no path.
func TestBroken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ graph, sheet, want string }{
		"no JSON":          {`{`, "", "not JSON"},
		"no graph":         {`[]`, "", "object"},
		"no YAML":          {graph, "title: [", "line 1"},
		"unknown key":      {graph, "title: a\nevil: b", "line 2"},
		"doubled key":      {graph, "title: a\ntitle: b", "line"},
		"anchor":           {graph, "title: &a b", "anchors"},
		"two documents":    {graph, "title: a\n---\ntitle: b", "one YAML document"},
		"a list":           {graph, "- a", ""},
		"long title":       {graph, "title: " + strings.Repeat("x", 121), "title"},
		"controls":         {graph, "title: \"a\\u001bb\"", "control characters"},
		"turned text":      {graph, "title: \"a\\u202eb\"", "control characters"},
		"unknown scope":    {graph, "scopes: [root]", "scopes"},
		"input's name":     {graph, "inputs: [{name: A b, node: '1', input: x}]", "inputs[0].name"},
		"name twice":       {graph, "inputs: [{name: a, node: '1', input: x}, {name: a, node: '1', input: y}]", "twice"},
		"no node":          {graph, "inputs: [{name: a, input: x}]", "inputs[0].node is missing"},
		"unknown kind":     {graph, "inputs: [{name: a, node: '1', input: x, kind: file}]", "kind"},
		"bounds":           {graph, "inputs: [{name: a, node: '1', input: x, min: 2, max: 1}]", "min is above max"},
		"no number":        {graph, "inputs: [{name: a, node: '1', input: x, min: .nan}]", "min"},
		"65 inputs":        {graph, "inputs: [" + strings.Repeat("{name: a, node: '1', input: x},", 65) + "]", "64"},
		"sheet too large":  {graph, "title: a\n" + strings.Repeat("#", 65<<10), "larger than"},
		"graph too large":  {graph + strings.Repeat(" ", 4<<20), "", "larger than"},
		"invalid UTF-8":    {graph, "title: \"\xff\"", "UTF-8"},
		"number as a text": {graph, "inputs: {}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, dir := open(t)
			write(t, dir, "bad.json", tt.graph)
			write(t, dir, "good.json", graph)
			if tt.sheet != "" {
				write(t, dir, "bad.yaml", tt.sheet)
			}
			list, err := l.List()
			if err != nil || len(list) != 2 || list[1].Err != nil {
				t.Fatalf("%v, %+v", err, list)
			}
			var broken *library.BrokenError
			if _, err := l.Get("bad"); !errors.As(err, &broken) || !strings.Contains(err.Error(), tt.want) || list[0].Err == nil {
				t.Errorf("Get: %v, List: %v; want %q", err, list[0].Err, tt.want)
			}
			if broken != nil && (strings.Contains(broken.Problem, dir) || strings.ContainsAny(broken.Problem, "\n\x1b\u202e")) {
				t.Errorf("the fault is not safe to show: %q", broken.Problem)
			}
		})
	}
}

// SC-26: names lead nowhere, and links in the folder neither.
func TestNames_SC26(t *testing.T) {
	t.Parallel()
	l, dir := open(t)
	outside := t.TempDir()
	write(t, outside, "secret.json", graph)
	for _, name := range []string{"", ".", "..", "../secret", `..\secret`, "/etc/x", "a/b", "a.b", "A", "ä", "-a", "_a", "a\x00", strings.Repeat("a", 49)} {
		if _, err := l.Get(name); !errors.Is(err, library.ErrNotFound) {
			t.Errorf("Get(%q): %v", name, err)
		}
		e := full()
		e.Name = name
		if err := l.Save(e, true); !errors.As(err, new(*library.BrokenError)) {
			t.Errorf("Save(%q): %v", name, err)
		}
	}
	write(t, dir, "Strange Name.json", graph)
	if list, err := l.List(); err != nil || len(list) != 1 || list[0].Err == nil {
		t.Errorf("%+v, %v", list, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Symlink(filepath.Join(outside, "secret.json"), filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	if e, err := l.Get("link"); err == nil || e.Graph != nil {
		t.Errorf("a link out of the folder is followed: %v", err)
	}
	e := full()
	e.Name = "link"
	if err := l.Save(e, true); err == nil {
		t.Error("a link out of the folder is written to")
	}
	if data, err := os.ReadFile(filepath.Join(outside, "secret.json")); err != nil || string(data) != graph {
		t.Errorf("the file outside: %s, %v", data, err)
	}
}

// What could not be read back is not saved.
func TestSave_refuses(t *testing.T) {
	t.Parallel()
	l, dir := open(t)
	for name, change := range map[string]func(*library.Entry){
		"no graph":    func(e *library.Entry) { e.Graph = nil },
		"no workflow": func(e *library.Entry) { e.Graph = []byte(`{"a":1}`) },
		"title":       func(e *library.Entry) { e.Title = "\x1b" },
		"input":       func(e *library.Entry) { e.Inputs[0].Name = "../a" },
		"scope":       func(e *library.Entry) { e.Scopes = []policy.Scope{"x"} },
		"huge": func(e *library.Entry) {
			for i := range 64 {
				e.Inputs = append(e.Inputs[:min(i, 2)], library.Input{Name: fmt.Sprint("a", i), Node: "1", Input: "x", Description: strings.Repeat("x", 500)})
			}
			for i := range e.Inputs {
				for range 200 {
					e.Inputs[i].Options = append(e.Inputs[i].Options, strings.Repeat("y", 300))
				}
			}
		},
	} {
		e := full()
		change(&e)
		var broken *library.BrokenError
		if err := l.Save(e, false); !errors.As(err, &broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestSave_bounded(t *testing.T) {
	t.Parallel()
	l, dir := open(t)
	for i := range library.MaxWorkflows + 3 {
		write(t, dir, fmt.Sprintf("f%04d.json", i), graph)
	}
	if list, err := l.List(); err != nil || len(list) != library.MaxWorkflows {
		t.Errorf("%d, %v", len(list), err)
	}
	if err := l.Save(full(), false); !errors.Is(err, library.ErrFull) {
		t.Errorf("%v", err)
	}
	e := full()
	e.Name = "f0001"
	if err := l.Save(e, true); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

func TestOpen_absent(t *testing.T) {
	t.Parallel()
	if _, err := library.Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}
