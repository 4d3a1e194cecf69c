package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
)

// A receiver is a webhook's other end. It is safe for concurrent use.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	status  int
	records []audit.Record
	notes   []string
	wrong   []string
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		w.WriteHeader(r.status)
		if err != nil || r.status != http.StatusOK {
			return
		}
		sent, _ := strconv.ParseInt(regexp.MustCompile(`^t=(\d+),`).FindStringSubmatch(req.Header.Get(audit.SignatureHeader))[1], 10, 64)
		if got := req.Header.Get(audit.SignatureHeader); got != audit.Signature(config.NewSecret(secret), time.Unix(sent, 0), body) {
			r.wrong = append(r.wrong, "signature "+got)
		}
		if got := req.Header.Get("Authorization"); got != "Bearer tok" {
			r.wrong = append(r.wrong, "token "+got)
		}
		var batch struct {
			Items []struct {
				Origin     string
				Record     *audit.Record
				Checkpoint string
			}
		}
		if err := json.Unmarshal(body, &batch); err != nil {
			r.wrong = append(r.wrong, err.Error())
		}
		for _, it := range batch.Items {
			if it.Record != nil {
				r.records = append(r.records, *it.Record)
			} else {
				r.notes = append(r.notes, it.Checkpoint)
			}
			if !strings.HasSuffix(it.Origin, "/001") {
				r.wrong = append(r.wrong, "origin "+it.Origin)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) sink() audit.Sink {
	return audit.Sink{URL: "webhook+" + r.URL + "/in", Token: config.NewSecret("tok"), Secret: config.NewSecret(secret)}
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) state() (records []audit.Record, notes, wrong []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records, r.notes, r.wrong
}

func feed(t *testing.T, l *logs, sinks ...audit.Sink) {
	t.Helper()
	if err := l.Feed(context.WithoutCancel(t.Context()), sinks); err != nil {
		t.Fatal(err)
	}
}

// AUD-15: a webhook gets every record in order, over several processes each once, and the checkpoints; all signed.
func TestAUD15_webhook(t *testing.T) {
	t.Parallel()
	r := receive(t)
	data := t.TempDir()
	total := 0
	for life := range 3 {
		l := open(t, data, func(c *audit.Config) { lazily(c); c.MaxBytes = 64 << 10 })
		if life == 1 {
			r.answer(http.StatusServiceUnavailable) // a whole life without the receiver
		} else {
			r.answer(http.StatusOK)
		}
		feed(t, l, r.sink())
		for i := range 300 {
			l.append(t, audit.Record{Kind: audit.Event, Name: "x", Count: i + 1, Params: map[string]any{"pad": strings.Repeat("x", 300)}})
		}
		l.stop(t)
	}
	for range scan(t, data) {
		total++
	}
	records, notes, wrong := r.state()
	if len(records) != total || len(wrong) > 0 {
		t.Fatalf("%d of %d records, %v", len(records), total, wrong)
	}
	for i, rec := range records {
		if rec.Seq != uint64(i+1) || rec.Hash == "" {
			t.Fatalf("item %d is record %d", i, rec.Seq)
		}
	}
	if len(notes) < 2 || !strings.Contains(notes[len(notes)-1], "/001\n") {
		t.Errorf("checkpoints: %q", notes)
	}
	verified(t, data)
}

// AUD-15, Vault's rule: a required sink that doesn't take a record refuses the call, makes the log unhealthy, and passes on all when it is back.
func TestAUD15_required(t *testing.T) {
	t.Parallel()
	r := receive(t)
	l := open(t, t.TempDir(), lazily)
	s := r.sink()
	s.Required = true
	feed(t, l, s)
	intent, outcome := call("c1")
	l.append(t, intent)
	records, _, _ := r.state()
	if n := len(records); n == 0 || records[n-1].CallID != "c1" {
		t.Errorf("the record was acknowledged before the sink had it: %v", kinds(records))
	}
	r.answer(http.StatusInternalServerError)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	second, _ := call("c2")
	refused(t, l.Append(ctx, second))
	if err := l.AppendReserved(t.Context(), outcome); err != nil { // what is owed is on the disk, and waits for nobody
		t.Error(err)
	}
	eventually(t, "an unhealthy log", func() bool { return l.Healthy() != nil })
	r.answer(http.StatusOK)
	eventually(t, "a healthy log", func() bool { return l.Healthy() == nil })
	third, _ := call("c3")
	l.append(t, third)
	l.stop(t)
	if records, _, _ = r.state(); len(records) != len(scan(t, l.data)) {
		t.Errorf("%d records", len(records))
	}
}

// AUD-01, AUD-15: what a receiver rejects for good is left out, and the log says which records it lacks.
func TestAUD15_rejected(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[uint64]bool{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if bytes.Contains(body, []byte(`"event":"poison"`)) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, m := range regexp.MustCompile(`"record":{"seq":(\d+)`).FindAllSubmatch(body, -1) {
			n, _ := strconv.ParseUint(string(m[1]), 10, 64)
			seen[n] = true
		}
	}))
	t.Cleanup(srv.Close)
	l := open(t, t.TempDir(), lazily)
	for _, name := range []string{"x", "x", "poison", "x"} {
		l.append(t, audit.Record{Kind: audit.Event, Name: name})
	}
	feed(t, l, audit.Sink{URL: "webhook+" + srv.URL + "/"})
	eventually(t, "the record of the gap", func() bool {
		for _, r := range scan(t, l.data) {
			if r.Name == audit.SinkGap {
				return r.Detail["from"] == "4" && r.Detail["to"] == "4"
			}
		}
		return false
	})
	l.stop(t)
	mu.Lock()
	defer mu.Unlock()
	for _, seq := range []uint64{1, 2, 3, 5, 6} {
		if !seen[seq] {
			t.Errorf("record %d was not passed on", seq)
		}
	}
	if seen[4] {
		t.Error("the test's receiver took the poison")
	}
}

// AUD-15, T66: syslog is RFC 5424, one message a record, whatever stands in it; over TCP with its length before it.
func TestAUD15_syslog(t *testing.T) {
	t.Parallel()
	message := regexp.MustCompile(`^<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ comfygate \d+ [!-~]+ \[comfygate@32473 origin="[^"]+" seq="(\d+)"\] (\{.*\})$`)
	evil := audit.Record{Kind: audit.Event, Name: "x\n<1>1 - - - - - - forged", Severity: audit.High, Principal: "a]\"\\\r\n"}
	check := func(t *testing.T, got []string) {
		t.Helper()
		for i, m := range got {
			parts := message.FindStringSubmatch(m)
			if parts == nil || parts[2] != strconv.Itoa(i+1) || !json.Valid([]byte(parts[3])) {
				t.Errorf("message %d is %q", i+1, m)
			}
		}
		if len(got) < 2 || !strings.HasPrefix(got[1], "<107>") { // log audit, error
			t.Errorf("messages %q", got)
		}
	}
	t.Run("tcp", func(t *testing.T) {
		t.Parallel()
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lis.Close() })
		got := make(chan []string, 1)
		go func() {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			defer conn.Close() //nolint:errcheck // it was only read
			var list []string
			for r := bufio.NewReader(conn); ; {
				var n int
				if _, err := fmt.Fscanf(r, "%d", &n); err != nil {
					break
				}
				b := make([]byte, n+1) // the space, and the message
				if _, err := io.ReadFull(r, b); err != nil {
					break
				}
				if !strings.Contains(string(b), " checkpoint ") {
					list = append(list, string(b[1:]))
				}
			}
			got <- list
		}()
		l := open(t, t.TempDir(), lazily)
		feed(t, l, audit.Sink{URL: "syslog+tcp://" + lis.Addr().String()})
		l.append(t, evil)
		l.stop(t)
		list := <-got
		if len(list) != 3 {
			t.Errorf("%d messages", len(list))
		}
		check(t, list)
	})
	t.Run("udp", func(t *testing.T) {
		t.Parallel()
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		l := open(t, t.TempDir(), lazily)
		feed(t, l, audit.Sink{URL: "syslog+udp://" + conn.LocalAddr().String()})
		l.append(t, evil)
		l.stop(t)
		var list []string
		b := make([]byte, 70_000)
		for len(list) < 3 {
			if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, string(b[:n]))
		}
		check(t, list)
	})
}

// AUD-15: OTLP logs, in its JSON encoding.
func TestAUD15_otlp(t *testing.T) {
	t.Parallel()
	bodies := make(chan []byte, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		bodies <- body
	}))
	t.Cleanup(srv.Close)
	l := open(t, t.TempDir(), lazily)
	feed(t, l, audit.Sink{URL: "otlp+" + srv.URL + "/v1/logs"})
	intent, _ := call("c1")
	l.append(t, intent)
	l.stop(t)
	close(bodies)
	seen := map[string]bool{}
	for body := range bodies {
		var req struct {
			ResourceLogs []struct {
				Resource  struct{ Attributes []struct{ Key string } }
				ScopeLogs []struct {
					LogRecords []struct {
						TimeUnixNano   string
						SeverityNumber int
						Body           struct{ StringValue string }
						Attributes     []struct {
							Key   string
							Value struct{ StringValue string }
						}
					}
				}
			}
		}
		if err := json.Unmarshal(body, &req); err != nil {
			t.Fatal(err)
		}
		for _, r := range req.ResourceLogs[0].ScopeLogs[0].LogRecords {
			if n, err := strconv.ParseInt(r.TimeUnixNano, 10, 64); err != nil || time.Since(time.Unix(0, n)) > time.Minute || r.SeverityNumber != 9 || r.Body.StringValue == "" {
				t.Errorf("record %+v", r)
			}
			for _, a := range r.Attributes {
				seen[a.Key+"="+a.Value.StringValue] = true
			}
		}
	}
	for _, want := range []string{"audit.seq=1", "audit.seq=2", "audit.kind=intent", "audit.call_id=c1", "audit.tool=generate", "audit.principal=ann", "audit.kind=checkpoint"} {
		if !seen[want] {
			t.Errorf("no attribute %s", want)
		}
	}
}

func TestAUD15_stdout_and_settings(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), lazily)
	var out bytes.Buffer
	feed(t, l, audit.Sink{URL: "stdout", Stdout: &out})
	l.stop(t)
	if n := strings.Count(out.String(), `"record":{"seq":`); n != 2 || !strings.Contains(out.String(), `"checkpoint":"`) {
		t.Errorf("stdout got %s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("stdout got %q", line)
		}
	}
	l = open(t, t.TempDir(), lazily)
	for url, want := range map[string]string{
		"stdout": "stdout belongs to", "ftp://x": "none of", "syslog+udp://127.0.0.1:1": "cannot be required", "": "a URL",
	} {
		if err := l.Feed(t.Context(), []audit.Sink{{URL: url, Required: true}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", url, err)
		}
	}
	if err := l.Feed(t.Context(), make([]audit.Sink, 17)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("many sinks: %v", err)
	}
}
