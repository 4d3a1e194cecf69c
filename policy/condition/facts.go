package condition

import "cel.dev/cel-go/cel"

// A Type is a type of a fact.
type Type string

// Types, and the Go types of their values.
const (
	Text   Type = "string"
	Whole  Type = "int"          // int64
	Number Type = "double"       // float64
	Truth  Type = "bool"         //
	Texts  Type = "list(string)" // []string
	Tree   Type = "map"          // map[string]any: what JSON may hold, whole numbers as int64
	Time   Type = "timestamp"    // what [Timestamp] returns
)

func (t Type) cel() *cel.Type {
	return map[Type]*cel.Type{
		Text: cel.StringType, Whole: cel.IntType, Number: cel.DoubleType, Truth: cel.BoolType,
		Texts: cel.ListType(cel.StringType), Tree: cel.MapType(cel.StringType, cel.DynType), Time: cel.TimestampType,
	}[t]
}

// A Fact is something that a condition may ask about.
type Fact struct {
	Name string
	Type Type
	Doc  string // for people
}

// Facts returns all of them, in the order in which people read of them.
func Facts() []Fact {
	return []Fact{
		{"principal", Text, "Who calls."},
		{"role", Text, "The caller's role."},
		{"scopes", Texts, "What the caller's role and token allow."},
		{"method", Text, "How the caller was recognised: stdio, loopback, token, basic, oidc, mtls or anonymous."},
		{"transport", Text, "The way in: stdio, http or sse."},
		{"tool", Text, "The tool that is called."},
		{"args", Tree, "The arguments as they were sent, checked against the tool's schema. One that was left out is not there: ask has(args.seed)."},
		{"models", Texts, "Every model file that would be loaded."},
		{"classes", Texts, "Every node class of the graph."},
		{"modules", Texts, "The modules these classes come from."},
		{"nodes", Whole, "Nodes of the graph."},
		{"width", Whole, "Width of one picture; 0 where there is none."},
		{"height", Whole, "Height of one picture."},
		{"count", Whole, "Pictures; of a video every one of its frames."},
		{"frames", Whole, "Pictures that make one video; 0 where none is made."},
		{"steps", Whole, "Sampling steps of one picture, all passes together."},
		{"pixels", Whole, "Pixels of the largest pass, all pictures together."},
		{"cost", Number, "Megapixel-steps of the whole job."},
		{"now", Time, "The time of the call, UTC: now.getHours(\"Europe/Berlin\") >= 22."},
	}
}
