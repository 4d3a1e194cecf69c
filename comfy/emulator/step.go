package emulator

import (
	"bytes"
	"image"
	"image/jpeg"
	"time"
)

// previewSide is the longer side of a preview in pixels.
const previewSide = 512

// report is one report of progress by a node: value of highest, and a picture if
// there is one to show.
type report struct {
	value, highest int
	picture        func() (mime string, data []byte) // nil for none; asked only if somebody looks
}

// previews says whether the job's steps come with pictures.
func (r *run) previews() bool {
	if r.server.kind.jobPreviews {
		switch method, _ := r.job.extra.get("preview_method"); method {
		case "none":
			return false
		case "auto", "latent2rgb", "taesd":
			return true
		}
	}
	return !r.server.opts.NoPreviews
}

// report tells how far a node is. It is where an interrupt takes effect.
func (c *call) report(rep report) error {
	r := c.run
	if rep.picture == nil && !r.due(rep) {
		return nil
	}
	if err := r.interrupted(); err != nil {
		return err
	}
	r.progress.update(c.id, rep.value, rep.highest)
	picture, mime, withMeta := r.preview(rep)
	if picture != nil && withMeta {
		meta := obj(pair{"node_id", c.id}, pair{"prompt_id", r.job.id})
		for _, more := range nodePlace(c.id) {
			meta.set(more.key, more.val)
		}
		r.hub.sendBinary(previewFrame(meta, mime, picture), r.job.client)
	}
	r.hub.send("progress", obj(
		pair{"value", rep.value}, pair{"max", rep.highest}, pair{"prompt_id", r.job.id}, pair{"node", c.id},
	), r.job.client)
	if picture != nil && !withMeta {
		r.hub.sendBinary(previewFrame(nil, mime, picture), r.job.client)
	}
	r.steps++
	return r.strikeStep()
}

// interrupted fails if the flag is set.
func (r *run) interrupted() error {
	if !r.queue.takeInterrupt() {
		return nil
	}
	if f, ok := r.server.faults.strike(faultLate, nil); ok && !r.sleep(f.delay, nil) {
		return errStopped
	}
	return errInterrupted
}

// due says whether a report without a picture is sent: newer servers leave out
// what comes within 100 ms or within half a percent, but for the first and last.
func (r *run) due(rep report) bool {
	part := float64(rep.value) / float64(max(1, rep.highest))
	first := rep.value <= 1
	if !r.server.kind.throttled || first || rep.value >= rep.highest ||
		(time.Since(r.lastSent) >= 100*time.Millisecond && part-r.lastPart >= 0.005) {
		r.lastSent, r.lastPart = time.Now(), part
		return true
	}
	return false
}

// preview makes the picture of a report, if anybody listens.
func (r *run) preview(rep report) (picture []byte, mime string, withMeta bool) {
	if rep.picture == nil {
		return nil, "", false
	}
	heard, withMeta := r.hub.listens(r.job.client)
	if !heard {
		return nil, "", false
	}
	mime, picture = rep.picture()
	return picture, mime, withMeta
}

// encodeJPEG packs a preview.
func encodeJPEG(m image.Image) (mime string, data []byte) {
	var b bytes.Buffer
	if jpeg.Encode(&b, m, &jpeg.Options{Quality: 85}) != nil {
		return "image/jpeg", nil
	}
	return "image/jpeg", b.Bytes()
}

// strikeStep lets the faults of this step happen.
func (r *run) strikeStep() error {
	faults := r.server.faults
	if f, ok := faults.strike(faultBigFrame, func(Fault) bool { return r.steps == 0 }); ok {
		_, withMeta := r.hub.listens(r.job.client)
		var meta *object
		if withMeta {
			meta = obj(pair{"node_id", r.job.outputs[0]}, pair{"prompt_id", r.job.id})
		}
		r.hub.sendBinary(previewFrame(meta, "image/jpeg", make([]byte, f.bytes)), r.job.client)
	}
	if faults.atStep(faultDropWS, r.steps) {
		r.hub.cut()
	}
	if faults.atStep(faultStallWS, r.steps) {
		r.hub.stall()
	}
	if faults.atStep(faultBlocked, r.steps) {
		r.hub.send("execution_error", obj(
			pair{"prompt_id", r.job.id}, pair{"node_id", r.job.outputs[0]}, pair{"node_type", "PreviewImage"},
			pair{"executed", anyStrings(r.executed)}, pair{"exception_message", "Execution Blocked: a fault of the emulator's"},
			pair{"exception_type", "ExecutionBlocked"}, pair{"traceback", []any{}}, pair{"current_inputs", []any{}},
			pair{"current_outputs", []any{}},
		), r.job.client)
	}
	if faults.atStep(faultInterrupt, r.steps) {
		r.queue.interrupt("")
	}
	if faults.atStep(faultOOM, r.steps) && r.steps > 0 {
		return &pyError{"torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total " +
			"capacity of 8.00 GiB of which 1.21 GiB is free."}
	}
	return r.strikeDown()
}

// strikeDown takes the server down, for a while or for good.
func (r *run) strikeDown() error {
	s := r.server
	down, struck := s.opts.DownTime, s.faults.atStep(faultRestart, r.steps)
	if s.faults.atStep(faultDie, r.steps) {
		down, struck = forever, true
	}
	if !struck {
		return nil
	}
	s.work.Go(func() { s.restart(down) })
	<-r.stop
	return errStopped
}
