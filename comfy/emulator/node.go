package emulator

import (
	"fmt"
	"math/big"
)

// node is what a class of nodes does.
type node struct {
	// run returns the values of the outputs, in their order.
	run func(*call) ([]any, error)

	// changed returns what else than its inputs a node depends on, and false if
	// its outputs are never to be reused. It may be nil.
	changed func(s *Server, inputs *object) (string, bool)

	// validate looks at inputs that validation itself does not. It may be nil.
	validate func(s *Server, inputs *object) (*object, *pyError)
}

// nodeRow is a class and what it does.
type nodeRow struct {
	class string
	node
}

// allNodes is the table of classes. One that a version does not have is not in
// its /object_info and is refused there.
func allNodes() map[string]node {
	table := map[string]node{}
	for _, rows := range [][]nodeRow{
		loaderNodes(), textNodes(), conditioningNodes(), patchNodes(),
		latentNodes(), samplingNodes(), vaeNodes(),
		imageNodes(), imageFilterNodes(), maskNodes(), fileNodes(), mediaNodes(), primitiveNodes(),
	} {
		for _, r := range rows {
			table[r.class] = r.node
		}
	}
	return table
}

// row makes a table row of a class that is just a function.
func row(class string, f func(*call) ([]any, error)) nodeRow { return nodeRow{class, node{run: f}} }

// changed is IS_CHANGED of a class.
func (s *Server) changed(class string, inputs *object) (string, bool) {
	if f := s.nodes[class].changed; f != nil {
		return f(s, inputs)
	}
	return "", true
}

// call is one run of one node.
type call struct {
	run    *run
	server *Server
	node   node
	info   *nodeInfo
	id     string
	class  string
	raw    *object        // inputs as they stand in the graph
	inputs map[string]any // what they come to
	ui     *object        // what the node shows, nil for nothing
	err    error          // the first input that was not what the node needs
}

func (r *run) newCall(id string) *call {
	n, _ := r.job.graph.vals[id].(*object)
	class, _ := n.get("class_type")
	raw, _ := n.get("inputs")
	c := &call{run: r, server: r.server, id: id, inputs: map[string]any{}}
	c.class, _ = class.(string)
	c.raw, _ = raw.(*object)
	c.node, c.info = r.server.nodes[c.class], r.server.infos[c.class]
	return c
}

// resolve follows the links of the inputs.
func (c *call) resolve() error {
	if c.raw == nil {
		return nil
	}
	for i := range c.info.inputs {
		name := c.info.inputs[i].name
		v, given := c.raw.get(name)
		if !given {
			continue
		}
		from, slot, isLink := asLink(v)
		if !isLink {
			c.inputs[name] = v
			continue
		}
		out := c.run.cache.kept[c.run.sigs[from]]
		if out == nil {
			return &pyError{"KeyError", pyRepr(from)}
		}
		if slot < 0 {
			slot += len(out.values)
		}
		if slot < 0 || slot >= len(out.values) {
			return &pyError{"IndexError", "list index out of range"}
		}
		c.inputs[name] = out.values[slot]
	}
	return nil
}

// shownInputs are the inputs as an execution_error shows them.
func (c *call) shownInputs() *object {
	out := obj()
	if c.raw != nil {
		for _, name := range c.raw.keys {
			if v, ok := c.inputs[name]; ok {
				out.set(name, []any{shownValue(v)})
			}
		}
	}
	order, _ := c.info.raw.get("input_order")
	groups, _ := order.(*object)
	names, _ := groups.get("hidden")
	list, _ := names.([]any)
	for _, name := range list {
		key, _ := name.(string)
		var v any
		switch key {
		case "prompt":
			v = pyRepr(c.run.job.graph)
		case "extra_pnginfo":
			if info, ok := c.run.job.extra.get("extra_pnginfo"); ok && info != nil {
				v = pyStr(info)
			}
		case "unique_id":
			v = c.id
		}
		out.set(key, []any{v})
	}
	return out
}

// shownValue is a value as Python would print it; what has no Python form is
// named by its kind.
func shownValue(v any) any {
	switch v := v.(type) {
	case nil, bool, string, *big.Int, pyFloat:
		return v
	case []*raster, []*mask:
		return "tensor(...)"
	default:
		return fmt.Sprintf("<%T object>", v)
	}
}

// take returns an input of a type; a zero one, and an error for the call, if it
// is of another.
func take[T any](c *call, name string) T {
	v, ok := c.inputs[name].(T)
	if !ok && c.err == nil {
		c.err = &pyError{"TypeError", fmt.Sprintf("%s.%s: unsupported value", c.class, name)}
	}
	return v
}

// given says whether an input is there.
func (c *call) given(name string) bool { return c.inputs[name] != nil }

// number returns an INT input, cut to what an int holds.
func (c *call) number(name string) int {
	i, err := toInt(c.inputs[name])
	if err != nil {
		c.spoil(name)
		return 0
	}
	const bound = 1 << 40
	if i.CmpAbs(big.NewInt(bound)) > 0 {
		return bound * i.Sign()
	}
	return int(i.Int64())
}

// seed returns an INT input as 64 bits.
func (c *call) seed(name string) uint64 {
	i, err := toInt(c.inputs[name])
	if err != nil {
		c.spoil(name)
		return 0
	}
	return new(big.Int).And(i, new(big.Int).SetUint64(1<<64-1)).Uint64()
}

// float returns a FLOAT input.
func (c *call) float(name string) float64 {
	f, err := toFloat(c.inputs[name])
	if err != nil {
		c.spoil(name)
	}
	return float64(f)
}

// text returns a STRING or combo input.
func (c *call) text(name string) string { return pyStr(c.inputs[name]) }

// truth returns a BOOLEAN input.
func (c *call) truth(name string) bool { return pyTrue(c.inputs[name]) }

func (c *call) spoil(name string) {
	if c.err == nil {
		c.err = &pyError{"TypeError", fmt.Sprintf("%s.%s: unsupported value", c.class, name)}
	}
}

// maxPixels bounds the pictures that one job makes, all together.
const maxPixels = 96 << 20

// reserve counts pictures before they are made. Too many are what a machine
// without that memory says.
func (c *call) reserve(w, h, n int) error {
	if w <= 0 || h <= 0 || n <= 0 {
		return &pyError{"RuntimeError", fmt.Sprintf("invalid shape [%d, %d, %d, 3]", n, h, w)}
	}
	left := maxPixels - c.run.pixels
	if int64(w) > left/int64(h) || int64(w)*int64(h) > left/int64(n) {
		size := new(big.Int).Mul(big.NewInt(int64(w)*4), big.NewInt(int64(h)))
		size.Mul(size, big.NewInt(int64(n)))
		return &pyError{"RuntimeError", "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: " +
			"can't allocate memory: you tried to allocate " + size.String() + " bytes. " +
			"Error code 12 (Cannot allocate memory)"}
	}
	c.run.pixels += int64(w) * int64(h) * int64(n)
	return nil
}

// alive fails once the server stops; long work asks it now and then.
func (c *call) alive() error {
	select {
	case <-c.run.stop:
		return errStopped
	default:
		return nil
	}
}
