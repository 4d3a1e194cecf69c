package emulator

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// route is one method and path with what answers it.
type route struct {
	method  string
	path    string // "/history/{prompt_id}"; a last "{name...}" takes the rest
	apiOnly bool   // not without /api
	bare    bool   // not with /api
	serve   func(*exchange)
}

// exchange is one request on its way to its answer.
type exchange struct {
	*life
	w      http.ResponseWriter
	r      *http.Request
	raw    io.Reader // the body without its bound
	params map[string]string
}

// enter counts a request in, so that the life can wait for it.
func (s *Server) enter() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil || time.Now().Before(s.downUntil) {
		return nil
	}
	s.life.work.Add(1)
	return s.life
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	l := s.enter()
	if l == nil {
		panic(http.ErrAbortHandler) // as if nobody had listened
	}
	defer l.work.Done()
	if s.crossSite(r) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api")
	if path == "" {
		path = "/"
	}
	if s.answerFault(l, w, r, path) {
		return
	}
	rt, params, allowed := s.match(r)
	switch {
	case rt != nil:
		s.count(r.Method + " " + rt.path)
		x := &exchange{life: l, w: w, r: r, raw: r.Body, params: params}
		r.Body = http.MaxBytesReader(nil, r.Body, s.opts.MaxUpload)
		s.serveRoute(rt, x, path)
	case len(allowed) > 0:
		w.Header().Set("Allow", strings.Join(allowed, ","))
		writeText(w, http.StatusMethodNotAllowed, "405: Method Not Allowed")
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Server) count(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[key]++
}

// match finds the route, or the methods that the path allows.
func (s *Server) match(r *http.Request) (*route, map[string]string, []string) {
	path := r.URL.EscapedPath()
	plain, api := strings.CutPrefix(path, "/api/")
	if api {
		path = "/" + plain
	}
	allowed := map[string]bool{}
	for i := range s.routes {
		rt := &s.routes[i]
		if (api && rt.bare) || (!api && rt.apiOnly) || (rt.apiOnly && !s.hasJobs()) {
			continue
		}
		params, ok := matchPath(rt.path, path)
		if !ok {
			continue
		}
		if rt.method == r.Method || (rt.method == http.MethodGet && r.Method == http.MethodHead) {
			return rt, params, nil
		}
		allowed[rt.method] = true
		if rt.method == http.MethodGet {
			allowed[http.MethodHead] = true
		}
	}
	if len(allowed) == 0 && r.Method != http.MethodGet && r.Method != http.MethodHead {
		// The pages of the web front end lie under every other path.
		return nil, nil, []string{http.MethodGet, http.MethodHead}
	}
	return nil, nil, slices.Sorted(maps.Keys(allowed))
}

func (s *Server) hasJobs() bool { return s.kind.jobsAPI && !s.faults.on(faultNoJobs) }

// matchPath compares a pattern with an escaped path, part by part.
func matchPath(pattern, path string) (map[string]string, bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	params := map[string]string{}
	for i, w := range want {
		if i >= len(got) {
			return nil, false
		}
		name, isParam := strings.CutPrefix(w, "{")
		if !isParam {
			if w != got[i] {
				return nil, false
			}
			continue
		}
		value, rest := got[i], strings.HasSuffix(name, "...}")
		if rest {
			value = strings.Join(got[i:], "/")
		}
		plain, err := url.PathUnescape(value)
		if err != nil || (value == "" && !rest) {
			return nil, false
		}
		params[strings.TrimRight(name, ".}")] = plain
		if rest {
			return params, true
		}
	}
	return params, len(want) == len(got)
}

// crossSite says whether ComfyUI takes the request for another site's: a browser
// says so, or a loopback Host and the Origin differ.
func (s *Server) crossSite(r *http.Request) bool {
	if s.kind.secFetch && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return true
	}
	origin := r.Header.Get("Origin")
	if r.Host == "" || origin == "" {
		return false
	}
	from, err := url.Parse(origin)
	if err != nil {
		return false
	}
	to, err := url.Parse("//" + strings.ToLower(r.Host))
	if err != nil || !isLoopback(to.Hostname()) {
		return false
	}
	host, site := to.Host, strings.ToLower(from.Host)
	if from.Port() == "" {
		host = to.Hostname()
	}
	if to.Port() == "" {
		site = strings.ToLower(from.Hostname())
	}
	return host != "" && site != "" && host != site
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// answerFault answers in the route's place, if a fault says so.
func (s *Server) answerFault(l *life, w http.ResponseWriter, r *http.Request, path string) bool {
	for _, k := range faultKinds() {
		code, ok := strings.CutPrefix(k.name, faultHTTP)
		if !ok {
			continue
		}
		if _, hit := s.faults.forRoute(k.name, r.Method, path); hit {
			status, _ := strconv.Atoi(code)
			if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "1")
			}
			writeText(w, status, code+": "+http.StatusText(status))
			return true
		}
	}
	if _, hit := s.faults.forRoute(faultRefuseHTTP, r.Method, path); hit {
		panic(http.ErrAbortHandler)
	}
	if f, hit := s.faults.forRoute(faultSlowHTTP, r.Method, path); hit {
		l.pause(r, f.delay)
	}
	if _, hit := s.faults.forRoute(faultEndlessHTTP, r.Method, path); hit {
		writeEndless(l, w, r)
		return true
	}
	return false
}

// pause waits, but not longer than the request or the life.
func (l *life) pause(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-l.stop:
	}
}

// writeEndless sends the beginning of a JSON list that never ends.
func writeEndless(l *life, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, err := io.WriteString(w, `["`)
	for chunk := strings.Repeat("x", 64<<10); err == nil; {
		select {
		case <-l.stop:
			return
		case <-r.Context().Done():
			return
		default:
			_, err = io.WriteString(w, chunk)
		}
	}
}

// serveRoute runs a route. With a fault on its answer the route works into a
// recorder first, so that its work is done whatever becomes of the answer.
func (s *Server) serveRoute(rt *route, x *exchange, path string) {
	slow, isSlow := s.faults.forRoute(faultSlowAnswer, x.r.Method, path)
	_, hangs := s.faults.forRoute(faultHangHTTP, x.r.Method, path)
	_, cuts := s.faults.forRoute(faultCutHTTP, x.r.Method, path)
	if !isSlow && !hangs && !cuts {
		rt.serve(x)
		return
	}
	w, held := x.w, &heldAnswer{header: http.Header{}, status: http.StatusOK}
	x.w = held
	rt.serve(x)
	switch {
	case cuts:
		panic(http.ErrAbortHandler)
	case hangs:
		x.pause(x.r, forever)
		panic(http.ErrAbortHandler)
	default:
		x.pause(x.r, slow.delay)
		held.writeTo(w)
	}
}

// heldAnswer keeps an answer back.
type heldAnswer struct {
	header http.Header
	status int
	body   []byte
}

func (a *heldAnswer) Header() http.Header { return a.header }

func (a *heldAnswer) WriteHeader(status int) { a.status = status }

func (a *heldAnswer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return len(p), nil
}

func (a *heldAnswer) writeTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may be gone
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may be gone
}

// json answers with a value.
func (x *exchange) json(status int, v any) {
	body, err := encodePython(v)
	if err != nil {
		x.fail()
		return
	}
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // the client may be gone
}

// empty answers with a status alone.
func (x *exchange) empty(status int) { x.w.WriteHeader(status) }

// fail is what an unhandled exception in a handler becomes.
func (x *exchange) fail() {
	writeText(x.w, http.StatusInternalServerError, "500 Internal Server Error\n\nServer got itself in trouble")
}

var errBodyTooLarge = errors.New("body too large")

// body reads the request's body; it has answered 413 if that is too large.
func (x *exchange) body() ([]byte, error) {
	if x.r.ContentLength > x.server.opts.MaxUpload {
		x.tooLarge()
		return nil, errBodyTooLarge
	}
	data, err := io.ReadAll(x.r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		x.tooLarge()
		return nil, errBodyTooLarge
	}
	return data, err
}

// lingering is how much of a refused body is still read, so that the client gets
// to see the answer instead of a broken connection.
const lingering = 256 << 20

func (x *exchange) tooLarge() {
	_, _ = io.CopyN(io.Discard, x.raw, lingering) // whatever is left of it
	limit := strconv.FormatInt(x.server.opts.MaxUpload, 10)
	writeText(x.w, http.StatusRequestEntityTooLarge, "Maximum request body size "+limit+" exceeded.")
}

// value reads the body as JSON, whatever its Content-Type; it has answered if it
// cannot.
func (x *exchange) value() (any, bool) {
	data, err := x.body()
	if errors.Is(err, errBodyTooLarge) {
		return nil, false
	}
	if err == nil {
		var v any
		if v, err = decodePython(data); err == nil {
			return v, true
		}
	}
	x.fail()
	return nil, false
}

// object reads the body as a JSON object; it has answered if it is none.
func (x *exchange) object() (*object, bool) {
	v, ok := x.value()
	if !ok {
		return nil, false
	}
	o, ok := v.(*object)
	if !ok {
		x.fail()
	}
	return o, ok
}
