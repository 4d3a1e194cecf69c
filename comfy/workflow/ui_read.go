package workflow

import (
	"encoding/json"
	"strconv"
)

// readUI reads a document in the editor's format. Keys that say nothing about what is run are not looked at.
func readUI(doc map[string]any) (*UI, error) {
	ui := &UI{subs: map[string]*subgraph{}}
	var err error
	if ui.top, err = readLevel(doc); err != nil {
		return nil, err
	}
	if err := ui.define(doc); err != nil {
		return nil, err
	}
	return ui, ui.measure()
}

// define reads the subgraphs that a document or a subgraph defines.
func (ui *UI) define(doc map[string]any) error {
	definitions, err := optional[map[string]any](doc, "definitions", "an object")
	if err != nil {
		return err
	}
	list, err := optional[[]any](definitions, "subgraphs", "a list")
	if err != nil {
		return err
	}
	for _, v := range list {
		object, ok := v.(map[string]any)
		if !ok {
			return bad("a subgraph is not an object")
		}
		s, err := readSubgraph(object)
		if err != nil {
			return err
		}
		if ui.subs[s.id] != nil {
			return bad("the subgraph %s is there twice", short(s.id))
		}
		if len(ui.subs) == maxSubgraphs {
			return bad("the workflow has more than %d subgraphs", maxSubgraphs)
		}
		ui.subs[s.id] = s
		if err := ui.define(object); err != nil {
			return err
		}
	}
	return nil
}

func readSubgraph(object map[string]any) (*subgraph, error) {
	s := &subgraph{}
	var err error
	if s.id, err = optional[string](object, "id", "a text"); err != nil || s.id == "" || len(s.id) > 100 {
		return nil, bad("a subgraph has no id")
	}
	if s.name, err = optional[string](object, "name", "a text"); err != nil {
		return nil, err
	}
	if s.level, err = readLevel(object); err != nil {
		return nil, err
	}
	if s.inputs, err = readPorts(object, "inputs"); err != nil {
		return nil, err
	}
	s.slots = make(map[string]int, len(s.inputs))
	for i, in := range s.inputs {
		if _, doubled := s.slots[in.name]; !doubled {
			s.slots[in.name] = i
		}
	}
	s.outputs, err = readPorts(object, "outputs")
	return s, err
}

func readLevel(doc map[string]any) (*level, error) {
	l := &level{byID: map[string]*uiNode{}, links: map[string]uiLink{}, ends: map[int]uiLink{}}
	nodes, err := optional[[]any](doc, "nodes", "a list")
	if err != nil {
		return nil, err
	}
	for _, v := range nodes {
		n, err := readNode(v)
		if err != nil {
			return nil, err
		}
		if l.byID[n.id] != nil {
			return nil, bad("the node %s is there twice", short(n.id))
		}
		if len(l.nodes) == MaxGraphNodes {
			return nil, bad("the workflow has more than %d nodes", MaxGraphNodes)
		}
		l.nodes, l.byID[n.id] = append(l.nodes, n), n
	}
	links, err := optional[[]any](doc, "links", "a list")
	if err != nil {
		return nil, err
	}
	for _, v := range links {
		if v == nil { // which old editors left where a link was taken away
			continue
		}
		if err := l.readLink(v); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// readLink reads [id, from, slot, to, slot, type] or {id, origin_id, origin_slot, target_id, target_slot, type}.
func (l *level) readLink(v any) error {
	var parts []any
	switch v := v.(type) {
	case []any:
		parts = v
	case map[string]any:
		parts = []any{v["id"], v["origin_id"], v["origin_slot"], v["target_id"], v["target_slot"]}
	}
	if len(parts) < 5 {
		return bad("a link is not [id, from, slot, to, slot, type]")
	}
	id, from, to := identifier(parts[0]), identifier(parts[1]), identifier(parts[3])
	fromSlot, ok := slotOf(parts[2])
	toSlot, ok2 := slotOf(parts[4])
	if id == "" || from == "" || to == "" || !ok || !ok2 {
		return bad("a link is not of whole numbers: [id, from, slot, to, slot, type]")
	}
	link := uiLink{from, fromSlot, to, toSlot}
	if before, doubled := l.links[id]; doubled && before != link {
		return bad("the link %s is there twice", short(id))
	}
	l.links[id] = link
	if to == outputSide {
		l.ends[toSlot] = link
	}
	return nil
}

func readNode(v any) (*uiNode, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, bad("a node is not an object")
	}
	n := &uiNode{id: identifier(object["id"])}
	if n.id == "" || n.id[0] == '-' {
		return nil, bad("a node's id is neither a whole number from 0 nor a short name")
	}
	if n.class, ok = object["type"].(string); !ok || n.class == "" {
		return nil, bad("node %s has no type", short(n.id))
	}
	var err error
	if n.title, err = optional[string](object, "title", "a text"); err != nil {
		return nil, err
	}
	if mode := object["mode"]; mode != nil {
		if n.mode, ok = slotOf(mode); !ok {
			return nil, bad("node %s: mode is not a whole number from 0", short(n.id))
		}
	}
	if err := n.readSockets(object); err != nil {
		return nil, err
	}
	if err := n.readValues(object); err != nil {
		return nil, err
	}
	n.readProperties(object)
	return n, nil
}

func (n *uiNode) readSockets(object map[string]any) error {
	list, err := optional[[]any](object, "inputs", "a list")
	if err != nil {
		return err
	}
	for _, v := range list {
		socket, ok := v.(map[string]any)
		if !ok {
			return bad("node %s: an input is not an object", short(n.id))
		}
		in := uiInput{uiPort: readPort(socket), widget: socket["widget"] != nil}
		if socket["link"] != nil {
			if in.link = identifier(socket["link"]); in.link == "" {
				return bad("node %s: the input %s has a link that is not a whole number", short(n.id), short(in.name))
			}
		}
		if n.inputAt == nil {
			n.inputAt = make(map[string]int, len(list))
		}
		if _, doubled := n.inputAt[in.name]; !doubled {
			n.inputAt[in.name] = len(n.inputs)
		}
		n.inputs = append(n.inputs, in)
	}
	n.outputs, err = readPorts(object, "outputs")
	return err
}

func (n *uiNode) readValues(object map[string]any) error {
	switch v := object["widgets_values"].(type) {
	case nil:
		n.named, _ = object["widgets_values_named"].(map[string]any)
	case []any:
		n.values = v
	case map[string]any:
		n.named = v
	default:
		return bad("node %s: widgets_values is neither a list nor an object", short(n.id))
	}
	return nil
}

// readProperties reads what is of use. Properties are the editor's and its extensions' own, so what is not as expected is not looked at.
func (n *uiNode) readProperties(object map[string]any) {
	properties, _ := object["properties"].(map[string]any)
	for _, key := range []string{"cnr_id", "aux_id"} {
		if name, ok := properties[key].(string); ok && n.origin == "" {
			n.origin = cut(name)
		}
	}
	shown, _ := properties["proxyWidgets"].([]any)
	for _, v := range shown {
		pair, _ := v.([]any)
		var p proxy
		if len(pair) >= 2 {
			p.node = identifier(pair[0])
			p.widget, _ = pair[1].(string)
		}
		n.proxies = append(n.proxies, p) // also what is not understood: the place tells the value
	}
	kept, _ := properties["proxyWidgetErrorQuarantine"].([]any)
	for _, v := range kept {
		entry, _ := v.(map[string]any)
		pair, _ := entry["originalEntry"].([]any)
		if len(pair) < 2 || identifier(pair[0]) != "-1" || entry["hostValue"] == nil {
			continue
		}
		if name, ok := pair[1].(string); ok {
			if n.hosted == nil {
				n.hosted = map[string]any{}
			}
			n.hosted[name] = entry["hostValue"]
		}
	}
	models, _ := properties["models"].([]any)
	for _, v := range models {
		entry, _ := v.(map[string]any)
		name, _ := entry["name"].(string)
		folder, _ := entry["directory"].(string)
		url, _ := entry["url"].(string)
		if name != "" && folder != "" {
			n.files = append(n.files, ModelFileHint{Name: name, Folder: folder, URL: url})
		}
	}
}

func readPorts(object map[string]any, key string) ([]uiPort, error) {
	list, err := optional[[]any](object, key, "a list")
	if err != nil {
		return nil, err
	}
	ports := make([]uiPort, 0, len(list))
	for _, v := range list {
		port, ok := v.(map[string]any)
		if !ok {
			return nil, bad("%s holds what is not an object", key)
		}
		ports = append(ports, readPort(port))
	}
	return ports, nil
}

func readPort(object map[string]any) uiPort {
	var p uiPort
	p.name, _ = object["name"].(string)
	p.label, _ = object["label"].(string)
	p.kind, _ = object["type"].(string)
	links, _ := object["linkIds"].([]any)
	for _, v := range links {
		p.links = append(p.links, identifier(v))
	}
	return p
}

// optional returns the member of an object that may be absent or null; want says what it must be otherwise.
func optional[T any](object map[string]any, key, want string) (T, error) {
	v, ok := object[key].(T)
	if !ok && object[key] != nil {
		return v, bad("%s is not %s", key, want)
	}
	return v, nil
}

// identifier returns an id as text: whole numbers of up to 15 digits, and short names of plain letters; empty for anything else.
func identifier(v any) string {
	switch v := v.(type) {
	case json.Number:
		if _, err := strconv.ParseInt(v.String(), 10, 64); err == nil && len(v) <= 15 {
			return v.String()
		}
	case string:
		if len(v) == 0 || len(v) > 64 {
			return ""
		}
		for _, c := range []byte(v) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				return ""
			}
		}
		return v
	}
	return ""
}

// slotOf returns a small whole number, as slots and modes are. A slot may be written as text.
func slotOf(v any) (int, bool) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= MaxGraphNodes
}
