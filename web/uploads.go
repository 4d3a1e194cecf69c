package web

import (
	"context"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/mcpserver"
)

// Uploads receives what comes to one-time upload links; *mcpserver.Server does.
type Uploads interface {
	Upload(ctx context.Context, u mcpserver.Upload) (mcpserver.UploadAnswer, error)
}

// uploadPath begins the path of every upload link.
const uploadPath = "/uploads/"

// uploadRate is how fast a body must come in, in bytes a second, once its time to begin is over: people upload from trains, too.
const uploadRate = 64 << 10

// upload receives one picture by a one-time link, which is a credential of its own. Its size is bounded by limitBody, its pace here.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut && r.Method != http.MethodPost { // a chat that looks at links does not use them up
		w.Header().Set("Allow", "PUT, POST")
		s.refuse(w, http.StatusMethodNotAllowed, "send the picture with PUT or POST")
		return
	}
	media, ok := declared(r.Header.Get("Content-Type"))
	if !ok {
		s.refuse(w, http.StatusUnsupportedMediaType, "send the file itself, as image/png, image/jpeg or image/webp, or without Content-Type; no form around it: curl -T picture.png LINK")
		return
	}
	if r.Header.Get("Content-Encoding") != "" {
		s.refuse(w, http.StatusUnsupportedMediaType, "send the file as it is, without Content-Encoding")
		return
	}
	body := &pacedReader{Reader: r.Body, control: http.NewResponseController(w), began: time.Now(), grace: s.cfg.BodyTimeout}
	answer, err := s.cfg.Uploads.Upload(r.Context(), mcpserver.Upload{Token: r.PathValue("token"), Media: media, Body: body})
	_ = body.control.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout)) // some writers of tests cannot
	if err != nil {
		s.cfg.Log.Debug("upload link refused", zap.Error(err))
		w.Header().Set("Connection", "close") // what it sends is not waited for
		s.refuse(w, http.StatusNotFound, "the link is not valid, was used, or has expired")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if answer.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(answer.RetryAfter.Seconds()))))
	}
	if answer.Code != "" {
		drain(body)
	}
	w.WriteHeader(uploadStatus(answer.Code))
	if _, err := w.Write(answer.Body); err != nil {
		s.cfg.Log.Debug("answer could not be sent", zap.Error(err))
	}
}

// declared is the media type that a Content-Type declares, empty where it declares none: by its absence, as bytes, or as what curl says of
// everything that it posts. ok is false for what is no picture by its own account.
func declared(header string) (media string, ok bool) {
	if header == "" {
		return "", true
	}
	media, _, err := mime.ParseMediaType(header)
	switch {
	case err != nil:
		return "", false
	case media == "application/octet-stream", media == "application/x-www-form-urlencoded":
		return "", true
	}
	return media, strings.HasPrefix(media, "image/")
}

// uploadStatus is the status that goes with a fault's code.
func uploadStatus(code string) int {
	switch code {
	case "":
		return http.StatusCreated
	case "RATE_LIMITED":
		return http.StatusTooManyRequests
	case "POLICY_DENIED":
		return http.StatusForbidden
	case "IMAGE_NOT_FOUND":
		return http.StatusNotFound
	case "UPLOAD_PENDING": // somebody else is sending to the same link
		return http.StatusConflict
	case "IMAGE_OUT_OF_BOUNDS":
		return http.StatusRequestEntityTooLarge
	case "UNEXPECTED_OUTPUT_TYPE":
		return http.StatusUnsupportedMediaType
	case "IMAGE_DAMAGED":
		return http.StatusUnprocessableEntity
	case "UPLOAD_INCOMPLETE", "TIMEOUT", "CANCELLED":
		return http.StatusRequestTimeout
	case "RESOURCE_EXHAUSTED", "AUDIT_UNAVAILABLE", "SHUTTING_DOWN":
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// A pacedReader bounds how slowly a body may come in: after its time of grace at uploadRate on the whole (T12).
type pacedReader struct {
	io.Reader

	control *http.ResponseController
	began   time.Time
	grace   time.Duration
	n       int64
}

func (p *pacedReader) Read(b []byte) (int, error) {
	earned := time.Duration(p.n) * time.Second / uploadRate
	_ = p.control.SetReadDeadline(p.began.Add(p.grace + earned)) // some writers of tests cannot
	n, err := p.Reader.Read(b)
	p.n += int64(n)
	return n, err
}
