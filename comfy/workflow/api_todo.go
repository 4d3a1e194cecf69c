package workflow

import (
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// A Catalog is the recipes. It is immutable and safe for concurrent use.
type Catalog struct{}

// Load returns the embedded recipes, and those of dir unless it is empty: one file each, *.yaml. A file of dir with the id of an
// embedded recipe replaces it. Faults name file, line, field and what would fit, all at once.
func Load(dir string) (*Catalog, error) { panic("todo") }

// Text makes the graph of a picture from a prompt: it chooses the model, settles every setting and builds. It returns FieldErrors with
// every argument that cannot be honoured, *ModelError, *MissingError or *NoModelError.
func (c *Catalog) Text(inv Inventory, ask Ask) (Made, error) { panic("todo") }

// A FamilyState tells how far a family can be used at a server.
type FamilyState struct {
	ID, Title string
	Installed bool          // every file is there and the server has the nodes
	Chosen    bool          // a bare prompt takes this family, where no setting names a model
	Model     string        // of the family's models the one that is taken; empty when there is none
	Missing   []MissingFile // files
	Lacks     []string      // what an older server cannot do: "class Flux2Scheduler", "CLIPLoader type flux2"
}

// Families returns every family that makes pictures from a prompt, in the order in which a bare prompt would choose.
func (c *Catalog) Families(inv Inventory) []FamilyState { panic("todo") }

// Recognise returns the id of the family that a file's name tells. Files that no recipe can use from a prompt, editing models say, have an id too.
func (c *Catalog) Recognise(kind policy.Kind, file string) (family string, ok bool) { panic("todo") }

// A Preset is a named size and quality.
type Preset struct {
	Name          string
	Width, Height int
	Steps         int
	CFG           float64
}

// Presets returns the presets in the order in which they are shown.
func Presets() []Preset { panic("todo") }

// An UpscaleAsk is a picture to be made larger; pointers are nil where nothing was said.
type UpscaleAsk struct {
	Width, Height int      // of the picture that comes in, pixels
	Factor        *float64 // 1.5 … 4; default 2
	TargetWidth   *int     // in place of Factor; one side keeps the aspect
	TargetHeight  *int
	Model         string // upscale model; empty: the first that is installed, else plain resampling
	MaxPixels     int64  // UPSCALE__MAX_OUTPUT_PIXELS; 0 = 16,777,216
	Prefix        string
	ToTemp        bool

	Detail       bool    // a second pass that paints details at low denoise
	Denoise      float64 // of that pass, 0 … 1; 0 = 0.3
	Prompt       string  // for that pass; may be empty
	Negative     string
	Seed         uint64
	DetailModel  string // model of that pass; empty: as for a bare prompt
	Family       string
	DefaultModel string // GENERATION__MODEL
}

// An UpscaleMade is a graph that makes a picture larger.
type UpscaleMade struct {
	Graph         comfy.Graph
	Input         string // LoadImage node whose input "image" is to be set to the picture's name at the server
	Output        string // node that gives the picture
	Model         string // upscale model; empty where the picture is resampled
	Models        []policy.Model
	Width, Height int
	Family        string // of the detail pass; empty without one
	DetailModel   string
	Steps         int // of the detail pass
	Notes         []string
}

// Upscale makes the graph. A named model that is unknown or denied is a *ModelError, never replaced by resampling.
func (c *Catalog) Upscale(inv Inventory, ask UpscaleAsk) (UpscaleMade, error) { panic("todo") }

// A Fault is one thing in a graph that the server would refuse or misread.
type Fault struct {
	Node, Class, Input string // Input is empty where the fault is the node's
	Problem            string
	Got                string // what was there, as JSON, cut short
	Fits               string // what would fit; may be empty
}

// Fit returns every fault of g at a server that has info, in order of node and input; none means the server takes it.
// To keep denied models out of what would fit, give it an info that [Restrict] made.
func Fit(g comfy.Graph, info *comfy.ObjectInfo) []Fault { panic("todo") }

// Fill returns g with missing required inputs set to the server's defaults (CLIENT-GRAPH-2). g is not changed.
func Fill(g comfy.Graph, info *comfy.ObjectInfo) comfy.Graph { panic("todo") }

// Restrict returns info with lists of models cut down to those that allow lets through. info is not changed.
func Restrict(info *comfy.ObjectInfo, allow func(policy.Kind, string) bool) *comfy.ObjectInfo {
	panic("todo")
}

// ReadGraph reads a graph in the API format, bounded in size, depth and nodes, without doubled keys.
// The UI format is told apart by [ErrUIFormat].
func ReadGraph(data []byte) (comfy.Graph, error) { panic("todo") }

// Nodes returns g's nodes as policy judges them, sorted by id.
func Nodes(g comfy.Graph, info *comfy.ObjectInfo) []policy.Node { panic("todo") }

// Models returns every model that g would load, sorted. One whose name cannot be read from the graph has an empty name, which policy denies.
func Models(g comfy.Graph) []policy.Model { panic("todo") }
