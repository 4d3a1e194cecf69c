package policy

import (
	"cmp"
	"context"
	"fmt"

	"github.com/comfygate/comfygate/policy/condition"
	"github.com/comfygate/comfygate/strictyaml"
)

// maxCases bounds a file of cases.
const maxCases = 10_000

// A Case is a request with the verdict that a policy is to give, as a table beside the policy file has it (POL-04).
// What is left out takes what is usual: an operator over HTTP, the scopes of the role, one picture.
type Case struct {
	Name      string         `yaml:"name"`
	Principal string         `yaml:"principal"` // default anyone
	Role      Role           `yaml:"role"`      // default the file's for the principal, or operator
	Scopes    []Scope        `yaml:"scopes"`    // default the role's
	Method    string         `yaml:"method"`    // default token
	Transport string         `yaml:"transport"` // default http
	Now       string         `yaml:"now"`       // RFC 3339; default noon UTC of a Wednesday
	Tool      string         `yaml:"tool"`
	Args      map[string]any `yaml:"args"`
	Models    []CaseModel    `yaml:"models"`
	Nodes     []CaseNode     `yaml:"nodes"`
	Width     int            `yaml:"width"`
	Height    int            `yaml:"height"`
	Count     int            `yaml:"count"`
	Frames    int            `yaml:"frames"` // of a video; count is at least this
	Steps     int            `yaml:"steps"`
	Cost      float64        `yaml:"cost"` // default width × height × count × steps / 1e6

	Want string `yaml:"want"` // allow or deny
	Rule string `yaml:"rule"` // id of the rule that decides; unset: any
}

// CaseModel is a [Model] in a file of cases.
type CaseModel struct {
	Kind Kind   `yaml:"kind"` // default checkpoints
	Name string `yaml:"name"`
}

// CaseNode is a [Node] in a file of cases.
type CaseNode struct {
	Class  string         `yaml:"class"`
	Module string         `yaml:"module"` // default nodes
	API    bool           `yaml:"api"`
	Inputs map[string]any `yaml:"inputs"`
}

// ParseCases reads a file of cases strictly.
func ParseCases(data []byte) ([]Case, error) {
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("the file of cases has %d bytes, more than %d", len(data), MaxFileBytes)
	}
	var file struct {
		Cases []Case `yaml:"cases"`
	}
	if err := strictyaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("the file of cases cannot be read: %w", err)
	}
	switch n := len(file.Cases); {
	case n == 0:
		return nil, fmt.Errorf("the file of cases has none; write cases: [{name, tool, want: allow or deny}]")
	case n > maxCases:
		return nil, fmt.Errorf("%d cases are more than %d", n, maxCases)
	}
	for i, c := range file.Cases {
		switch {
		case c.Want != Allow && c.Want != Deny:
			return nil, fmt.Errorf("cases[%d] %s: want: %s is neither allow nor deny", i, quoted(c.Name), quoted(c.Want))
		case c.Name == "" || c.Tool == "":
			return nil, fmt.Errorf("cases[%d]: a case needs a name and a tool", i)
		}
	}
	return file.Cases, nil
}

// Request makes a case's request, as r would see it.
func (r *Rules) Request(c Case) (Request, error) {
	req := Request{
		Principal: cmp.Or(c.Principal, "anyone"), Role: c.Role, Scopes: c.Scopes,
		Method: cmp.Or(c.Method, "token"), Transport: cmp.Or(c.Transport, "http"),
		Tool: c.Tool, Scope: ScopeOf(c.Tool), Args: c.Args,
		Width: c.Width, Height: c.Height, Count: max(c.Count, c.Frames), Frames: c.Frames, Steps: c.Steps,
	}
	if req.Role == "" {
		req.Role = Operator
		if role, told := r.RoleOf(req.Principal); told {
			req.Role = role
		}
	}
	if req.Scopes == nil {
		req.Scopes = r.ScopesOf(req.Role)
	}
	var err error
	if req.Now, err = condition.ParseTime(cmp.Or(c.Now, "2026-07-01T12:00:00Z")); err != nil {
		return req, fmt.Errorf("now: %w", err)
	}
	for _, m := range c.Models {
		req.Models = append(req.Models, Model{Kind: cmp.Or(m.Kind, Checkpoint), Name: m.Name})
	}
	for i, n := range c.Nodes {
		req.Nodes = append(req.Nodes, Node{ID: fmt.Sprint(i + 1), Class: n.Class, Module: cmp.Or(n.Module, "nodes"), API: n.API, Inputs: n.Inputs})
	}
	req.Pixels = product(int64(max(c.Width, 0)), int64(max(c.Height, 0)), int64(max(req.Count, 1)))
	req.Cost = cmp.Or(c.Cost, float64(product(req.Pixels, int64(max(c.Steps, 0))))/1e6)
	return req, nil
}

// Try judges a case and says what is not as the case wants it; "" is well.
func (r *Rules) Try(ctx context.Context, c Case) string {
	req, err := r.Request(c)
	if err != nil {
		return err.Error()
	}
	d := r.Decide(ctx, req)
	got := Deny
	if d.Allowed {
		got = Allow
	}
	switch {
	case got != c.Want:
		return fmt.Sprintf("want %s, got %s by %s: %s", c.Want, got, d.Rule, d.Reason)
	case c.Rule != "" && c.Rule != d.Rule:
		return fmt.Sprintf("want %s by %s, got it by %s", c.Want, c.Rule, d.Rule)
	}
	return ""
}
