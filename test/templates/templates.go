package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// A verdict is what became of one template.
type verdict struct {
	name    string
	open    bool // it needs no paid service
	nodes   int
	offers  int
	refused []string // why the server or we refuse it; empty when it is accepted
	ours    bool     // it is we that refuse it
	faults  int      // that Fit finds
	denied  string   // why policy denies it
}

type report []verdict

// templates judges every template of the server.
func (s *server) templates(ctx context.Context) (report, error) {
	list, err := s.client.Templates(ctx)
	if err != nil {
		return nil, err
	}
	if s.info, err = s.client.ObjectInfo(ctx); err != nil {
		return nil, err
	}
	texts := make([][]byte, len(list))
	for i, t := range list {
		data, err := s.client.Template(ctx, t.Name)
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", t.Name, err)
		}
		texts[i] = data
		if err := s.upload(ctx, data); err != nil {
			return nil, err
		}
	}
	s.client.Forget() // the lists of files have grown
	if s.info, err = s.client.ObjectInfo(ctx); err != nil {
		return nil, err
	}
	var all report
	for i, t := range list {
		v, err := s.template(ctx, texts[i])
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", t.Name, err)
		}
		v.name, v.open = t.Name, !t.Paid
		all = append(all, v)
	}
	return all, nil
}

// upload provides the files that a template's nodes name.
func (s *server) upload(ctx context.Context, data []byte) error {
	doc, err := workflow.Read(data)
	if err != nil {
		return nil //nolint:nilerr // told when the template is judged
	}
	converted, err := doc.Convert(s.info)
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		return err
	}
	for _, n := range converted.Graph {
		for i := range s.info.Classes[n.ClassType].Inputs {
			in := &s.info.Classes[n.ClassType].Inputs[i]
			name, ok := n.Inputs[in.Name].(string)
			if !in.Media || !ok || name == "" {
				continue
			}
			if err := s.provide(ctx, name, picture.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *server) template(ctx context.Context, data []byte) (verdict, error) {
	var v verdict
	doc, err := workflow.Read(data)
	if err != nil {
		return verdict{ours: true, refused: []string{err.Error()}}, nil //nolint:nilerr // the verdict says it
	}
	converted, err := doc.Convert(s.info)
	if err != nil {
		return verdict{ours: true, refused: []string{explain(err)}}, nil
	}
	v.nodes, v.offers, v.faults = len(converted.Graph), len(converted.Offers), len(workflow.Fit(converted.Graph, s.info))
	v.denied = s.denied(ctx, converted.Graph)
	a, err := s.post(ctx, converted.Graph)
	if err != nil {
		return v, err
	}
	v.refused = a.reasons()
	if a.ID == "" {
		return v, nil
	}
	return v, s.withdraw(ctx, a.ID)
}

func explain(err error) string {
	unknown, ok := errors.AsType[*workflow.UnknownClassError](err)
	if !ok {
		return err.Error()
	}
	var list []string
	for _, c := range unknown.Classes {
		list = append(list, fmt.Sprintf("%s %s (%s)", c.Node, c.Class, c.Package))
	}
	return "the server lacks " + strings.Join(list, ", ")
}

// denied says what the built-in policy says against the nodes and model files of a graph, or nothing.
func (s *server) denied(ctx context.Context, g comfy.Graph) string {
	d := s.rules.Decide(ctx, policy.Request{
		Principal: "templates", Role: policy.Operator, Scopes: []policy.Scope{policy.WorkflowRun}, Transport: "stdio",
		Tool: "run_workflow", Scope: policy.WorkflowRun, Nodes: workflow.Nodes(g, s.info), Models: workflow.Models(g, s.info),
	})
	if d.Allowed {
		return ""
	}
	return d.Rule + ": " + d.Reason
}

// print writes the table, and reports whether no more than so many open templates are refused.
func (all report) print(out io.Writer, misses int) bool {
	for _, v := range all {
		v.print(out)
	}
	_, _ = fmt.Fprintf(out, "\n%-5s %9s %9s %9s %14s %12s\n", "", "templates", "converted", "accepted", "policy denies", "and accepted")
	open, paid := all.count(true), all.count(false)
	for _, c := range []counts{open, paid} {
		_, _ = fmt.Fprintf(out, "%-5s %9d %9d %9d %14d %12d\n", c.kind, c.all, c.converted, c.accepted, c.denied, c.both)
	}
	return open.all-open.accepted <= misses
}

func (v verdict) kind() string {
	if v.open {
		return "open"
	}
	return "paid"
}

func (v verdict) print(out io.Writer) {
	what := "accepted"
	switch {
	case v.ours:
		what = "NOT CONVERTED"
	case len(v.refused) > 0:
		what = "REFUSED"
	}
	_, _ = fmt.Fprintf(out, "%-4s %-60s %4d nodes %3d inputs %3d faults  %s\n", v.kind(), v.name, v.nodes, v.offers, v.faults, what)
	for _, why := range v.refused {
		_, _ = fmt.Fprintf(out, "       %s\n", why)
	}
	if v.denied != "" {
		_, _ = fmt.Fprintf(out, "       policy denies it: %s\n", v.denied)
	}
}

// counts sum up one kind of templates.
type counts struct {
	kind                                   string
	all, converted, accepted, denied, both int
}

func (all report) count(open bool) counts {
	c := counts{kind: verdict{open: open}.kind()}
	for _, v := range all {
		if v.open != open {
			continue
		}
		accepted, denied := len(v.refused) == 0, v.denied != ""
		c.all++
		c.converted += one(!v.ours)
		c.accepted += one(accepted)
		c.denied += one(denied)
		c.both += one(accepted && denied)
	}
	return c
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}
