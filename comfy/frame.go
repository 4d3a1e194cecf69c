package comfy

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
)

// An event is one text message of the server about one prompt, or its status message, which is about none.
type event struct {
	kind   string
	prompt string
	node   string // as shown to people (CLIENT-WS-10); empty in the last executing
	value  float64
	max    float64
	nodes  map[string]nodeProgress // of progress_state
	cached []string                // of execution_cached
	fault  executionFault          // of execution_error
	files  []Output                // of executed
}

type nodeProgress struct {
	Value   float64 `json:"value"`
	Max     float64 `json:"max"`
	State   string  `json:"state"`
	Display string  `json:"display_node_id"`
}

// executionFault is how the server tells of a failed run, on the socket, in the history and in the jobs API. The traceback and
// the inputs that come with it are not read (CLIENT-WS-4).
type executionFault struct {
	NodeID    string `json:"node_id"`
	NodeType  string `json:"node_type"`
	Exception string `json:"exception_type"`
	Message   string `json:"exception_message"`
}

// maxEventNodes bounds what one progress_state or execution_cached is believed to say.
const maxEventNodes = 4096

// A message is a text message as it comes, read in one pass: each kind has some of these fields.
type message struct {
	Type string `json:"type"`
	Data struct {
		Prompt  string          `json:"prompt_id"`
		Node    string          `json:"node"`
		Display string          `json:"display_node"`
		Value   float64         `json:"value"`
		Max     float64         `json:"max"`
		Nodes   json.RawMessage `json:"nodes"`
		Output  json.RawMessage `json:"output"`
		executionFault
	} `json:"data"`
}

// parseEvent reads a text message. It reports false for what is not understood and for kinds that concern no run: those of custom
// nodes, of Comfy Cloud, of the assets (CLIENT-WS-3).
func parseEvent(data []byte) (event, bool) {
	var m message
	err := decode(data, &m)
	e := event{kind: m.Type}
	switch m.Type {
	case "status":
		return e, true // that the queue has changed; what it says of it does not matter
	case "execution_start", "execution_success", "execution_interrupted", "execution_error", "executing", "progress", "progress_state",
		"execution_cached", "executed":
	default:
		return event{}, false
	}
	d := &m.Data
	if err != nil || d.Prompt == "" {
		return event{}, false
	}
	e.prompt, e.value, e.max, e.fault = d.Prompt, d.Value, d.Max, d.executionFault
	e.node = orDefault(d.Display, d.Node)
	switch m.Type {
	case "progress_state":
		return e, json.Unmarshal(d.Nodes, &e.nodes) == nil && len(e.nodes) <= maxEventNodes
	case "executed":
		var made map[string]json.RawMessage
		if json.Unmarshal(d.Output, &made) == nil { // of other shapes we know nothing
			e.files = outputs{d.Node: made}.files()
		}
	case "execution_cached":
		return e, json.Unmarshal(d.Nodes, &e.cached) == nil && len(e.cached) <= maxEventNodes
	}
	return e, true
}

// blocked reports an execution_error that does not end the run (CLIENT-FAIL-23).
func (f executionFault) blocked() bool { return f.Exception == "ExecutionBlocked" }

// A preview is a picture of a run under way.
type preview struct {
	prompt string
	mime   string
	image  []byte // part of the frame
}

const previewWithMetadata = 4 // the only binary event that names its prompt (CLIENT-WS-6)

// parsePreview reads a binary frame (CLIENT-WS-5); false for any other and for what is not the picture it says it is.
func parsePreview(frame []byte) (preview, bool) {
	if len(frame) < 8 || binary.BigEndian.Uint32(frame) != previewWithMetadata {
		return preview{}, false
	}
	n := binary.BigEndian.Uint32(frame[4:])
	rest := frame[8:]
	if uint64(n) > uint64(len(rest)) {
		return preview{}, false
	}
	var meta struct {
		Prompt string `json:"prompt_id"`
		MIME   string `json:"image_type"`
	}
	if decode(rest[:n], &meta) != nil || meta.Prompt == "" {
		return preview{}, false
	}
	p := preview{prompt: meta.Prompt, mime: meta.MIME, image: rest[n:]}
	magic, ok := map[string]string{"image/jpeg": "\xff\xd8\xff", "image/png": "\x89PNG\r\n\x1a\n"}[p.mime]
	return p, ok && bytes.HasPrefix(p.image, []byte(magic))
}
