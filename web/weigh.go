package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/auth"
)

const (
	lightBody = 64 << 10        // of which no account is kept
	bodyWait  = 5 * time.Second // for memory to receive a larger one
)

// weigh lets a large body in only while there is memory for it, however many come at once: the layers above hold it several times over
// until its call has ended (SC-55). It stands behind authentication, so that strangers take no memory from anybody.
func (s *Server) weigh(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		weight, err := s.weightOf(r)
		if err != nil || weight == 0 {
			next.ServeHTTP(w, r) // a body that cannot be read is told by who reads it
			return
		}
		who, _ := auth.FromContext(r.Context())
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.BodyWait)
		defer cancel()
		release, err := s.bodies.Take(ctx, who.Name, weight)
		if err != nil {
			s.cfg.Log.Info("no memory for a large request", zap.String("principal", who.Name), zap.Int64("bytes", weight), zap.Error(err))
			w.Header().Set("Retry-After", strconv.Itoa(int(bodyWait/time.Second)))
			drain(r.Body)
			s.refuse(w, http.StatusServiceUnavailable, "too many large requests at once: try again in a moment")
			return
		}
		defer release()
		next.ServeHTTP(w, r)
	})
}

// drain reads what a caller sends, so that it hears why it is refused: most programs listen only when they have sent all. Size and time are
// bounded as those of any body.
func drain(body io.Reader) {
	_, _ = io.Copy(io.Discard, body) // whoever breaks off does not want to hear
}

// weightOf is how much of a body account is kept of: nothing of a light one. One that does not say its length is looked at as far as tells.
func (s *Server) weightOf(r *http.Request) (int64, error) {
	if r.ContentLength >= 0 {
		if r.ContentLength <= lightBody {
			return 0, nil
		}
		return r.ContentLength, nil
	}
	head := bufio.NewReaderSize(r.Body, lightBody+1)
	r.Body = struct {
		io.Reader
		io.Closer
	}{head, r.Body}
	_, err := head.Peek(lightBody + 1)
	switch {
	case errors.Is(err, io.EOF):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return s.cfg.RequestBytes, nil
}
