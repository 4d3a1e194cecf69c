package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/audit"
)

// A list is a log in memory.
type list struct {
	mu      sync.Mutex
	records []audit.Record
	fault   error
	during  func(audit.Record) // called before each append, if set
}

func (l *list) Append(_ context.Context, r audit.Record) error {
	if l.during != nil {
		l.during(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return l.fault
	}
	l.records = append(l.records, r)
	return nil
}

func (l *list) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = err
}

// take returns what was recorded since the last time.
func (l *list) take() []audit.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	records := l.records
	l.records = nil
	return records
}

func denial(principal string, n int) audit.Record {
	return audit.Record{
		Kind: audit.DecisionK, CallID: "c" + strconv.Itoa(n), Principal: principal, Method: "token", Transport: "http", Tool: "generate",
		Decision: "deny", Rule: "limit:generate_per_minute", Status: audit.StatusDenied, Code: "RATE_LIMITED", PolicyHash: "p0",
	}
}

// flood sends denials and fails if one isn't taken.
func flood(t *testing.T, d *audit.Denials, principal string, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := d.Denied(t.Context(), denial(principal, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// AUD-18, LIM-06: above 50 denials a second per principal they become one record with a count and the first and last call id.
func TestAUD18_denials_above_50_a_second(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log list
		d := audit.NewDenials(&log)
		begun := time.Now().UTC()
		flood(t, d, "eve", 0, 5000)
		flood(t, d, "ann", 0, 50)
		if got := len(log.take()); got != 100 {
			t.Errorf("%d records at once, want 50 of each", got)
		}
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		want := denial("eve", 0)
		want.CallID, want.Severity, want.Count = "", audit.Medium, 4950
		at := begun.Format(time.RFC3339Nano)
		want.Detail = map[string]string{"first_call": "c50", "last_call": "c4999", "from": at, "to": at}
		if d := cmp.Diff([]audit.Record{want}, log.take()); d != "" {
			t.Error(d)
		}

		// The next second begins anew, and ends without a record where there is nothing to add.
		flood(t, d, "eve", 5000, 5050)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if got := len(log.take()); got != 50 {
			t.Errorf("%d records in the next second, want 50", got)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// An aggregate says only what all of its denials say, and one kind isn't counted into another.
func TestAUD18_what_an_aggregate_says(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log list
		d := audit.NewDenials(&log)
		for n := range 60 {
			failure := audit.Record{Kind: audit.Event, Name: audit.AuthFailure, Transport: "http"}
			other := denial("eve", n)
			if n%2 == 1 {
				other.Tool, other.Code, other.Rule = "upscale", "SECURITY_ERROR", "paths"
			}
			if err := errors.Join(d.Denied(t.Context(), failure), d.Denied(t.Context(), other)); err != nil {
				t.Fatal(err)
			}
		}
		log.take()
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[audit.Kind]audit.Record{}
		for _, r := range log.take() {
			r.Detail = nil
			got[r.Kind] = r
		}
		want := map[audit.Kind]audit.Record{
			audit.Event: {Kind: audit.Event, Name: audit.AuthFailure, Severity: audit.Medium, Transport: "http", Count: 10},
			audit.DecisionK: {
				Kind: audit.DecisionK, Principal: "eve", Method: "token", Transport: "http", Decision: "deny", Status: audit.StatusDenied,
				PolicyHash: "p0", Count: 10,
			},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// While the log can't be written the count goes on, and no denial is lost from it.
func TestAUD18_log_that_fails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log list
		d := audit.NewDenials(&log)
		flood(t, d, "eve", 0, 60)
		log.fail(audit.ErrUnwritable)
		time.Sleep(1500 * time.Millisecond) // an aggregate of 10 fails
		flood(t, d, "eve", 60, 70)          // and takes these in
		time.Sleep(10 * time.Second)
		if err := d.Denied(t.Context(), denial("ann", 0)); !errors.Is(err, audit.ErrUnwritable) {
			t.Errorf("a single denial: %v", err)
		}
		log.fail(nil)
		log.take()
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		records := log.take()
		if len(records) != 1 || records[0].Count != 20 || records[0].Detail["first_call"] != "c50" || records[0].Detail["last_call"] != "c69" {
			t.Errorf("recorded %+v", records)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Denials that come while an aggregate fails to be written are counted together with it.
func TestAUD18_merge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		during int // denials that come then
		count  int // of the aggregate in the end
		last   string
	}{{"few", 10, 10, "c59"}, {"many", 70, 30, "c169"}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log list
				var once sync.Once
				d := audit.NewDenials(&log)
				log.during = func(r audit.Record) {
					if r.Count > 0 {
						once.Do(func() {
							flood(t, d, "eve", 100, 100+tc.during)
							log.fail(audit.ErrUnwritable)
						})
					}
				}
				flood(t, d, "eve", 0, 60)
				time.Sleep(1100 * time.Millisecond)
				synctest.Wait()
				log.fail(nil)
				log.take()
				time.Sleep(3 * time.Second)
				synctest.Wait()
				records := log.take()
				if len(records) != 1 || records[0].Count != tc.count || records[0].Detail["first_call"] != "c50" || records[0].Detail["last_call"] != tc.last {
					t.Errorf("recorded %+v", records)
				}
				if err := d.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// T51: made-up principals share an aggregate when too many are counted apart.
func TestAUD18_many_principals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log list
		d := audit.NewDenials(&log)
		const principals = 5000
		for n := range principals {
			if err := d.Denied(t.Context(), denial(fmt.Sprint("p", n), n)); err != nil {
				t.Fatal(err)
			}
		}
		singly := log.take()
		if len(singly) != 1024+50 {
			t.Errorf("%d records, want 1024 principals' and 50 of the others", len(singly))
		}
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		records := log.take()
		if len(records) != 1 || records[0].Principal != audit.Others || records[0].Count != principals-1024-50 {
			t.Errorf("recorded %+v", records)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Close writes what is left; what comes later is recorded singly; an error is told.
func TestDenials_Close(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log list
		d := audit.NewDenials(&log)
		flood(t, d, "eve", 0, 70)
		log.take()
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if records := log.take(); len(records) != 1 || records[0].Count != 20 {
			t.Errorf("recorded %+v", records)
		}
		flood(t, d, "eve", 0, 70)
		if n := len(log.take()); n != 70 {
			t.Errorf("%d of 70 records after Close", n)
		}

		d = audit.NewDenials(&log)
		flood(t, d, "eve", 0, 70)
		log.fail(audit.ErrUnwritable)
		if err := d.Close(t.Context()); !errors.Is(err, audit.ErrUnwritable) {
			t.Errorf("got %v, want ErrUnwritable", err)
		}
	})
}

func TestDenials_at_once(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, nil)
	d := audit.NewDenials(l)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := range 50 {
				if err := d.Denied(t.Context(), denial("eve", w*100+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.stop(t)
	sum := 0
	for _, r := range scan(t, data) {
		if r.Kind == audit.DecisionK {
			sum += max(1, r.Count)
		}
	}
	if sum != 16*50 {
		t.Errorf("%d denials are recorded, want %d", sum, 16*50)
	}
	verified(t, data)
}
