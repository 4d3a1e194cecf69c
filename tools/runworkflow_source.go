package tools

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/policy"
)

// Library keeps saved workflows. [library.Library] does.
type Library interface {
	List() ([]library.Entry, error)
	Get(name string) (library.Entry, error)
	Save(e library.Entry, overwrite bool) error
}

// Where a workflow comes from.
const (
	fromSaved    = "saved"
	fromTemplate = "template"
	fromCaller   = "graph"
)

// A source is a workflow before anything is known of the server that runs it.
type source struct {
	name, title string
	from        string
	data        []byte
	sheet       library.Sheet // of a saved one
}

// called is what to call it.
func (s source) called() string {
	if s.name == "" {
		return "a graph of the caller's"
	}
	return s.name
}

// A WorkflowUnknownError says that there is no workflow of a name.
type WorkflowUnknownError struct {
	Name  string
	Close []string // nearest names, at most 5
}

func (*WorkflowUnknownError) Error() string { return "no workflow of this name" }

// ErrNoLibrary says that the operator named no folder for saved workflows.
var ErrNoLibrary = errors.New("no folder for saved workflows is set")

// source finds the workflow that is meant. A saved one goes before a template of the same name.
func (e *Env) source(ctx context.Context, c Caller, w workflowArg) (source, error) {
	given := isGiven(w.Graph)
	switch {
	case given && w.Workflow != "":
		return source{}, &workflow.FieldError{Field: "graph", Problem: "goes in place of workflow, not with it", Fits: "one or the other"}
	case given:
		return source{from: fromCaller, data: w.Graph}, nil
	case w.Workflow == "":
		return source{}, &workflow.FieldError{Field: "workflow", Problem: "is missing, and so is graph", Fits: "one of them"}
	}
	if e.Library != nil {
		entry, err := e.Library.Get(w.Workflow)
		if err == nil {
			return source{name: entry.Name, title: entry.Title, from: fromSaved, data: entry.Graph, sheet: entry.Sheet}, allowedBy(c, entry)
		}
		if !errors.Is(err, library.ErrNotFound) {
			return source{}, err
		}
	}
	return e.template(ctx, c, w.Workflow)
}

func isGiven(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// allowedBy holds a caller to the scopes that a saved workflow asks for.
func allowedBy(c Caller, e library.Entry) error {
	for _, scope := range e.Scopes {
		if !c.Principal.Can(scope) {
			return &policy.DeniedError{Decision: policy.Decision{
				Rule: "scope:" + string(scope), Reason: "the workflow " + e.Name + " needs the scope " + string(scope) + ", which you do not have",
			}}
		}
	}
	return nil
}

// template reads a workflow that the server ships.
func (e *Env) template(ctx context.Context, c Caller, name string) (source, error) {
	var (
		index []comfy.Template
		s     = source{from: fromTemplate}
	)
	err := e.Server.Read(ctx, func(ctx context.Context, lists Lists) (err error) {
		if index, err = lists.Templates(ctx); err != nil {
			return err
		}
		i := slices.IndexFunc(index, func(t comfy.Template) bool { return t.Name == name })
		if i < 0 {
			return nil
		}
		s.name, s.title = name, index[i].Title
		s.data, err = lists.Template(ctx, name)
		return err
	})
	switch {
	case err != nil && !errors.Is(err, comfy.ErrNoTemplate):
		return source{}, err
	case s.data == nil:
		return source{}, &WorkflowUnknownError{name, e.similar(c, name, index)}
	}
	return s, nil
}

// similar returns names that hold a word of one that is not there, of workflows that are there for the caller.
func (e *Env) similar(c Caller, name string, index []comfy.Template) (names []string) {
	all := make([]string, 0, len(index))
	if e.Library != nil {
		saved, err := e.Library.List()
		if err == nil {
			for _, entry := range saved {
				if allowedBy(c, entry) == nil {
					all = append(all, entry.Name)
				}
			}
		}
	}
	for _, t := range index {
		all = append(all, t.Name)
	}
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("_-. ", r) })
	slices.SortStableFunc(all, func(a, b string) int { return shared(words, b) - shared(words, a) })
	for _, one := range all[:min(len(all), 5)] {
		if shared(words, one) > 0 {
			names = append(names, one)
		}
	}
	return names
}

// shared counts the letters of the words that are in name.
func shared(words []string, name string) (n int) {
	for _, word := range words {
		if len(word) > 1 && strings.Contains(strings.ToLower(name), word) {
			n += len(word)
		}
	}
	return n
}
