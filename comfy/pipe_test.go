package comfy_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
)

// pipeListener is a network in memory with a switch.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}

	mu    sync.Mutex
	down  bool
	open  []net.Conn
	dials int
}

func newPipes() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (p *pipeListener) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	p.mu.Lock()
	p.dials++
	down := p.down
	p.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		p.mu.Lock()
		p.open = append(p.open, near)
		p.mu.Unlock()
		return near, nil
	case <-p.done:
	case <-ctx.Done():
	}
	_, _ = near.Close(), far.Close()
	return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
}

// turn cuts all connections and refuses new ones, or accepts again.
func (p *pipeListener) turn(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for _, c := range p.open {
		_ = c.Close()
	}
	p.open = nil
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, errors.New("closed")
	}
}

func (p *pipeListener) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (*pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8188} }
