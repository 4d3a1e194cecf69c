package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/comfygate/comfygate/comfy/workflow"
)

// decode reads arguments into in, strictly: the schema has been checked, and what it lets pass fits the type.
func decode(raw json.RawMessage, in any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the arguments")
	}
	return nil
}

// A seed is −1 for a random one or an exact unsigned 64-bit number: a detour by a float would change it (SC-28, E03).
type seed struct {
	set   bool
	value uint64
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *seed) UnmarshalJSON(text []byte) error {
	if string(text) == "-1" {
		*s = seed{}
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return &workflow.FieldError{Field: "seed", Problem: "is not a whole number from -1 to 18446744073709551615", Fits: "-1 for a random one"}
	}
	*s = seed{true, n}
	return nil
}

// A wait is wait_seconds as it was said.
type wait struct {
	Seconds *int `json:"wait_seconds"`
}

// duration is how long to wait, from the call's arrival.
func (w wait) duration() time.Duration {
	if w.Seconds == nil {
		return defaultWait
	}
	return min(time.Duration(*w.Seconds)*time.Second, maxWait)
}
