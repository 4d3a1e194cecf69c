package mcpserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/tools"
)

// partingTime is how long calls may still answer when the client has closed its side.
const partingTime = time.Second

// ServeStdio serves one client over a pair of streams, one message a line, until in ends (nil) or ctx does (its cause). The principal
// is ctx's. Calls that run then are given a moment to answer and then cancelled; their outcomes are recorded in any case. Nothing but
// messages is written to out. A read of in that does not return is left behind when ctx ends.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	if _, ok := auth.FromContext(ctx); !ok {
		return errors.New("mcpserver: stdio without a principal")
	}
	calls, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // a told end is no cancellation of the calls
	defer cancel(nil)
	c := s.newConn("stdio", "stdio-"+newID())

	ended, written := make(chan struct{}), make(chan error, 1)
	go func() {
		written <- c.write(ended, func(b []byte) error {
			_, err := out.Write(append(b, '\n'))
			return err
		})
		cancel(tools.ErrCallerGone) // nobody hears the answers any more
	}()
	read := make(chan error, 1)
	go func() { read <- s.readLines(calls, c, in) }()

	var err error
	select {
	case err = <-read:
	case <-calls.Done():
		err = context.Cause(calls)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	quiet := make(chan struct{})
	go func() {
		c.wait()
		close(quiet)
	}()
	select {
	case <-quiet:
	case <-time.After(partingTime):
		cancel(tools.ErrCallerGone)
		<-quiet
	}
	close(ended)
	if werr := <-written; err == nil || errors.Is(err, tools.ErrCallerGone) {
		err = werr
	}
	return err
}

// readLines takes messages until in ends. Of a line that is too long only so much as is allowed is ever held (MCP-31).
func (s *Server) readLines(ctx context.Context, c *conn, in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for ctx.Err() == nil {
		line, err := readLine(r, int(s.cfg.Bounds.RequestBytes))
		var fault *protocolError
		switch {
		case errors.Is(err, errLongLine):
			fault = &protocolError{
				code: mcp.INVALID_REQUEST,
				text: "the message has more than " + strconv.FormatInt(s.cfg.Bounds.RequestBytes, 10) + " bytes",
			}
			s.refuse(ctx, &request{transport: c.transport, session: c.id, arrived: time.Now()}, envelope{}, fault)
			err = nil
		case len(line) > 0:
			fault = c.receive(ctx, line)
		}
		if fault != nil {
			c.push(ctx, encode(fault))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

var errLongLine = errors.New("line too long")

// readLine returns the next line without its end and surrounding white space. It is the caller's to keep. A last line needs no end.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit+2 { // the end is not counted
			long, line = true, nil
		}
		if !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case long && (err == nil || errors.Is(err, io.EOF)):
			return nil, errors.Join(errLongLine, err)
		}
		return bytes.TrimSpace(line), err
	}
}
