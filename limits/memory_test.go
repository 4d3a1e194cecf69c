package limits_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/limits"
)

// SC-55, LIM-02: never more than there is, never more than half for one, and whoever waits gets what is given back.
func TestMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := limits.NewMemory(100, 40)
		take := func(who string, n int64, wait time.Duration) (func(), error) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			return m.Take(ctx, who, n)
		}
		ann, err := take("ann", 40, 0)
		if err != nil {
			t.Fatal(err)
		}
		var busy *limits.BusyError
		if _, err := take("ann", 20, time.Second); !errors.As(err, &busy) || busy.Limit != limits.BodyBytes || busy.Max != 50 {
			t.Errorf("more than half: %v", err)
		}
		if _, err := take("bob", 40, time.Second); err != nil {
			t.Error(err)
		}
		if _, err := take("cyd", 40, time.Second); !errors.As(err, &busy) || busy.Max != 100 {
			t.Errorf("more than there is: %v", err)
		}
		time.AfterFunc(30*time.Second, ann)
		began := time.Now()
		if _, err := take("cyd", 40, time.Minute); err != nil || time.Since(began) != 30*time.Second {
			t.Errorf("what was given back: %v after %v", err, time.Since(began))
		}
		ann() // again does nothing
		if _, err := take("dan", 30, time.Second); err == nil {
			t.Error("it was given back twice")
		}
		if _, err := limits.NewMemory(1, 40).Take(t.Context(), "ann", 40); err != nil {
			t.Errorf("the heaviest does not fit: %v", err)
		}
	})
}

func TestMemory_race(t *testing.T) {
	t.Parallel()
	m := limits.NewMemory(100, 10)
	var held, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			release, err := m.Take(t.Context(), string(rune('a'+i%5)), 10)
			if err != nil {
				t.Error(err)
				return
			}
			if n := held.Add(10); n > most.Load() {
				most.Store(n)
			}
			held.Add(-10)
			release()
		})
	}
	wg.Wait()
	if most.Load() > 100 {
		t.Errorf("%d at once", most.Load())
	}
}
