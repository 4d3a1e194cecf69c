package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// limitBody bounds every body in size (T05) and in the time it may take (T12). Of a body that says it is too large not a byte is read.
// net/http lifts the deadline itself when the body has been read to its end.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most, slack := s.cfg.RequestBytes, int64(0)
		if s.cfg.Uploads != nil && strings.HasPrefix(r.URL.Path, uploadPath) {
			most, slack = s.cfg.UploadBytes, 1 // by which the reader tells a body that is too large from one that ends
		}
		if r.ContentLength > most {
			w.Header().Set("Connection", "close")
			s.refuse(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.FormatInt(most, 10)+" bytes")
			return
		}
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout)) // some writers of tests cannot
			r.Body = http.MaxBytesReader(w, r.Body, most+slack)
		}
		next.ServeHTTP(w, r)
	})
}
