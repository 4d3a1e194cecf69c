//go:build unix

package images_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/comfygate/comfygate/images"
)

// SC-49: a pipe without a writer is not waited for.
func TestInputs_pipe(t *testing.T) {
	t.Parallel()
	dir, in := inputRoot(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.png"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := in.Open("pipe.png")
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, images.ErrNoFile) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the pipe's other end")
	}
}
