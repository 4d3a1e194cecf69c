package comfy

import "context"

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
	Options  []string // of a COMBO, or the keys of a COMFY_DYNAMICCOMBO_V3; non-string options are left out
	Default  any      // JSON value, numbers as json.Number; nil when there is none
	Min, Max *float64
	Step     float64
	Upload   bool // image_upload: names a file of the input folder
	Dynamic  bool // a combo the server fills itself, not to be checked

	// What the editor makes of the input, which tells how to read what it saves.
	Widget  bool               // it has a value of its own there, not only a socket
	Control bool               // control_after_generate: the editor changes the value after each run
	Media   bool               // it names a picture, video, sound or model that the editor uploads
	Choices map[string][]Input // of a COMFY_DYNAMICCOMBO_V3: the inputs that each option brings, by its key; at most 4 levels
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

// ObjectInfo returns the server's node classes, from a cache (60 s, also for concurrent callers; Forget empties it). A class that
// is not understood, as a custom node may be, is left out.
func (c *Client) ObjectInfo(ctx context.Context) (*ObjectInfo, error) {
	return c.classes.get(ctx, "", func(ctx context.Context) (*ObjectInfo, error) {
		raw, err := askJSON[rawInfo](ctx, c, nil, "object_info")
		if err != nil {
			return nil, err
		}
		return readClasses(raw), nil
	})
}

// Class returns one node class, or nil for one that the server does not have (CLIENT-INFO-3). It is much cheaper than ObjectInfo
// where that is not at hand (CLIENT-INFO-1); cached in the same way.
func (c *Client) Class(ctx context.Context, name string) (*Class, error) {
	if name == "" || len(name) > 256 {
		return nil, nil
	}
	return c.single.get(ctx, name, func(ctx context.Context) (*Class, error) {
		raw, err := askJSON[rawInfo](ctx, c, nil, "object_info", name)
		if err != nil {
			return nil, err
		}
		return readClasses(raw).Classes[name], nil
	})
}
