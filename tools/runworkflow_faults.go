package tools

import (
	"fmt"
	"strings"

	"github.com/comfygate/comfygate/comfy/workflow"
)

// A GraphFaultsError says everything that the server, or our own rules of safety, would refuse in a workflow. Its texts hold what the
// workflow's author wrote.
type GraphFaultsError struct{ Faults []workflow.Fault }

func (e *GraphFaultsError) Error() string {
	return fmt.Sprintf("the workflow has %d faults", len(e.Faults))
}

// Unsafe reports whether a rule of safety is broken, and not only the server's grammar.
func (e *GraphFaultsError) Unsafe() bool {
	for _, f := range e.Faults {
		if f.Rule != "" {
			return true
		}
	}
	return false
}

// A ModelsMissingError says which model files a workflow lacks on this server.
type ModelsMissingError struct {
	Workflow string // for people
	Files    []workflow.MissingFile
	Instead  []string // inputs by which another model can be given, with names that are there
}

func (*ModelsMissingError) Error() string { return "model files of the workflow are missing" }

// fault is the error that keeps the workflow from running, if there is one: the caller's arguments first, for these can be mended at once.
func (p *prepared) fault() error {
	switch {
	case len(p.fields) > 0:
		return p.fields
	case p.lost != nil:
		return p.lost
	case len(p.missing) > 0:
		return &ModelsMissingError{p.source.called(), p.missing, p.instead()}
	case len(p.faults) > 0:
		return &GraphFaultsError{p.faults}
	}
	return nil
}

// instead names the inputs by which a missing model can be replaced.
func (p *prepared) instead() (list []string) {
	for _, o := range p.offers {
		for _, t := range o.Targets {
			name, _ := p.graph[t.Node].Inputs[t.Input].(string)
			if o.Kind != workflow.OfferModel || len(o.Options) == 0 || !p.lacks(name) {
				continue
			}
			list = append(list, o.Name+", such as "+strings.Join(o.Options[:min(len(o.Options), 5)], ", "))
			break
		}
	}
	return list
}

func (p *prepared) lacks(model string) bool {
	for _, f := range p.missing {
		if f.Name == model {
			return true
		}
	}
	return false
}
