package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"go.uber.org/zap"
)

// lookEvery is how often files that may change while the program runs are looked at. They are read, not watched: a folder that is mounted,
// as Kubernetes does, changes without a word.
const lookEvery = 2 * time.Second

// A followed file is one that may change: reload reads it again if it did. After an error what was read before holds.
type followed struct {
	what   string
	reload func() error
}

// follow looks at files every few seconds, and at once at a signal that asks for it, until the house is closed.
func (h *house) follow(ctx context.Context, files ...followed) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	again := make(chan os.Signal, 1)
	signal.Notify(again, reloadSignals...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		said := make(map[string]string, len(files))
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-again:
			}
			for _, f := range files {
				h.look(f, said)
			}
		}
	}()
	h.later("files that may change", func(context.Context) error {
		signal.Stop(again)
		cancel()
		<-done
		return nil
	})
}

// look reads a file again, and tells each of its faults once.
func (h *house) look(f followed, said map[string]string) {
	text := ""
	if err := f.reload(); err != nil {
		text = err.Error()
	}
	if text != said[f.what] && text != "" {
		h.log.Error("a file changed and cannot be used; what was read before holds", zap.String("what", f.what), zap.String("error", text))
	}
	said[f.what] = text
}
