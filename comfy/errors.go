package comfy

import (
	"errors"
	"strconv"
	"strings"
)

// Errors of every call; test with errors.Is.
var (
	ErrURL         = errors.New("comfyui's URL is not usable")        // of New; says why
	ErrUnreachable = errors.New("comfyui does not answer")            // no connection, or none that lasted; wraps the cause
	ErrInsecure    = errors.New("clear text to a remote host")        // INSECURE_TRANSPORT
	ErrAuth        = errors.New("comfyui refused the credentials")    // 401 or 403; UPSTREAM_AUTH_FAILED
	ErrRedirect    = errors.New("comfyui redirects to another place") // UPSTREAM_REDIRECT
	ErrProtocol    = errors.New("comfyui's answer is not understood") // wrong type, bad JSON, too deep
	ErrOutOfMemory = errors.New("comfyui is out of memory")           // an ExecutionError that Is this
	ErrNotFound    = errors.New("comfyui has no such file")           // of View (CLIENT-FAIL-9)
	ErrClosed      = errors.New("the comfyui client is closed")
	ErrTooMany     = errors.New("too many runs at one comfyui") // of Submit; see maxRuns
)

// A RejectedError is a 400 of POST /prompt, or a 200 with node errors (CLIENT-PROMPT-1, 2; CLIENT-FAIL-16). It is permanent
// (CLIENT-FAIL-24).
type RejectedError struct {
	Type, Message, Details string
	Nodes                  []NodeFault // sorted by node id; texts as sent, cut to 300 characters each, at most 20
}

// A NodeFault is one fault of one node.
type NodeFault struct {
	Node, Class, Input     string
	Type, Message, Details string
	Received               string // JSON of the value, cut to 100 characters
}

func (e *RejectedError) Error() string { return "comfyui rejects the graph: " + e.Type }

// An ExecutionError is a run that failed at the server. Message is the exception's, unsanitised but for control characters:
// it may hold paths and is for the log; the caller's text is made elsewhere (CLIENT-WS-4, SC-61).
type ExecutionError struct {
	Node, Class        string
	Exception, Message string
}

func (e *ExecutionError) Error() string { return "node " + e.Class + " failed: " + e.Exception }

// Is reports whether target is [ErrOutOfMemory] and e says so (CLIENT-FAIL-11). Not every backend of torch has a type for it.
func (e *ExecutionError) Is(target error) bool {
	if target != ErrOutOfMemory {
		return false
	}
	if strings.HasSuffix(e.Exception, "OutOfMemoryError") || e.Exception == "OOMError" || e.Exception == "MemoryError" {
		return true
	}
	m := strings.ToLower(e.Message)
	return e.Exception == "RuntimeError" && (strings.Contains(m, "out of memory") || strings.Contains(m, "can't allocate memory"))
}

// A TooLargeError says that an answer passed its bound (UPSTREAM_RESPONSE_TOO_LARGE).
type TooLargeError struct {
	What  string
	Limit int64 // bytes, or items of a list
}

func (e *TooLargeError) Error() string { return e.What + " is larger than allowed" }

// A StatusError is an answer that is none of the others: what was asked for was not done. Text is the server's, cut and cleaned,
// for the log (CLIENT-HTTP-3, CLIENT-FAIL-15).
type StatusError struct {
	Status int
	Text   string
	json   bool
}

func (e *StatusError) Error() string { return "comfyui answers with status " + strconv.Itoa(e.Status) }
