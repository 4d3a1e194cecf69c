package emulator

import (
	"encoding/json"
	"math/big"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

func (x *exchange) getPrompt() { x.json(http.StatusOK, queueInfo(x.queue.remaining())) }

// refusal is the body of a 400 from POST /prompt.
func refusal(kind, message, details string, extra, nodes *object) *object {
	return obj(
		pair{"error", obj(
			pair{"type", kind}, pair{"message", message}, pair{"details", details}, pair{"extra_info", extra},
		)},
		pair{"node_errors", nodes},
	)
}

// postPrompt queues a graph. What makes Python raise is answered 500, as there.
func (x *exchange) postPrompt() {
	v, ok := x.value()
	if !ok {
		return
	}
	body, ok := v.(*object)
	if list, isList := v.([]any); isList && !contains(list, "number") {
		body, ok = obj(), true // read like an object without a prompt
	}
	if !ok {
		x.fail()
		return
	}
	j := &job{}
	if !x.numbered(j, body) {
		x.fail()
		return
	}
	prompt, given := body.get("prompt")
	if !given {
		x.json(http.StatusBadRequest, refusal("no_prompt", "No prompt provided", "No prompt provided", obj(), obj()))
		return
	}
	if !x.identified(j, body) {
		x.json(http.StatusBadRequest, refusal("invalid_prompt_id", "prompt_id must be a valid UUID",
			"prompt_id must be a UUID string in canonical lowercase hyphenated form; "+
				"omit it to let the server generate one", obj(), obj()))
		return
	}
	targets, _ := body.get("partial_execution_targets")
	verdict, err := x.server.validate(prompt, targets)
	if err != nil || !x.described(j, body) {
		x.fail()
		return
	}
	if verdict.refused != nil {
		x.json(http.StatusBadRequest, verdict.refused)
		return
	}
	j.graph, j.outputs = verdict.graph, verdict.outputs
	x.queue.put(j)
	x.json(http.StatusOK, obj(
		pair{"prompt_id", j.id}, pair{"number", j.number}, pair{"node_errors", verdict.nodeErrors},
	))
}

func contains(list []any, want string) bool {
	for _, v := range list {
		if v == want {
			return true
		}
	}
	return false
}

// numbered sets the job's place in the queue; false where Python raises.
func (x *exchange) numbered(j *job, body *object) bool {
	if n, given := body.get("number"); given {
		f, err := toFloat(n)
		j.number, j.order = f, float64(f)
		return err == nil
	}
	n := x.queue.number()
	if front, _ := body.get("front"); pyTrue(front) {
		n = -n // the very first prompt stays 0, so that it gains nothing
	}
	j.number, j.order = big.NewInt(n), float64(n)
	return true
}

// identified sets the job's id; false if the server demands another form.
func (x *exchange) identified(j *job, body *object) bool {
	id, given := body.get("prompt_id")
	if !x.server.kind.strictIDs {
		j.id = pyStr(id) // null becomes "None"
		if !given {
			j.id = uuid.NewString()
		}
		return true
	}
	if id == nil {
		j.id = uuid.NewString()
		return true
	}
	s, ok := id.(string)
	j.id = s
	return ok && canonicalUUID(s)
}

func canonicalUUID(s string) bool {
	u, err := uuid.Parse(s)
	return err == nil && u.String() == s
}

// described sets what comes along with the graph; false where Python raises.
func (x *exchange) described(j *job, body *object) bool {
	j.extra = obj()
	if extra, given := body.get("extra_data"); given {
		o, ok := extra.(*object)
		if !ok {
			return false
		}
		j.extra = o
	}
	if id, given := body.get("client_id"); given {
		j.extra.set("client_id", id)
	}
	if id, given := j.extra.get("client_id"); given && id != nil {
		j.client = client{pyStr(id), true}
	}
	for _, secret := range []string{"auth_token_comfy_org", "api_key_comfy_org"} {
		j.extra.remove(secret)
	}
	if x.server.kind.jobsAPI {
		j.extra.set("create_time", big.NewInt(time.Now().UnixMilli()))
	}
	return true
}

func (x *exchange) getQueue() {
	running, pending := x.queue.snapshot()
	x.json(http.StatusOK, obj(
		pair{"queue_running", tuples(running)},
		pair{"queue_pending", tuples(pending)},
	))
}

func tuples(jobs []*job) []any {
	list := make([]any, len(jobs))
	for i, j := range jobs {
		list[i] = j.tuple()
	}
	return list
}

func (x *exchange) postQueue() { x.clearOrDelete(x.queue.clear, func(id string) { x.queue.drop(id) }) }

func (x *exchange) postHistory() { x.clearOrDelete(x.queue.forgetAll, x.queue.forget) }

// clearOrDelete reads {"clear": true} and {"delete": [ids]}.
func (x *exchange) clearOrDelete(clearAll func(), remove func(string)) {
	v, ok := x.value()
	if !ok {
		return
	}
	if _, isList := v.([]any); isList {
		x.empty(http.StatusOK) // neither key is in it
		return
	}
	body, ok := v.(*object)
	if !ok {
		x.fail()
		return
	}
	if all, _ := body.get("clear"); pyTrue(all) {
		clearAll()
	}
	if ids, given := body.get("delete"); given {
		list, ok := ids.([]any)
		if _, isText := ids.(string); !ok && !isText {
			x.fail()
			return
		}
		for _, id := range list {
			remove(pyStr(id))
		}
	}
	x.empty(http.StatusOK)
}

// postInterrupt takes a body that is no JSON for an empty one, hence for an
// interrupt of whatever runs.
func (x *exchange) postInterrupt() {
	data, err := x.body()
	if err != nil {
		return
	}
	v, err := decodePython(data)
	if err != nil {
		v = obj()
	}
	body, ok := v.(*object)
	if !ok {
		x.fail()
		return
	}
	id, _ := body.get("prompt_id")
	switch s, isText := id.(string); {
	case !pyTrue(id):
		x.queue.interrupt("")
	case isText:
		x.queue.interrupt(s)
	}
	x.empty(http.StatusOK)
}

func (x *exchange) postFree() {
	body, ok := x.object()
	if !ok {
		return
	}
	if free, _ := body.get("free_memory"); pyTrue(free) {
		x.queue.askFree()
	}
	x.empty(http.StatusOK)
}

func (x *exchange) getHistory() {
	query := x.r.URL.Query()
	items, bounded, err := queryInt(query.Get("max_items"), query.Has("max_items"), 0)
	if err != nil {
		x.fail()
		return
	}
	offset, _, err := queryInt(query.Get("offset"), query.Has("offset"), -1)
	if err != nil {
		x.fail()
		return
	}
	out := obj()
	for _, e := range x.queue.past(items, offset, bounded) {
		out.set(e.job.id, e.value())
	}
	x.json(http.StatusOK, out)
}

func queryInt(s string, given bool, def int) (int, bool, error) {
	if !given {
		return def, false, nil
	}
	n, err := strconv.Atoi(s)
	return n, true, err
}

// getHistoryOf answers {} for a job that is unknown, pending, running or forgotten.
func (x *exchange) getHistoryOf() {
	out := obj()
	if e := x.queue.ended(x.params["prompt_id"]); e != nil {
		out.set(e.job.id, e.value())
	}
	x.json(http.StatusOK, out)
}

// constant answers with the same JSON always.
func constant(text string) func(*exchange) {
	return func(x *exchange) { x.json(http.StatusOK, json.RawMessage(text)) }
}
