package mcpserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// An envelope is what is read of a message before mcp-go reads it: enough to route, bind and refuse it.
type envelope struct {
	id       json.RawMessage // as written; nil for a notification
	method   string          // empty for a response
	version  string          // of the protocol, where params._meta names it
	tool     string          // params.name of tools/call
	uri      string          // params.uri of resources/read
	args     json.RawMessage // params.arguments, as written
	meta     json.RawMessage // params._meta, likewise
	more     bool            // params has more than name, arguments and _meta
	target   json.RawMessage // params.requestId of notifications/cancelled, as written
	progress bool            // params._meta has a progress token
}

func (e envelope) modern() bool   { return mcp.IsModernProtocol(e.version) }
func (e envelope) response() bool { return e.method == "" }

// A protocolError is a refusal in the terms of JSON-RPC.
type protocolError struct {
	code   int
	status int             // of HTTP
	id     json.RawMessage // of the request; nil where it could not be told
	text   string
	data   any
}

func (e *protocolError) Error() string { return e.text }

// MarshalJSON makes the response. Without an id there is none, rather than null (MCP-01).
func (e *protocolError) MarshalJSON() ([]byte, error) {
	type details struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	}
	return json.Marshal(struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id,omitempty"`
		Error   details         `json:"error"`
	}{"2.0", e.id, details{e.code, e.text, e.data}})
}

func invalid(text string) *protocolError {
	return &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusBadRequest, text: text}
}

const (
	maxKeys = 64  // of the objects whose keys mean something
	maxID   = 128 // characters
	maxSafe = 1<<53 - 1
	maxURI  = 2048 // characters
)

// toolName is what a tool's name may be in MCP; an unknown one is echoed, so nothing else passes.
var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

// readEnvelope reads a message strictly (MCP-07, T07, T08, T13): exact keys, none twice, one object and nothing behind it.
// What lies deeper is checked for its syntax only. mcp-go reads keys in any case and takes the last of two, so that what is judged here
// and what is served there could differ (BUG-16).
func readEnvelope(b []byte) (envelope, *protocolError) {
	var e envelope
	s := &scanner{b: b}
	if s.peek() == '[' {
		return e, invalid("batches are not supported: send one message at a time")
	}
	var shape struct{ version, result bool }
	top := newKeys("the message", "jsonrpc", "id", "method", "params", "result", "error")
	err := s.object(func(key string) error {
		if err := top.add(key); err != nil {
			return err
		}
		switch key {
		case "jsonrpc":
			v, err := s.raw()
			shape.version = string(v) == `"2.0"`
			return err
		case "id":
			return e.readID(s)
		case "method":
			if s.peek() != '"' {
				return invalid("method must be a string")
			}
			var err error
			e.method, err = s.str()
			return err
		case "params":
			return e.readParams(s)
		case "result", "error":
			shape.result = true
		}
		return s.skip()
	})
	if err == nil {
		err = s.end()
	}
	if fault := asProtocolError(err); fault != nil {
		fault.id = e.id
		return e, fault
	}
	var fault *protocolError
	switch {
	case !shape.version:
		fault = invalid(`jsonrpc must be "2.0"`)
	case e.method == "" && (!shape.result || e.id == nil):
		fault = invalid("a message has a method, or an id with a result or an error")
	case e.method != "" && shape.result:
		fault = invalid("a message has either a method or a result")
	default:
		return e, e.check()
	}
	fault.id = e.id
	return e, fault
}

func asProtocolError(err error) *protocolError {
	if err == nil {
		return nil
	}
	if fault, ok := errors.AsType[*protocolError](err); ok {
		return fault
	}
	return &protocolError{code: mcp.PARSE_ERROR, status: http.StatusBadRequest, text: "the message is not valid JSON: " + err.Error()}
}

func (e *envelope) check() *protocolError {
	var fault *protocolError
	switch {
	case e.method == string(mcp.MethodToolsCall) && !toolName.MatchString(e.tool):
		fault = &protocolError{
			code: mcp.INVALID_PARAMS, status: http.StatusBadRequest,
			text: "params.name must be a tool's name: 1 to 128 letters, digits, _ . or -",
		}
	case strings.HasPrefix(e.method, "tasks/"):
		fault = &protocolError{ // BUG-22
			code: mcp.METHOD_NOT_FOUND, status: http.StatusNotFound,
			text: "tasks are not supported: ask for a job with the tool status",
		}
	case e.method == string(mcp.MethodSubscriptionsListen) && e.id == nil:
		fault = invalid("subscriptions/listen needs an id")
	case e.method == string(mcp.MethodNotificationCancelled) && e.id != nil: // it would wait for an answer
		fault = invalid("notifications/cancelled takes no id")
	default:
		return nil
	}
	fault.id = e.id
	return fault
}

func (e *envelope) readID(s *scanner) error {
	const want = "id must be a string of at most 128 characters or an integer within ±(2^53 − 1)"
	c := s.peek()
	v, err := s.raw()
	if err != nil {
		return err
	}
	switch {
	case c == '"' && len(v) <= maxID+2:
	case c == '-' || '0' <= c && c <= '9':
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || n > maxSafe || n < -maxSafe { // mcp-go would answer another id
			return invalid(want)
		}
	default:
		return invalid(want)
	}
	e.id = v
	return nil
}

func (e *envelope) readParams(s *scanner) error {
	if s.peek() != '{' {
		return invalid("params must be an object")
	}
	params := newKeys("params", "name", "arguments", "uri", "_meta", "requestId", "cursor", "protocolVersion", "capabilities",
		"clientInfo", "notifications", "task", "level", "ref", "argument", "inputResponses", "requestState")
	return s.object(func(key string) error {
		if err := params.add(key); err != nil {
			return err
		}
		switch key {
		case "name":
			if s.peek() == '"' {
				var err error
				e.tool, err = s.str()
				return err
			}
		case "arguments":
			var err error
			e.args, err = s.raw()
			return err
		case "_meta":
			return e.readMeta(s)
		}
		e.more = true
		switch key {
		case "uri":
			return e.readURI(s)
		case "requestId":
			var err error
			e.target, err = s.raw()
			return err
		}
		return s.skip()
	})
}

func (e *envelope) readURI(s *scanner) error {
	text := s.peek() == '"'
	v, err := s.raw()
	if err != nil {
		return err
	}
	if len(v) > maxURI {
		return invalid(fmt.Sprintf("params.uri has more than %d characters", maxURI))
	}
	if text {
		return json.Unmarshal(v, &e.uri)
	}
	return nil
}

func (e *envelope) readMeta(s *scanner) error {
	if s.peek() != '{' {
		e.more = true
		return s.skip()
	}
	meta := newKeys("params._meta", "progressToken", mcp.MetaKeyProtocolVersion, mcp.MetaKeyClientCapabilities, mcp.MetaKeyClientInfo)
	start := s.i
	defer func() { e.meta = s.b[start:s.i] }()
	return s.object(func(key string) error {
		if err := meta.add(key); err != nil {
			return err
		}
		switch {
		case key == mcp.MetaKeyProtocolVersion && s.peek() == '"':
			var err error
			e.version, err = s.str()
			return err
		case key == "progressToken":
			v, err := s.raw()
			if err == nil && len(v) > maxID+2 {
				return invalid("params._meta.progressToken has more than 128 characters")
			}
			e.progress = true
			return err
		}
		return s.skip()
	})
}

// keys are those of one object that have been read.
type keys struct {
	of    string
	known []string
	seen  []string
}

func newKeys(of string, known ...string) *keys { return &keys{of: of, known: known} }

func (k *keys) add(key string) error {
	if len(k.seen) == maxKeys {
		return invalid(fmt.Sprintf("%s has more than %d keys", k.of, maxKeys))
	}
	if slices.Contains(k.seen, key) {
		return invalid(fmt.Sprintf("%s has %s twice", k.of, strconv.Quote(clean(key, 40))))
	}
	for _, known := range k.known {
		if key != known && strings.EqualFold(key, known) {
			return invalid(fmt.Sprintf("%s has the key %s: write %s", k.of, strconv.Quote(clean(key, 40)), known))
		}
	}
	k.seen = append(k.seen, key)
	return nil
}
