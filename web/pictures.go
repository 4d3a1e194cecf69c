package web

import (
	"net/http"
	"time"

	"go.uber.org/zap"
)

// picture serves the picture or file that a signed link names. Whatever is wrong with a link, the answer is the same. Only a picture is
// shown by a browser; anything else it saves (IMG-04).
func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	f, stored, err := s.cfg.Links.Open(r.PathValue("token"))
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
	disposition := "attachment"
	if stored.Picture {
		disposition = "inline"
	}
	h.Set("Content-Type", stored.Type)
	h.Set("Content-Disposition", disposition+`; filename="`+stored.Name+`"`)                // a name of our own making
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'") // should a browser ever take it for a page
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")                                   // chats show it inside their own pages
	h.Set("ETag", `"`+stored.SHA256+`"`)
	out := &pacedWriter{ResponseWriter: w, control: http.NewResponseController(w), each: s.cfg.WriteTimeout}
	http.ServeContent(out, r, "", stored.Made, f)
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
