package web

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// limitBody bounds every body in size (T05) and in the time it may take (T12). Of a body that says it is too large not a byte is read.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.cfg.RequestBytes {
			w.Header().Set("Connection", "close")
			s.refuse(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.FormatInt(s.cfg.RequestBytes, 10)+" bytes")
			return
		}
		if r.ContentLength != 0 {
			control := http.NewResponseController(w)
			_ = control.SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout)) // some writers of tests cannot
			r.Body = &timedBody{http.MaxBytesReader(w, r.Body, s.cfg.RequestBytes), control}
		}
		next.ServeHTTP(w, r)
	})
}

// A timedBody lifts its deadline when it has been read: net/http goes on reading then, to see when the caller goes, and would
// take a deadline that passes for that.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) { // after any other error the server still reads on, to be rid of the rest
		_ = b.control.SetReadDeadline(time.Time{}) // as above
	}
	return n, err
}
