package emulator

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"slices"
	"strconv"
)

// output is what a node gave: its values, and what it shows of them.
type output struct {
	values []any
	ui     *object // nil if it shows nothing
}

// signature tells apart what nodes give: the class, the inputs and all that lies
// upstream, but not the node's id.
type signature [sha256.Size]byte

// cache keeps the outputs of the nodes of the latest prompt, as ComfyUI's default
// cache does. Only the worker uses it.
type cache struct {
	kept  map[signature]*output
	fresh uint64 // makes a signature that no other equals
}

func newCache() *cache { return &cache{kept: map[signature]*output{}} }

func (c *cache) clear() { c.kept = map[signature]*output{} }

// signer computes the signatures of one prompt.
type signer struct {
	cache   *cache
	graph   *object
	changed func(class string, inputs *object) (string, bool)
	done    map[string]signature
	onWay   []string
}

// prepare signs all nodes of a prompt and forgets every output that none of them has.
func (c *cache) prepare(graph *object, changed func(class string, inputs *object) (string, bool)) map[string]signature {
	s := &signer{cache: c, graph: graph, changed: changed, done: map[string]signature{}}
	kept := map[signature]*output{}
	for _, id := range graph.keys {
		sig := s.sign(id)
		if out, ok := c.kept[sig]; ok {
			kept[sig] = out
		}
	}
	c.kept = kept
	return s.done
}

func (s *signer) sign(id string) signature {
	if sig, ok := s.done[id]; ok {
		return sig
	}
	var b bytes.Buffer
	node, there := s.graph.vals[id].(*object)
	inputs, _ := node.get("inputs")
	fields, _ := inputs.(*object)
	class, _ := node.get("class_type")
	name, _ := class.(string)
	mark, stable := s.changed(name, fields)
	if !there || !stable || slices.Contains(s.onWay, id) {
		s.cache.fresh++
		b.WriteString(strconv.FormatUint(s.cache.fresh, 10))
		sig := signature(sha256.Sum256(b.Bytes()))
		s.done[id] = sig
		return sig
	}
	s.onWay = append(s.onWay, id)
	b.WriteString(name + "\x00" + mark)
	if fields != nil {
		for _, key := range slices.Sorted(slices.Values(fields.keys)) {
			b.WriteString("\x00" + key + "\x00")
			if from, slot, isLink := asLink(fields.vals[key]); isLink {
				up := s.sign(from)
				b.Write(up[:])
				b.WriteString(strconv.Itoa(slot))
			} else if err := writePython(&b, fields.vals[key]); err != nil {
				b.WriteString(err.Error())
			}
		}
	}
	s.onWay = s.onWay[:len(s.onWay)-1]
	sig := signature(sha256.Sum256(b.Bytes()))
	s.done[id] = sig
	return sig
}

// asLink reads ["node id", slot].
func asLink(v any) (id string, slot int, ok bool) {
	list, isList := v.([]any)
	if !isList || len(list) != 2 {
		return "", 0, false
	}
	id, isText := list[0].(string)
	n, err := toInt(list[1])
	if _, isText := list[1].(string); !isText && err == nil && n.IsInt64() && n.CmpAbs(big.NewInt(1<<20)) < 0 {
		slot = int(n.Int64())
	}
	return id, slot, isText
}
