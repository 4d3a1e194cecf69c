package emulator

import (
	"math/big"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// The states of the jobs API, in the order of its error text.
func jobStates() []string {
	return []string{"pending", "in_progress", "completed", "failed", "cancelled"}
}

// jobView is a job as /api/jobs shows it, with what it is sorted by.
type jobView struct {
	value    *object
	state    string
	workflow string
	created  int64
	duration int64
}

func (x *exchange) jobError(status int, text string) { x.json(status, obj(pair{"error", text})) }

// jobQuery is the parsed query of GET /api/jobs.
type jobQuery struct {
	states     []string
	workflow   string
	byDuration bool
	ascending  bool
	limit      int // 0 for all
	offset     int
}

// readJobQuery returns the text of the error, or "".
func readJobQuery(r *http.Request) (jobQuery, string) {
	query := r.URL.Query()
	q := jobQuery{workflow: query.Get("workflow_id")}
	var wrong []string
	for s := range strings.SplitSeq(query.Get("status"), ",") {
		s = strings.ToLower(strings.TrimSpace(s))
		switch {
		case s == "":
		case slices.Contains(jobStates(), s):
			q.states = append(q.states, s)
		default:
			wrong = append(wrong, s)
		}
	}
	if len(wrong) > 0 {
		return q, "Invalid status value(s): " + strings.Join(wrong, ", ") + ". Valid values: " + strings.Join(jobStates(), ", ")
	}
	switch strings.ToLower(query.Get("sort_by")) {
	case "", "created_at":
	case "execution_duration":
		q.byDuration = true
	default:
		return q, "sort_by must be 'created_at' or 'execution_duration'"
	}
	switch strings.ToLower(query.Get("sort_order")) {
	case "", "desc":
	case "asc":
		q.ascending = true
	default:
		return q, "sort_order must be 'asc' or 'desc'"
	}
	var err error
	if query.Has("limit") {
		if q.limit, err = strconv.Atoi(query.Get("limit")); err != nil {
			return q, "limit must be an integer"
		}
		if q.limit <= 0 {
			return q, "limit must be a positive integer"
		}
	}
	if query.Has("offset") {
		if q.offset, err = strconv.Atoi(query.Get("offset")); err != nil {
			return q, "offset must be an integer"
		}
		q.offset = max(0, q.offset)
	}
	return q, ""
}

func (x *exchange) getJobs() {
	q, wrong := readJobQuery(x.r)
	if wrong != "" {
		x.jobError(http.StatusBadRequest, wrong)
		return
	}
	views := slices.DeleteFunc(x.allJobs(), func(v jobView) bool {
		return (len(q.states) > 0 && !slices.Contains(q.states, v.state)) || (q.workflow != "" && v.workflow != q.workflow)
	})
	key := func(v jobView) int64 {
		if q.byDuration {
			return v.duration
		}
		return v.created
	}
	sort.SliceStable(views, func(a, b int) bool {
		if q.ascending {
			return key(views[a]) < key(views[b])
		}
		return key(views[a]) > key(views[b])
	})
	total := len(views)
	views = views[min(q.offset, total):]
	var limit any
	if q.limit > 0 {
		limit = q.limit
		views = views[:min(q.limit, len(views))]
	}
	list := make([]any, len(views))
	for i, v := range views {
		list[i] = v.value
	}
	x.json(http.StatusOK, obj(
		pair{"jobs", list},
		pair{"pagination", obj(
			pair{"offset", q.offset}, pair{"limit", limit}, pair{"total", total},
			pair{"has_more", q.offset+len(list) < total},
		)},
	))
}

// allJobs are running, pending and ended jobs.
func (x *exchange) allJobs() []jobView {
	running, pending := x.queue.snapshot()
	var views []jobView
	for _, j := range running {
		views = append(views, viewQueued(j, "in_progress"))
	}
	for _, j := range pending {
		views = append(views, viewQueued(j, "pending"))
	}
	for _, e := range x.queue.past(0, 0, false) {
		views = append(views, viewEnded(e))
	}
	return views
}

func viewQueued(j *job, state string) jobView {
	v := jobView{state: state, value: obj(pair{"id", j.id}, pair{"status", state}, pair{"priority", j.number})}
	v.addOrigin(j)
	v.value.set("outputs_count", 0)
	v.value.set("previewable_outputs_count", 0)
	if v.workflow != "" {
		v.value.set("workflow_id", v.workflow)
	}
	return v
}

// addOrigin adds when the job was made and from which workflow.
func (v *jobView) addOrigin(j *job) {
	if created, ok := j.extra.get("create_time"); ok {
		if n, isInt := created.(*big.Int); isInt {
			v.created = n.Int64()
			v.value.set("create_time", n)
		}
	}
	info, _ := j.extra.get("extra_pnginfo")
	pnginfo, _ := info.(*object)
	flow, _ := pnginfo.get("workflow")
	workflow, _ := flow.(*object)
	id, _ := workflow.get("id")
	v.workflow, _ = id.(string)
}

func viewEnded(e *entry) jobView {
	v := jobView{state: "completed", value: obj(pair{"id", e.job.id})}
	var start, end int64
	var failure any
	for _, m := range e.messages {
		event, data := messageParts(m)
		at, _ := data.get("timestamp")
		when, _ := at.(int64)
		switch event {
		case "execution_start":
			start = when
		case "execution_success":
			end = when
		case "execution_error":
			end, failure, v.state = when, data, "failed"
		case "execution_interrupted":
			end, v.state = when, "cancelled"
		}
	}
	v.value.set("status", v.state)
	v.value.set("priority", e.job.number)
	v.addOrigin(e.job)
	if start > 0 {
		v.value.set("execution_start_time", start)
	}
	if end > 0 {
		v.value.set("execution_end_time", end)
		v.duration = end - start
	}
	if failure != nil {
		v.value.set("execution_error", failure)
	}
	count, preview := summarize(e.outputs)
	v.value.set("outputs_count", count)
	v.value.set("previewable_outputs_count", count)
	if preview != nil {
		v.value.set("preview_output", preview)
	}
	if v.workflow != "" {
		v.value.set("workflow_id", v.workflow)
	}
	return v
}

func messageParts(m any) (string, *object) {
	parts, ok := m.([]any)
	if !ok || len(parts) != 2 {
		return "", nil
	}
	event, _ := parts[0].(string)
	data, _ := parts[1].(*object)
	return event, data
}

// summarize counts the pictures of a job and chooses the one that stands for it:
// a saved one before a temporary one.
func summarize(outputs *object) (int, *object) {
	count := 0
	var saved, temporary *object
	for _, node := range outputs.keys {
		ui, _ := outputs.vals[node].(*object)
		images, _ := ui.get("images")
		list, _ := images.([]any)
		for _, item := range list {
			image, ok := item.(*object)
			if !ok {
				continue
			}
			count++
			shown := image.clone()
			shown.set("nodeId", node)
			shown.set("mediaType", "images")
			if kind, _ := image.get("type"); kind == "output" && saved == nil {
				saved = shown
			} else if temporary == nil {
				temporary = shown
			}
		}
	}
	if saved != nil {
		return count, saved
	}
	return count, temporary
}

// getJob is one job; unlike the history it tells an unknown one from a pending one.
func (x *exchange) getJob() {
	id := x.params["job_id"]
	if e := x.queue.ended(id); e != nil {
		v := viewEnded(e).value
		v.set("outputs", e.outputs)
		status, _ := e.value().get("status")
		v.set("execution_status", status)
		v.set("workflow", obj(pair{"prompt", e.job.graph}, pair{"extra_data", e.job.extra}))
		x.json(http.StatusOK, v)
		return
	}
	running, pending := x.queue.snapshot()
	for _, j := range running {
		if j.id == id {
			x.json(http.StatusOK, viewQueued(j, "in_progress").value)
			return
		}
	}
	for _, j := range pending {
		if j.id == id {
			x.json(http.StatusOK, viewQueued(j, "pending").value)
			return
		}
	}
	x.jobError(http.StatusNotFound, "Job not found")
}

func (x *exchange) cancelJob() {
	x.json(http.StatusOK, obj(pair{"cancelled", x.cancel(x.params["job_id"])}))
}

// cancel ends a job wherever it is, and says whether there was one to end.
func (x *exchange) cancel(id string) bool {
	return id != "" && (x.queue.interrupt(id) || x.queue.drop(id) || x.queue.interrupt(id))
}

func (x *exchange) cancelJobs() {
	data, err := x.body()
	if err != nil {
		return
	}
	v, err := decodePython(data)
	if err != nil {
		x.jobError(http.StatusBadRequest, "Request body must be valid JSON")
		return
	}
	body, _ := v.(*object)
	given, _ := body.get("job_ids")
	ids, ok := given.([]any)
	if !ok {
		x.jobError(http.StatusBadRequest, "job_ids must be a list")
		return
	}
	var wrong []any
	for _, id := range ids {
		if s, isText := id.(string); !isText || !canonicalUUID(s) {
			wrong = append(wrong, pyStr(id))
		}
	}
	if len(wrong) > 0 {
		x.json(http.StatusBadRequest, obj(
			pair{"error", "job_ids contains invalid id(s)"}, pair{"invalid_ids", wrong},
		))
		return
	}
	cancelled := false
	for _, id := range ids {
		s, _ := id.(string)
		cancelled = x.cancel(s) || cancelled
	}
	x.json(http.StatusOK, obj(pair{"cancelled", cancelled}))
}
