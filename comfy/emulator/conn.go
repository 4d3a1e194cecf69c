package emulator

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeBuffer is how many bytes one side may be ahead of the other, about what
// two sockets of a kernel hold.
const pipeBuffer = 512 << 10

// half is one direction of an in-memory connection: a bounded buffer with
// deadlines on both ends.
type half struct {
	mu       sync.Mutex
	buf      []byte
	off      int           // buf[off:] is yet to be read
	wake     chan struct{} // closed and replaced at every change
	noMore   bool          // the writer has closed: what is left, then EOF
	broken   bool          // the reader has closed: writing fails
	readDue  time.Time
	writeDue time.Time
}

func newHalf() *half { return &half{wake: make(chan struct{})} }

// changed wakes everybody who waits; the lock is held.
func (h *half) changed() {
	close(h.wake)
	h.wake = make(chan struct{})
}

// await waits for a change or the deadline; the lock is held before and after.
func (h *half) await(due time.Time) error {
	var expired <-chan time.Time
	if !due.IsZero() {
		left := time.Until(due)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		expired = timer.C
	}
	wake := h.wake
	h.mu.Unlock()
	defer h.mu.Lock()
	select {
	case <-wake:
		return nil
	case <-expired:
		return os.ErrDeadlineExceeded
	}
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.broken:
			return 0, net.ErrClosed
		case !h.readDue.IsZero() && !time.Now().Before(h.readDue):
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > h.off || len(p) == 0:
			n := copy(p, h.buf[h.off:])
			if h.off += n; h.off == len(h.buf) {
				h.buf, h.off = h.buf[:0], 0
			}
			h.changed()
			return n, nil
		case h.noMore:
			return 0, io.EOF
		}
		if err := h.await(h.readDue); err != nil {
			return 0, err
		}
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	written := 0
	for {
		switch {
		case h.noMore:
			return written, net.ErrClosed
		case h.broken:
			return written, syscall.EPIPE
		case !h.writeDue.IsZero() && !time.Now().Before(h.writeDue):
			return written, os.ErrDeadlineExceeded
		}
		if room := pipeBuffer - (len(h.buf) - h.off); room > 0 {
			n := min(room, len(p))
			if h.off > 0 && len(h.buf)+n > cap(h.buf) {
				h.buf, h.off = h.buf[:copy(h.buf, h.buf[h.off:])], 0
			}
			h.buf = append(h.buf, p[:n]...)
			written += n
			p = p[n:]
			h.changed()
		}
		if len(p) == 0 {
			return written, nil
		}
		if err := h.await(h.writeDue); err != nil {
			return written, err
		}
	}
}

func (h *half) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.changed()
}

// memAddr is the address of both ends.
type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return "embedded" }

// memConn is one end of an in-memory connection. As with TCP, bytes that were
// written before the other end closed are still read.
type memConn struct{ in, out *half }

func newPipe() (client, server *memConn) {
	up, down := newHalf(), newHalf()
	return &memConn{in: down, out: up}, &memConn{in: up, out: down}
}

func (c *memConn) Read(p []byte) (int, error)  { return opError("read", c.in.read)(p) }
func (c *memConn) Write(p []byte) (int, error) { return opError("write", c.out.write)(p) }

// opError makes errors look as those of a TCP connection do.
func opError(op string, f func([]byte) (int, error)) func([]byte) (int, error) {
	return func(p []byte) (int, error) {
		n, err := f(p)
		if err != nil && !errors.Is(err, io.EOF) {
			err = &net.OpError{Op: op, Net: "memory", Addr: memAddr{}, Err: err}
		}
		return n, err
	}
}

func (c *memConn) Close() error {
	c.out.set(func() { c.out.noMore = true })
	c.in.set(func() { c.in.broken = true })
	return nil
}

func (*memConn) LocalAddr() net.Addr  { return memAddr{} }
func (*memConn) RemoteAddr() net.Addr { return memAddr{} }

func (c *memConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t) // neither fails
	return c.SetWriteDeadline(t)
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.set(func() { c.in.readDue = t })
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.set(func() { c.out.writeDue = t })
	return nil
}

// memListener hands the server's ends of in-memory connections to http.Server.
type memListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (*memListener) Addr() net.Addr { return memAddr{} }

func (l *memListener) dial(ctx context.Context, network string) (net.Conn, error) {
	client, server := newPipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, refused(network)
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Addr: memAddr{}, Err: context.Cause(ctx)}
	}
}

// refused is the error of a port where nobody listens.
func refused(network string) error {
	return &net.OpError{
		Op: "dial", Net: network, Addr: memAddr{},
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
}
