package web

import (
	"net/http"
	"time"

	"go.uber.org/zap"
)

// picture serves the picture that a signed link names. Whatever is wrong with a link, the answer is the same.
func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	f, im, err := s.cfg.Links.Open(r.PathValue("token"))
	if err != nil {
		s.cfg.Log.Debug("picture link refused", zap.Error(err))
		s.refuse(w, http.StatusNotFound, "the link is not valid or has expired")
		return
	}
	defer func() {
		if err := f.Close(); err != nil {
			s.cfg.Log.Debug("closing picture", zap.Error(err))
		}
	}()
	h := w.Header()
	h.Set("Content-Type", im.Format.MIME())
	h.Set("Content-Disposition", `inline; filename="`+im.ID+"."+string(im.Format)+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'") // should a browser ever take it for a page
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")                                   // chats show it inside their own pages
	h.Set("ETag", `"`+im.SHA256+`"`)
	out := &pacedWriter{ResponseWriter: w, control: http.NewResponseController(w), each: s.cfg.WriteTimeout}
	http.ServeContent(out, r, "", im.Made, f)
}

// A pacedWriter gives each write its own deadline: a large picture may take long, a client that stopped reading may not.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	each    time.Duration
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.each)) // some writers of tests cannot
	return p.ResponseWriter.Write(b)
}
