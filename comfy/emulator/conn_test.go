package emulator_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

func TestPipe_copiesAll(t *testing.T) {
	t.Parallel()
	a, b := emulator.Pipe()
	data := make([]byte, 3<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = a.Write(data)
		_ = a.Close()
	}()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
	}
	if _, err := b.Write([]byte("x")); err == nil {
		t.Error("wrote to an end that is closed")
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read from a closed end: %v", err)
	}
	_ = b.Close()
}

func TestPipe_deadlines(t *testing.T) {
	t.Parallel()
	a, b := emulator.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	_ = a.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	var timeout net.Error
	if _, err := a.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("no timeout: %v", err)
	}
	// More than the buffer holds: the deadline comes when some of it is through.
	go func() {
		_, _ = b.Read(make([]byte, 1))
		_ = a.SetWriteDeadline(time.Now())
	}()
	n, err := a.Write(make([]byte, 10<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
		t.Errorf("write: %d, %v", n, err)
	}
	// A deadline that is taken back, or moved while somebody waits, counts.
	_ = a.SetDeadline(time.Time{})
	done := make(chan error, 1)
	go func() {
		_, err := a.Read(make([]byte, 1))
		done <- err
	}()
	_ = a.SetReadDeadline(time.Now())
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("moved deadline: %v", err)
	}
}

func TestDial_canceled(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := s.Dial(ctx, "tcp", "x"); err == nil {
		_ = c.Close() // it may win the race with the cancelled context
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
