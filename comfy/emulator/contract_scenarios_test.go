package emulator_test

import "encoding/json"

// step is one thing that the recorder sent or received.
type step struct {
	Send, Recv, Socket, Note string

	Method, Path string
	Query        map[string]string
	Headers      map[string]string
	JSON         json.RawMessage
	Text         *string
	Form         []formPart

	ClientID string `json:"client_id"`

	Status     int
	Bytes      *json.Number
	Event      int
	Format     *int
	Metadata   map[string]any
	ImageMagic string `json:"image_magic"`
}

type formPart struct {
	Name, Value, Filename string
	ContentType           string `json:"content_type"`
	Bytes                 int
}

// scenario is one recording, and how the emulator must be set up to repeat it.
type scenario struct {
	name   string
	faults []string // what makes the emulator as slow as the recorded server was
	timing bool     // how many steps are reported between two actions is chance
	apart  bool     // and so is where the frames of the queue fall between those of the job
}

// scenarios are all recordings, in the order in which they were made: what is
// cached in one comes from the one before.
func scenarios() []scenario {
	return []scenario{
		{name: "txt2img"},
		{name: "txt2img-all-cached"},
		{name: "txt2img-part-cached"},
		{name: "txt2img-batch-2"},
		{name: "txt2img-no-preview-metadata"},
		{name: "txt2img-no-client-id"},
		{name: "no-models"},
		{name: "save-image-websocket"},
		{name: "bad-bodies"},
		{name: "uploads"},
		{name: "view"},
		{name: "validation-errors"},
		{name: "validation-one-output-of-two-bad"},
		{name: "cancel-running", timing: true},
		{name: "cancel-running-in-a-long-node", faults: []string{"slow-node@VAEDecode=400ms"}},
		{name: "cancel-pending", faults: []string{"late-interrupt@500ms"}, timing: true, apart: true},
		{name: "load-image"},
		{name: "load-image-from-output-by-annotation"},
		{name: "load-image-traversal"},
		{name: "execution-error-load-text"},
		{name: "execution-error-save-outside"},
		{name: "upscale-model"},
		{name: "img2img"},
		{name: "inpaint"},
		{name: "introspection"},
		{name: "reconnect", timing: true},
		{name: "reconnect-while-the-old-socket-lingers", timing: true},
	}
}
