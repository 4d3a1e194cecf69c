// Package policy decides whether a principal may do what a call would do.
// Decisions are pure: they read nothing but their arguments, keep no state, and know no clock, file or network.
// All its types are safe for concurrent use once made.
package policy

import "strings"

// A Scope names one kind of act. The values are those of design.md's tool table.
type Scope string

// UnmarshalYAML takes a scope as people write it. In a list between brackets, image:generate without quotes looks to the reader of YAML
// like a key with its value.
func (s *Scope) UnmarshalYAML(text []byte) error {
	*s = Scope(strings.NewReplacer(" ", "", `"`, "", "'", "", "\n", "").Replace(string(text)))
	return nil
}

// Scopes.
const (
	ImageGenerate Scope = "image:generate"
	ImageRead     Scope = "image:read"
	ImageUpload   Scope = "image:upload"
	JobRead       Scope = "job:read"
	JobCancel     Scope = "job:cancel"
	ModelRead     Scope = "model:read"
	WorkflowRead  Scope = "workflow:read"
	WorkflowRun   Scope = "workflow:run"
	WorkflowWrite Scope = "workflow:write"
	Operate       Scope = "operate"
)

// A Role is a named set of scopes: viewer, operator or admin.
type Role string

// Roles.
const (
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Admin    Role = "admin"
)

// A Kind is a kind of model file, named as the folder it lies in below ComfyUI's models folder.
type Kind string

// Kinds of models.
const (
	Checkpoint     Kind = "checkpoints"
	DiffusionModel Kind = "diffusion_models"
	TextEncoder    Kind = "text_encoders"
	VAE            Kind = "vae"
	LoRA           Kind = "loras"
	Upscaler       Kind = "upscale_models"
	Embedding      Kind = "embeddings"
)

// A Model is one model file that a graph would load.
type Model struct {
	Kind Kind
	Name string // as the server lists it
}

// A Node is one node of the graph that would run.
type Node struct {
	ID     string
	Class  string
	Module string // python_module of the class in the live object_info; empty when unknown
	API    bool   // the class sends data to a paid service (api_node)
	// Inputs are the node's values, as JSON has them, whole numbers of any Go type; [Linked] where another node gives the value.
	// They are judged by a policy file's constraints.
	Inputs map[string]any
}

// A Request is the whole of what a call would do, resolved: what is judged is what runs (POL-07).
type Request struct {
	Principal string
	Role      Role
	Scopes    []Scope
	Method    string // how the caller was recognised
	Transport string // stdio, http, sse
	Now       int64  // Unix seconds of the call
	Tool      string
	Scope     Scope // the tool's
	Models    []Model
	Nodes     []Node
	Width     int            // of one output picture, pixels; 0 where there is none
	Height    int            // likewise
	Count     int            // pictures; of a video every one of its frames
	Frames    int            // pictures that make one video; 0 where none is made
	Steps     int            // sampling steps of one picture, all passes together
	Pixels    int64          // width × height × count of the largest pass
	Cost      float64        // megapixel-steps of the whole job
	Args      map[string]any // the arguments as the tool's schema passed them
}

// A Decision is the verdict on a [Request].
type Decision struct {
	Allowed bool
	Rule    string // id of the deciding rule; never empty
	Reason  string // for the caller; names nothing that a denial must hide
	Policy  string // hash of the rules that judged (POL-03)
}

// A DeniedError is the error form of a denial. Its text is safe to show.
type DeniedError struct{ Decision Decision }

func (e *DeniedError) Error() string {
	return "denied by rule " + e.Decision.Rule + ": " + e.Decision.Reason
}
