package comfy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/config"
)

// SC-56: a peer that gives a byte a second is cut, each kind of call in its own time, and the caller's own end is the caller's.
func TestSec_SC56_slowPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		drip := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
		}
		for _, route := range []string{"GET /queue", "GET /object_info", "GET /view", "POST /prompt", "POST /upload/image", "GET /jobs/*", "GET /history/*"} {
			f.on(route, drip)
		}
		c := f.client(func(cfg *comfy.Config) {
			cfg.Timeouts = comfy.Timeouts{Read: 30 * time.Second, Queue: 10 * time.Second, Submit: 60 * time.Second, Image: 40 * time.Second}
		})
		calls := everyCall(c)
		for name, within := range map[string]time.Duration{
			"Queue": 10 * time.Second, "ObjectInfo": 30 * time.Second, "View": 40 * time.Second, "Upload": 40 * time.Second,
		} {
			began := time.Now()
			if err := calls[name](t.Context()); !errors.Is(err, comfy.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(began); took != within {
				t.Errorf("%s took %v, want %v", name, took, within)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := calls["Queue"](ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, comfy.ErrUnreachable) {
			t.Errorf("the caller's deadline: %v", err)
		}
	})
}

// CLIENT-TIME-1: the defaults, by what they cut.
func TestTimeouts_CLIENT_TIME_1(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		hold := func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or its end is not noticed
			<-r.Context().Done()
		}
		for _, route := range []string{"GET /queue", "GET /embeddings", "GET /view", "POST /upload/image", "POST /prompt"} {
			f.on(route, hold)
		}
		c := f.client()
		for name, want := range map[string]time.Duration{
			"Queue": 10 * time.Second, "Embeddings": 30 * time.Second, "View": 60 * time.Second, "Upload": 60 * time.Second,
		} {
			began := time.Now()
			if err := everyCall(c)[name](t.Context()); !errors.Is(err, comfy.ErrUnreachable) || time.Since(began) != want {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		}
	})
}

// CLIENT-TIME-2: a download may take long as long as its own time lasts, whatever the other calls' are.
func TestView_CLIENT_TIME_2(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.on("GET /view", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
		})
		c := f.client(func(cfg *comfy.Config) { cfg.Timeouts.Image = 110 * time.Second; cfg.Timeouts.Read = time.Second })
		if n, err := c.View(t.Context(), comfy.Output{Filename: "a"}, io.Discard); err != nil || n != 100 {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// CLIENT-AUTH-3, CLIENT-AUTH-5, CLIENT-SEC-13: whatever goes wrong, no line of the log holds a credential, at any level.
func TestLog_CLIENT_AUTH_3(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.DebugLevel)
		for _, down := range []bool{false, true} {
			f := newFake(t, "")
			f.noWS = true
			f.on("GET /queue", func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "/home/secret Traceback", http.StatusInternalServerError)
			})
			c := f.client(func(cfg *comfy.Config) {
				cfg.Log = zap.New(core)
				cfg.Username, cfg.Password, cfg.QueryToken = "me", config.NewSecret("s3cret"), config.NewSecret("t0ken")
				cfg.APIKey, cfg.AuthHeader = config.NewSecret("s3cret"), "X-Key"
			})
			f.pipes.turn(down)
			for _, call := range everyCall(c) {
				if err := call(t.Context()); secretIn(err) {
					t.Error(err)
				}
			}
			time.Sleep(time.Minute)
		}
		said := false
		for _, line := range lines.All() {
			text := fmt.Sprint(line.Message, line.ContextMap())
			if strings.Contains(text, "s3cret") || strings.Contains(text, "t0ken") || strings.Contains(text, "bWU6") {
				t.Errorf("the log holds a credential: %s", text)
			}
			if has := strings.Contains(text, "/home/secret"); has && line.Level != zap.DebugLevel {
				t.Errorf("a server's text at level %v", line.Level) // SC-61
			} else if has {
				said = true
			}
		}
		if !said {
			t.Error("the server's text is nowhere")
		}
	})
}
