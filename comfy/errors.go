package comfy

import "errors"

// Errors of every call; test with errors.Is.
var (
	ErrUnreachable = errors.New("comfyui does not answer")            // no connection; wraps the cause
	ErrInsecure    = errors.New("clear text to a remote host")        // INSECURE_TRANSPORT
	ErrAuth        = errors.New("comfyui refused the credentials")    // 401 or 403; UPSTREAM_AUTH_FAILED
	ErrRedirect    = errors.New("comfyui redirects to another place") // UPSTREAM_REDIRECT
	ErrProtocol    = errors.New("comfyui's answer is not understood") // wrong type, bad JSON, too deep
	ErrOutOfMemory = errors.New("comfyui is out of memory")           // an ExecutionError that Is this
)

// A RejectedError is a 400 of POST /prompt, or a 200 with node errors (CLIENT-PROMPT-1, 2; CLIENT-FAIL-16).
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

// An ExecutionError is a run that failed at the server. Message is the exception's, unsanitised:
// it may hold paths and is for the log; the caller's text is made elsewhere (CLIENT-WS-4, SC-61).
type ExecutionError struct {
	Node, Class        string
	Exception, Message string
}

func (e *ExecutionError) Error() string { return "node " + e.Class + " failed: " + e.Exception }

// A TooLargeError says that an answer passed its bound (UPSTREAM_RESPONSE_TOO_LARGE).
type TooLargeError struct {
	What  string
	Limit int64 // bytes
}

func (e *TooLargeError) Error() string { return e.What + " is larger than allowed" }
