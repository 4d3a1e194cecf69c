package emulator

import (
	"errors"
	"fmt"
	"time"
)

var (
	errInterrupted = errors.New("interrupted")
	errStopped     = errors.New("the server stopped")
)

// run is one job being executed. Only the worker uses it.
type run struct {
	*life
	job      *job
	sigs     map[string]signature
	progress progress
	messages []any
	executed []string
	shown    *object // what nodes show, by id: {"output", "meta"}
	steps    int     // reports of progress so far
	pixels   int64   // of pictures made so far
	lastSent time.Time
	lastPart float64
}

// run executes a job; false if the life ended meanwhile.
func (l *life) run(j *job) bool {
	if f, ok := l.server.faults.strike(faultSlowStart, nil); ok && !l.sleep(f.delay, nil) {
		return false
	}
	l.queue.resetInterrupt()
	r := &run{life: l, job: j, shown: obj()}
	r.progress = progress{job: j.id, send: func(event string, data any) { l.hub.send(event, data, j.client) }}
	status := "success"
	err := r.execute()
	switch {
	case errors.Is(err, errStopped):
		return false
	case err != nil:
		status = "error"
	}
	l.setCurrent(client{}, "")
	outputs, meta := r.results()
	e := &entry{job: j, outputs: outputs, meta: meta, status: status, messages: r.messages}
	if l.server.faults.on(faultForget) {
		e = nil
	}
	l.queue.done(e)
	if j.client.known {
		l.hub.send("executing", obj(pair{"node", nil}, pair{"prompt_id", j.id}), j.client)
	}
	return true
}

// sleep waits for d; false if the life ended. wake ends it early.
func (l *life) sleep(d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		return true
	case <-l.stop:
		return false
	}
}

// message keeps an event for the history and sends it, to everybody only if the
// job has no client and the event is of that kind.
func (r *run) message(event string, data *object, broadcast bool) {
	data.set("timestamp", time.Now().UnixMilli())
	r.messages = append(r.messages, []any{event, data})
	if r.job.client.known || broadcast {
		r.hub.send(event, data, r.job.client)
	}
}

// execute runs the nodes, and reports how that ended.
func (r *run) execute() error {
	id := pair{"prompt_id", r.job.id}
	r.message("execution_start", obj(id), false)
	if err := r.strikeStep(); err != nil {
		return err
	}
	graph := r.job.graph
	r.sigs = r.cache.prepare(graph, r.server.changed)
	cached := []any{}
	for _, n := range graph.keys {
		if r.cache.kept[r.sigs[n]] != nil {
			cached = append(cached, n)
		}
	}
	r.message("execution_cached", obj(pair{"nodes", cached}, id), false)
	p := newPlan(graph, r.isOutput, func(n string) bool {
		_, there := graph.vals[n].(*object)
		return !there || r.cache.kept[r.sigs[n]] != nil
	})
	for _, n := range r.job.outputs {
		p.add(n)
	}
	for n := p.next(); n != ""; n = p.next() {
		c := r.newCall(n)
		if err := r.runNode(c); err != nil {
			if !errors.Is(err, errStopped) {
				r.failed(c, err)
			}
			return err
		}
		p.done(n)
	}
	r.message("execution_success", obj(id), false)
	return nil
}

func (r *run) isOutput(id string) bool {
	node, _ := r.job.graph.vals[id].(*object)
	class, _ := node.get("class_type")
	name, _ := class.(string)
	info, ok := r.server.infos[name]
	return ok && info.output
}

// runNode runs one node, or takes what an equal one gave.
func (r *run) runNode(c *call) error {
	sig := r.sigs[c.id]
	if out := r.cache.kept[sig]; out != nil {
		r.show(c.id, out.ui)
		if r.job.client.known {
			r.hub.send("executed", executedEvent(c.id, out.ui, r.job.id), r.job.client)
		}
		r.progress.finish(c.id)
		return nil
	}
	r.progress.start(c.id)
	if r.job.client.known {
		r.setCurrent(r.job.client, c.id)
		r.hub.send("executing", obj(
			pair{"node", c.id}, pair{"display_node", c.id}, pair{"prompt_id", r.job.id},
		), r.job.client)
	}
	if err := c.resolve(); err != nil {
		return err
	}
	values, err := r.work(c)
	if err != nil {
		return err
	}
	if c.ui != nil {
		r.show(c.id, c.ui)
		if r.job.client.known {
			r.hub.send("executed", executedEvent(c.id, c.ui, r.job.id), r.job.client)
		}
	}
	r.cache.kept[sig] = &output{values: values, ui: c.ui}
	r.progress.finish(c.id)
	r.executed = append(r.executed, c.id)
	return nil
}

// work is the node's own doing, between two looks at the interrupt flag.
func (r *run) work(c *call) ([]any, error) {
	if err := r.interrupted(); err != nil {
		return nil, err
	}
	if f, ok := r.server.faults.forClass(faultSlowNode, c.class); ok {
		var wake <-chan struct{}
		if r.server.kind.stopsInDecode {
			wake = r.queue.interrupted()
		}
		if !r.sleep(f.delay, wake) {
			return nil, errStopped
		}
		if wake != nil {
			if err := r.interrupted(); err != nil {
				return nil, err
			}
		}
	}
	if _, ok := r.server.faults.forClass(faultError, c.class); ok {
		return nil, &pyError{"RuntimeError", "a fault of the emulator's, as asked for"}
	}
	if _, ok := r.server.faults.forClass(faultEvilError, c.class); ok {
		return nil, evilError()
	}
	return c.perform()
}

// perform calls the node. A panic is the node's error, as in Python: it must not
// end the process that the emulator is a part of.
func (c *call) perform() (values []any, err error) {
	defer func() {
		if p := recover(); p != nil {
			values, err = nil, &pyError{"RuntimeError", fmt.Sprint("emulator: ", p)}
		}
	}()
	values, err = c.node.run(c)
	if err == nil {
		err = c.err
	}
	return values, err
}

func executedEvent(id string, ui *object, job string) *object {
	var shown any // null for a cached node that shows nothing
	if ui != nil {
		shown = ui
	}
	return obj(pair{"node", id}, pair{"display_node", id}, pair{"output", shown}, pair{"prompt_id", job})
}

func (r *run) show(id string, ui *object) {
	if ui != nil {
		r.shown.set(id, ui)
	}
}

// results are the outputs and meta of the history.
func (r *run) results() (outputs, meta *object) {
	shown := r.shown
	if r.server.kind.allOwnOutputs {
		shown = obj()
		for _, id := range r.job.graph.keys {
			if out := r.cache.kept[r.sigs[id]]; out != nil && out.ui != nil {
				shown.set(id, out.ui)
			}
		}
	}
	outputs, meta = obj(), obj()
	for _, id := range shown.keys {
		outputs.set(id, shown.vals[id])
		meta.set(id, obj(
			pair{"node_id", id}, pair{"display_node", id}, pair{"parent_node", nil}, pair{"real_node_id", id},
		))
	}
	return outputs, meta
}

// failed reports an interrupt or an error.
func (r *run) failed(c *call, err error) {
	data := obj(
		pair{"prompt_id", r.job.id}, pair{"node_id", c.id}, pair{"node_type", c.class},
		pair{"executed", anyStrings(r.executed)},
	)
	if errors.Is(err, errInterrupted) {
		r.message("execution_interrupted", data, true)
		return
	}
	kind, text := "RuntimeError", err.Error()
	if raised, ok := errors.AsType[*pyError](err); ok {
		kind, text = raised.kind, raised.text
	}
	data.set("exception_message", text+"\n")
	data.set("exception_type", kind)
	data.set("traceback", traceback(6))
	data.set("current_inputs", c.shownInputs())
	data.set("current_outputs", anyStrings(r.job.graph.keys))
	r.message("execution_error", data, false)
}

// evilError is an error text that must not reach a terminal or a person as it is.
func evilError() error {
	long := make([]byte, 20_000)
	for i := range long {
		long[i] = 'A' + byte(i%26)
	}
	return &pyError{
		"RuntimeError",
		"\x1b[2J\x1b]0;owned\x07 cannot read /home/somebody/.ssh/id_rsa \u202eesrever\u202c \r\n" + string(long),
	}
}
