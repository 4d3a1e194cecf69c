package comfy_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/comfy"
)

// CLIENT-PROMPT-4, CLIENT-GRAPH-5, CLIENT-WS-9, CLIENT-FAIL-19: what is posted, to the letter.
func TestSubmit_body(t *testing.T) {
	t.Parallel()
	f := newFake(t, "/x")
	c := f.client()
	id := comfy.NewPromptID()
	graph := tiny()
	graph["5"] = comfy.Node{ClassType: "NoInputs", Meta: &comfy.NodeMeta{Title: "a fox"}}
	_, err := c.Submit(t.Context(), comfy.Submission{PromptID: id, Graph: graph, Extra: map[string]any{"workflow": map[string]any{"id": "w"}}})
	if err != nil {
		t.Fatal(err)
	}
	var body string
	for _, s := range f.requests() {
		if s.method == http.MethodPost && s.path == "/prompt" {
			body = s.body
		}
	}
	for _, want := range []string{
		`"seed":18446744073709551615`, `"images":["3",0]`, `"5":{"class_type":"NoInputs","inputs":{},"_meta":{"title":"a fox"}}`,
		`"prompt_id":"` + id + `"`, `"extra_data":{"extra_pnginfo":{"workflow":{"id":"w"}}}`, `"client_id":"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
	if strings.Contains(body, "null") || strings.Contains(body, "number") {
		t.Errorf("body %s", body)
	}
	if id != strings.ToLower(id) || len(id) != 36 || id[14] != '4' {
		t.Errorf("%s is no UUIDv4", id)
	}
}

func TestSubmit_refuses(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	c := f.client(func(cfg *comfy.Config) { cfg.Limits.JSONBytes = 10_000 })
	huge := tiny()
	huge["1"].Inputs["text"] = strings.Repeat("x", 10_000)
	for name, s := range map[string]comfy.Submission{
		"no id":               {Graph: tiny()},
		"an id in capitals":   {PromptID: strings.ToUpper(comfy.NewPromptID()), Graph: tiny()},
		"an id without lines": {PromptID: strings.ReplaceAll(comfy.NewPromptID(), "-", ""), Graph: tiny()},
		"no graph":            {PromptID: comfy.NewPromptID()},
		"a huge graph":        {PromptID: comfy.NewPromptID(), Graph: huge},
		"what is no JSON":     {PromptID: comfy.NewPromptID(), Graph: comfy.Graph{"1": {Inputs: map[string]any{"x": make(chan int)}}}},
	} {
		if _, err := c.Submit(t.Context(), s); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if n := f.count("POST", "/prompt"); n > 0 || c.Runs() > 0 {
		t.Errorf("%d posted, %d registered", n, c.Runs())
	}
	s := comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()}
	if _, err := c.Submit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(t.Context(), s); err == nil || f.count("POST", "/prompt") != 1 { // CLIENT-PROMPT-3
		t.Errorf("the same id passes twice: %v", err)
	}
}

// SC-39, CLIENT-FAIL-13: the connection is cut after the body was sent. The job is found, there is exactly one, and it goes on.
func TestSec_SC39_cutAfterTheBody(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.on("POST /prompt", func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			f.place(discard{http.Header{}}, body)
			panic(http.ErrAbortHandler)
		})
		r, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		if err != nil {
			t.Fatal(err)
		}
		f.begin(f.job(0))
		f.end(f.job(0), "execution_success", picture("a.png"))
		if res := result(t, r); res.State != comfy.Succeeded || f.count("POST", "/prompt") != 1 {
			t.Errorf("%s after %d posts", res.State, f.count("POST", "/prompt"))
		}
	})
}

// CLIENT-FAIL-13: it arrives late: not at the first look, at the second.
func TestSubmit_foundLate(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.on("POST /prompt", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			time.AfterFunc(400*time.Millisecond, func() { f.place(discard{http.Header{}}, body) })
			w.WriteHeader(http.StatusGatewayTimeout)
		})
		r, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		if err != nil || r == nil || f.count("POST", "/prompt") != 1 {
			t.Errorf("%v after %d posts", err, f.count("POST", "/prompt"))
		}
	})
}

// CLIENT-FAIL-13: the server answers, three times, and does not have it. It is not posted again.
func TestSubmit_notFound(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.on("POST /prompt", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		c := f.client()
		began := time.Now()
		_, err := c.Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		if !errors.Is(err, comfy.ErrUnreachable) || f.count("POST", "/prompt") != 1 || c.Runs() != 0 {
			t.Errorf("%v after %d posts", err, f.count("POST", "/prompt"))
		}
		if took := time.Since(began); took < 1500*time.Millisecond || took > 5*time.Second {
			t.Errorf("looked for %v", took)
		}
	})
}

// Nobody answers after the doubt either: the run is followed until somebody does.
func TestSubmit_nobodyAnswers(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.on("POST /prompt", func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			f.place(discard{http.Header{}}, body)
			f.pipes.turn(true)
			panic(http.ErrAbortHandler)
		})
		r, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		if err != nil || !r.Progress().Unreachable {
			t.Fatalf("%v, %+v", err, r.Progress())
		}
		f.record(f.job(0), "execution_success", picture("a.png"), nil)
		f.pipes.turn(false)
		if res := result(t, r); res.State != comfy.Succeeded {
			t.Errorf("%s", res.State)
		}
	})
}

// The POST is answered after 60 s at the latest (design.md), and what came in time is found.
func TestSubmit_slow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.on("POST /prompt", func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			f.place(discard{http.Header{}}, body)
			<-r.Context().Done()
		})
		began := time.Now()
		_, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		if took := time.Since(began); err != nil || took != time.Minute {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// The caller leaves in the middle of the POST: what the server has got by then is cancelled.
func TestSubmit_callerLeaves(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.on("POST /prompt", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			time.Sleep(5 * time.Second)
			f.place(w, body)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		c := f.client()
		_, err := c.Submit(ctx, comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(10 * time.Second)
		if f.job(0).state != "gone" || c.Runs() != 0 {
			t.Errorf("the job is %s, %d runs", f.job(0).state, c.Runs())
		}
	})
}

// CLIENT-GRAPH-3: a server that gives its own id is believed.
func TestSubmit_otherID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		const theirs = "7f2c1d9e-1111-4222-8333-444455556666"
		f.on("POST /prompt", func(w http.ResponseWriter, r *http.Request) {
			var in map[string]any
			f.must(json.NewDecoder(r.Body).Decode(&in))
			in["prompt_id"] = theirs
			body, _ := json.Marshal(in)
			f.place(w, body)
		})
		r := submit(t, f.client())
		if r.PromptID() != theirs {
			t.Fatalf("id %s", r.PromptID())
		}
		f.begin(f.job(0))
		f.end(f.job(0), "execution_success", picture("a.png"))
		began := time.Now()
		if res := result(t, r); res.State != comfy.Succeeded || time.Since(began) > 100*time.Millisecond {
			t.Errorf("%s after %v", res.State, time.Since(began))
		}
	})
}

// The number of runs at one server is bounded.
func TestSubmit_tooMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		c := f.client()
		for range 64 {
			submit(t, c)
		}
		_, err := c.Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		if !errors.Is(err, comfy.ErrTooMany) || f.count("POST", "/prompt") != 64 {
			t.Errorf("%v", err)
		}
	})
}

// Comfy Cloud and proxies have refusals of other shapes.
func TestSubmit_otherRefusals(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		kind, body string
		want       comfy.RejectedError
	}{
		"cloud":      {"application/json", `{"code":"INVALID","message":"no such\u001b[1m node"}`, comfy.RejectedError{Type: "INVALID", Message: "no such[1m node"}},
		"text":       {"text/plain", "bad", comfy.RejectedError{Type: "rejected", Message: "bad"}},
		"not JSON":   {"application/json", "{", comfy.RejectedError{Type: "rejected", Message: "{"}},
		"class":      {"application/json", `{"error":{"type":"missing_node_type","message":"m","extra_info":{"node_id":"7","class_type":"X"}},"node_errors":{}}`, comfy.RejectedError{Type: "missing_node_type", Message: "m", Nodes: []comfy.NodeFault{{Node: "7", Class: "X", Type: "missing_node_type", Message: "m"}}}},
		"empty list": {"application/json", `{"error":{"type":"t","message":"m"},"node_errors":[]}`, comfy.RejectedError{Type: "t", Message: "m"}},
	} {
		f := newFake(t, "")
		f.on("POST /prompt", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", row.kind)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, row.body)
		})
		_, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		var got *comfy.RejectedError
		if !errors.As(err, &got) || got.Type != row.want.Type || got.Message != row.want.Message || len(got.Nodes) != len(row.want.Nodes) {
			t.Errorf("%s: %#v", name, err)
			continue
		}
		if len(got.Nodes) == 1 && got.Nodes[0] != row.want.Nodes[0] {
			t.Errorf("%s: %#v", name, got.Nodes[0])
		}
	}
}

// A refusal that names a thousand nodes is cut to twenty, in the order of their numbers.
func TestSubmit_manyFaults(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	nodes := map[string]any{}
	long := strings.Repeat("ä", 1000)
	for i := range 1000 {
		nodes[json.Number(strings.Repeat("1", i%3)+"2").String()+strings.Repeat("0", i%5)] = map[string]any{"class_type": long, "errors": []any{
			map[string]any{"type": long, "message": long, "details": long, "extra_info": map[string]any{"input_name": long, "received_value": long}},
		}}
	}
	f.on("POST /prompt", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusBadRequest, map[string]any{"error": map[string]any{"type": "x"}, "node_errors": nodes})
	})
	_, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
	var got *comfy.RejectedError
	if !errors.As(err, &got) || len(got.Nodes) == 0 || len(got.Nodes) > 20 {
		t.Fatalf("%v", err)
	}
	for i, n := range got.Nodes {
		if len([]rune(n.Message)) > 301 || len([]rune(n.Received)) > 101 {
			t.Errorf("not cut: %d", len(n.Message))
		}
		if i > 0 && len(n.Node) < len(got.Nodes[i-1].Node) {
			t.Errorf("%s behind %s", n.Node, got.Nodes[i-1].Node)
		}
	}
}
