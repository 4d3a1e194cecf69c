// Package library keeps saved workflows: in one folder, name.json with the graph and beside it name.yaml with what people and agents should
// know of it. Both are files that people write and review too; what is changed there is seen at the next look.
package library

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// Bounds of a library.
const (
	MaxWorkflows = 500
	MaxInputs    = 64
	MaxName      = 48
	maxSheet     = 64 << 10 // bytes of a YAML file
)

// NamePattern is what a saved workflow's name may be.
const NamePattern = "^[a-z0-9][a-z0-9_-]{0,47}$"

// InputPattern is what the name of an offered input may be.
const InputPattern = "^[a-z][a-z0-9_]{0,63}$"

// Errors; test with errors.Is.
var (
	// ErrNotFound says that there is no workflow of a name.
	ErrNotFound = errors.New("no such workflow is saved")
	// ErrExists refuses to replace a workflow that nobody said was to be replaced.
	ErrExists = errors.New("a workflow of this name is saved already")
	// ErrFull refuses a workflow more than a library holds.
	ErrFull = fmt.Errorf("the library holds %d workflows, which is the most", MaxWorkflows)
)

// A BrokenError says what is wrong with a saved workflow's files. Its text names no path and is safe to show.
type BrokenError struct{ Name, Problem string }

func (e *BrokenError) Error() string { return "the saved workflow " + e.Name + ": " + e.Problem }

// An Entry is one saved workflow.
type Entry struct {
	Name string
	Sheet
	Graph    []byte    // the document, in either format, at most [workflow.MaxGraphBytes]; nil in what [Library.List] returns
	Modified time.Time // the younger of its files
	Err      error     // a *[BrokenError]: it cannot be run; Sheet may be empty then
}

// A Sheet is the YAML file of a workflow.
type Sheet struct {
	Title       string         `yaml:"title,omitempty"`
	Description string         `yaml:"description,omitempty"`
	Inputs      []Input        `yaml:"inputs,omitempty"` // none: the inputs are found in the graph
	Scopes      []policy.Scope `yaml:"scopes,omitempty"` // that a caller must hold besides that of running workflows
}

// An Input is one input that is offered under a name of its own.
type Input struct {
	Name        string             `yaml:"name"`
	Label       string             `yaml:"label,omitempty"`
	Description string             `yaml:"description,omitempty"`
	Node        string             `yaml:"node"`  // id of the node in the graph; of one inside a subgraph "57:12"
	Input       string             `yaml:"input"` // of the node
	Kind        workflow.OfferKind `yaml:"kind,omitempty"`
	Min         *float64           `yaml:"min,omitempty"`
	Max         *float64           `yaml:"max,omitempty"`
	Options     []string           `yaml:"options,omitempty"` // fewer than the node takes
	Required    bool               `yaml:"required,omitempty"`
}

// A Library is safe for concurrent use, also by several processes.
type Library struct {
	root *os.Root

	mu    sync.Mutex
	known map[string]cached
}

// cached is an entry with what its files looked like when it was read.
type cached struct {
	entry        Entry
	graph, sheet stamp
}

// A stamp tells whether a file has changed. The zero stamp is that of no file.
type stamp struct {
	size int64
	at   time.Time
}

// Open opens a folder that is there. Nothing outside of it is ever read or written, whatever links lie in it. Close the library when done.
func Open(dir string) (*Library, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Library{root: root, known: make(map[string]cached)}, nil
}

// Close releases the folder.
func (l *Library) Close() error { return l.root.Close() }

// List returns all workflows by name, without their graphs. One whose files are wrong is in it, with what is wrong.
func (l *Library) List() ([]Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, err := l.names()
	if err != nil {
		return nil, fmt.Errorf("reading the folder of workflows: %w", reason(err))
	}
	for name := range l.known {
		if _, found := slices.BinarySearch(names, name); !found {
			delete(l.known, name)
		}
	}
	list := make([]Entry, 0, len(names))
	for _, name := range names {
		e := l.entry(name)
		e.Graph = nil
		list = append(list, e)
	}
	return list, nil
}

// Get returns one workflow. Errors are [ErrNotFound] and *[BrokenError].
func (l *Library) Get(name string) (Entry, error) {
	if !isName(name) {
		return Entry{}, ErrNotFound
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.root.Stat(name + graphExt); err != nil {
		delete(l.known, name)
		return Entry{}, ErrNotFound
	}
	e := l.entry(name)
	return e, e.Err
}

const (
	graphExt = ".json"
	sheetExt = ".yaml"
)

// names lists the files that are workflows, sorted; at most [MaxWorkflows].
func (l *Library) names() (names []string, err error) {
	dir, err := l.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close() //nolint:errcheck // only read
	files, err := dir.ReadDir(0)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), graphExt); ok && !strings.HasPrefix(name, ".") && !f.IsDir() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), MaxWorkflows)], nil
}

// entry returns a workflow from memory, or anew where its files have changed.
func (l *Library) entry(name string) Entry {
	graph, sheet := l.stamp(name+graphExt), l.stamp(name+sheetExt)
	if have, ok := l.known[name]; ok && have.graph == graph && have.sheet == sheet {
		return have.entry
	}
	e := l.load(name)
	e.Modified = graph.at
	if sheet.at.After(graph.at) {
		e.Modified = sheet.at
	}
	l.known[name] = cached{e, graph, sheet}
	return e
}

func (l *Library) stamp(file string) stamp {
	info, err := l.root.Stat(file)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

// load reads a workflow's files.
func (l *Library) load(name string) Entry {
	e := Entry{Name: name}
	broken := func(problem string) Entry {
		e.Err = &BrokenError{name, problem}
		return e
	}
	if !isName(name) {
		e.Name = printable(name)
		return broken("its file name is not one of small letters, digits, - and _, at most " + fmt.Sprint(MaxName))
	}
	data, err := l.read(name+sheetExt, maxSheet)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return broken(name + sheetExt + " cannot be read: " + reason(err).Error())
	}
	if err == nil {
		if e.Sheet, err = readSheet(data); err != nil {
			e.Sheet = Sheet{}
			return broken(name + sheetExt + ": " + printable(err.Error()))
		}
	}
	if e.Graph, err = l.read(name+graphExt, workflow.MaxGraphBytes); err != nil {
		return broken(name + graphExt + " cannot be read: " + reason(err).Error())
	}
	if _, err := workflow.Read(e.Graph); err != nil {
		e.Graph = nil
		return broken(name + graphExt + ": " + printable(err.Error()))
	}
	return e
}

// reason is an error of a file without its path.
func reason(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}
