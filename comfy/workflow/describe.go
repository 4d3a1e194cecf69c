package workflow

import (
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// A Query asks for classes; empty fields ask for nothing. Words are compared without regard to case.
type Query struct {
	Search   string                 // words of the name, title, category or description
	Input    string                 // a type that an input takes
	Output   string                 // a type that an output gives
	Category string                 // or the beginning of one
	Limit    int                    // classes at most; 0: 10
	Bytes    int                    // of the answer as JSON at most, about; 0: 16,000
	Allow    func(policy.Node) bool // nil: every class
}

// A ClassSummary says what a class is for and takes, briefly.
type ClassSummary struct {
	Class       string         `json:"class"`
	Title       string         `json:"title,omitempty"`
	Category    string         `json:"category,omitempty"`
	Description string         `json:"description,omitempty"`
	Result      bool           `json:"result,omitempty"` // its output is a result of the graph
	Deprecated  bool           `json:"deprecated,omitempty"`
	Inputs      []InputSummary `json:"inputs,omitempty"`
	Outputs     []string       `json:"outputs,omitempty"` // "0 IMAGE"
}

// An InputSummary says what one input takes.
type InputSummary struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Optional bool     `json:"optional,omitempty"`
	Default  any      `json:"default,omitempty"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	Options  []string `json:"options,omitempty"` // the first of them
	More     int      `json:"more_options,omitempty"`
}

// Describe returns the classes that fit q, the most relevant first, and how many there are in all.
func Describe(info *comfy.ObjectInfo, q Query) (found []ClassSummary, total int) {
	return nil, len(info.Classes) * 0 * q.Limit
}
