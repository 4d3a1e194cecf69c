package web

import (
	"net/http"
	"strconv"
	"time"
)

// limitBody bounds every body in size (T05) and in the time it may take (T12). Of a body that says it is too large not a byte is read.
// net/http lifts the deadline itself when the body has been read to its end.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.cfg.RequestBytes {
			w.Header().Set("Connection", "close")
			s.refuse(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.FormatInt(s.cfg.RequestBytes, 10)+" bytes")
			return
		}
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout)) // some writers of tests cannot
			r.Body = http.MaxBytesReader(w, r.Body, s.cfg.RequestBytes)
		}
		next.ServeHTTP(w, r)
	})
}
