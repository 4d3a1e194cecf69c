// Package workflow makes graphs: it tells which model family a server's files belong to, and builds that family's graph
// from a recipe. A recipe is data, not code: one YAML file each, embedded or the operator's own.
package workflow

import (
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// An Inventory is what a server has, already filtered by policy: nothing denied is in it, so nothing denied is ever named (SC-52).
type Inventory struct {
	Files      map[policy.Kind][]comfy.ModelFile
	Samplers   []string          // as KSampler lists them (CLIENT-GRAPH-6); empty: not checked
	Schedulers []string          // likewise
	Info       *comfy.ObjectInfo // nil: what the server's nodes can do is not checked
	// Metadata returns the safetensors metadata of a file, empty when there is none. It is asked only where a name does not tell the
	// family, and at most [MaxMetadata] times a call. Nil: names alone decide.
	Metadata func(folder, name string) map[string]string
}

// MaxMetadata bounds the files whose metadata one call asks for.
const MaxMetadata = 32

// An Ask is what a caller wants, as it was said; pointers are nil where nothing was said.
type Ask struct {
	Prompt, Negative  string
	Preset            string
	Width, Height     *int
	Aspect            string // "16:9"
	Model, Family     string
	LoRAs             []LoRA
	Steps             *int
	CFG, Guidance     *float64
	Sampler, Schedule string
	Seed              uint64 // resolved by the caller of this package
	Count             int
	Prefix            string // filename prefix at the server (CLIENT-SEC-6)
	ToTemp            bool   // results by PreviewImage instead of SaveImage (CLIENT-FILE-4)
	DefaultModel      string // GENERATION__MODEL
	MaxWidth          int
	MaxHeight         int
}

// A LoRA is one adapter with its strength.
type LoRA struct {
	Name     string
	Strength float64
}

// A Made is a graph with the settings that were chosen for it.
type Made struct {
	Graph     comfy.Graph
	Output    string // id of the node that gives the pictures
	Family    string // recipe's id
	Title     string
	Model     string
	Models    []policy.Model // every file that the graph loads
	Width     int
	Height    int
	Count     int
	Steps     int
	CFG       float64
	Guidance  float64 // 0 where the family has none
	Sampler   string
	Scheduler string
	Notes     []string // what the caller should know: a preset's steps not taken, an unknown checkpoint's recipe …
}

// A FieldError is one argument that cannot be honoured, with what would fit. Texts are safe to show.
type FieldError struct {
	Field   string // argument's name
	Problem string
	Fits    string // a value or range that works; may be empty
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// A FieldErrors is every such fault of one call.
type FieldErrors []*FieldError

func (e FieldErrors) Error() string {
	faults := make([]string, 0, len(e))
	for _, f := range e {
		faults = append(faults, f.Error())
	}
	return strings.Join(faults, "; ")
}

// A MissingError says which files a family lacks on this server.
type MissingError struct {
	Family, Title string
	Files         []MissingFile
}

// A MissingFile names a file, the folder below models/ it belongs in, and the repository that has it.
type MissingFile struct{ Name, Folder, Repository string }

func (e *MissingError) Error() string { return "files of " + e.Title + " are missing" }

// A NoModelError says that the server has no model that a bare prompt could take.
type NoModelError struct{ Suggestions []MissingFile }

func (*NoModelError) Error() string { return "no usable model is installed" }

// A ModelError says that a named model is unknown or not allowed, alike (MODEL_NOT_ALLOWED, SC-52).
type ModelError struct {
	Kind  policy.Kind
	Name  string
	Close []string // nearest allowed names, at most 5
}

func (*ModelError) Error() string { return "model not available" }
