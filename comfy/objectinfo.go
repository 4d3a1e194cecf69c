package comfy

// ObjectInfo describes the server's node classes, with both combo shapes read alike (CLIENT-INFO-2). Immutable.
type ObjectInfo struct {
	Classes map[string]*Class
}

// A Class is one node class.
type Class struct {
	Name, DisplayName, Description, Category  string
	Module                                    string  // python_module: nodes, comfy_extras.…, custom_nodes.…
	Inputs                                    []Input // required first, each in input_order
	Outputs                                   []Port
	OutputNode, API, Deprecated, Experimental bool
}

// An Input is one input of a class. Type is INT, FLOAT, STRING, BOOLEAN, COMBO, or the type of a link.
type Input struct {
	Name     string
	Type     string
	Required bool
	Options  []string // of a COMBO; non-string options are left out
	Default  any      // JSON value, numbers as json.Number; nil when there is none
	Min, Max *float64
	Step     float64
	Upload   bool // image_upload: names a file of the input folder
	Dynamic  bool // a combo the server fills itself, not to be checked
}

// A Port is one output of a class.
type Port struct {
	Name, Type string
	List       bool
}

// Input returns the input called name, or nil.
func (c *Class) Input(name string) *Input {
	for i := range c.Inputs {
		if c.Inputs[i].Name == name {
			return &c.Inputs[i]
		}
	}
	return nil
}
