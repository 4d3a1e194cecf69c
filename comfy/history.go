package comfy

import (
	"encoding/json"
	"time"
)

// A historyEntry is one run in /history/{id}. The graph that comes with it is not read.
type historyEntry struct {
	Outputs outputs     `json:"outputs"`
	Status  runMessages `json:"status"`
}

// A jobEntry is /api/jobs/{id}.
type jobEntry struct {
	Status  string          `json:"status"`
	Started json.Number     `json:"execution_start_time"`
	Ended   json.Number     `json:"execution_end_time"`
	Outputs outputs         `json:"outputs"`
	History runMessages     `json:"execution_status"`
	Fault   json.RawMessage `json:"execution_error"`
}

// runMessages is how the history tells a run's course.
type runMessages struct {
	Status   string       `json:"status_str"`
	Messages []runMessage `json:"messages"`
}

// A runMessage is ["kind", {…}].
type runMessage struct {
	kind  string
	stamp float64 // ms
	fault executionFault
}

func (m *runMessage) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	var d struct {
		Stamp float64 `json:"timestamp"`
		executionFault
	}
	// What is not understood is not one of those that matter.
	if json.Unmarshal(data, &pair) == nil && len(pair) == 2 && json.Unmarshal(pair[1], &d) == nil && json.Unmarshal(pair[0], &m.kind) == nil {
		m.stamp, m.fault = d.Stamp, d.executionFault
	}
	return nil
}

// last returns the message that ended the run (CLIENT-QUEUE-2), and when it began. A blocked node ends nothing (CLIENT-FAIL-23).
func (m runMessages) last() (end runMessage, began float64) {
	for _, msg := range m.Messages {
		switch msg.kind {
		case "execution_start":
			began = msg.stamp
		case "execution_success", "execution_interrupted":
			end = msg
		case "execution_error":
			if !msg.fault.blocked() {
				end = msg
			}
		}
	}
	return end, began
}

// states says what the server's words for an end mean.
func states(word string) State {
	switch word {
	case "execution_success", "success", "completed":
		return Succeeded
	case "execution_interrupted", "cancelled":
		return Cancelled
	}
	return Failed
}

func (e historyEntry) result() Result { return ending(e.Outputs, e.Status, e.Status.Status, nil) }

// result reads the job; unit is that of its times.
func (j jobEntry) result(unit time.Duration) Result {
	r := ending(j.Outputs, j.History, j.Status, j.Fault)
	from, errFrom := j.Started.Float64()
	to, errTo := j.Ended.Float64()
	if errFrom == nil && errTo == nil {
		r.Duration = orDefault(span(from, to, unit), r.Duration)
	}
	return r
}

// ending judges by the last message first and only then by the word for the whole, which an older run may have left behind.
func ending(files outputs, course runMessages, word string, fault json.RawMessage) Result {
	end, began := course.last()
	r := Result{
		State: states(orDefault(end.kind, word)), Outputs: files.files(), Duration: span(began, end.stamp, time.Millisecond),
	}
	if r.State != Failed {
		return r
	}
	if end.fault == (executionFault{}) && json.Unmarshal(fault, &end.fault) != nil {
		end.fault = executionFault{} // whatever it is, it failed
	}
	r.Err = end.fault.err()
	return r
}

func (f executionFault) err() error {
	return &ExecutionError{
		Node: clean(f.NodeID, 100), Class: clean(f.NodeType, 200),
		Exception: clean(orDefault(f.Exception, "unknown"), 200), Message: clean(f.Message, 2000),
	}
}

// span is the time between two stamps of the server, or 0 where they make none.
func span(from, to float64, unit time.Duration) time.Duration {
	if d := (to - from) * float64(unit); from > 0 && d > 0 && d < float64(1000*time.Hour) {
		return time.Duration(d)
	}
	return 0
}
