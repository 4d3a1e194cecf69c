package mcpserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/comfygate/comfygate/auth"
)

// newID returns 130 random bits as 26 characters a–z, 2–7.
func newID() string {
	var b [17]byte
	rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))[:26]
}

// errNoSession answers alike for a session that never was, has ended, or is another's (MCP-08).
var errNoSession = errors.New("no such session")

// A capError says that too much is open already.
type capError struct {
	what string
	max  int
}

func (e *capError) Error() string { return "too many " + e.what }

// sessions are the legacy sessions of Streamable HTTP, each bound to its principal, and the count of streams. Its size is bounded (MCP-09).
// An id is 128 random bits, the time, and a MAC over both and the principal: a foreign id is refused before the table is even asked.
type sessions struct {
	macs   sync.Pool // of hash.Hash: to key one anew costs more than to use it
	bounds Bounds
	end    func(id string) // tells mcp-go that an idle session has ended

	mu      sync.Mutex
	open    map[string]*session
	owned   map[string]int
	streams map[string]int
	flowing int
	sweeper *time.Timer
}

type session struct {
	owner string
	used  time.Time
	busy  int                // requests and streams that run in it: a session in use is not idle
	info  mcp.Implementation // what the client calls itself
}

func newSessions(b Bounds, end func(id string)) *sessions {
	s := &sessions{bounds: b, end: end, open: make(map[string]*session), owned: make(map[string]int), streams: make(map[string]int)}
	key := make([]byte, 32)
	rand.Read(key) // never fails
	s.macs.New = func() any { return hmac.New(sha256.New, key) }
	return s
}

// issue opens a session for owner, or is a [*capError].
func (s *sessions) issue(owner string) (string, error) {
	var b [24]byte
	rand.Read(b[:16]) // never fails
	now := time.Now()
	binary.BigEndian.PutUint64(b[16:], uint64(now.UnixNano()))
	id := base64.RawURLEncoding.EncodeToString(append(b[:], s.mac(owner, b[:])...))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.open) >= s.bounds.Sessions:
		return "", &capError{what: "sessions", max: s.bounds.Sessions}
	case s.owned[owner] >= s.bounds.OwnSessions:
		return "", &capError{what: "sessions of yours", max: s.bounds.OwnSessions}
	}
	s.open[id] = &session{owner: owner, used: now}
	s.owned[owner]++
	if s.sweeper == nil {
		s.sweeper = time.AfterFunc(s.interval(), s.sweep)
	}
	return id, nil
}

func (s *sessions) mac(owner string, b []byte) []byte {
	m, _ := s.macs.Get().(hash.Hash)
	defer s.macs.Put(m)
	m.Reset()
	m.Write(b)
	m.Write([]byte(owner))
	return m.Sum(nil)[:16]
}

// enter checks that id is owner's and open, and holds it until leave.
func (s *sessions) enter(owner, id string) (leave func(), err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(b) != 40 || !hmac.Equal(b[24:], s.mac(owner, b[:24])) {
		return nil, errNoSession
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.open[id]
	if one == nil || one.owner != owner {
		return nil, errNoSession
	}
	one.busy++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		one.busy--
		one.used = time.Now()
	}, nil
}

// greet notes what the client of a session calls itself.
func (s *sessions) greet(id string, info mcp.Implementation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.open[id]; one != nil {
		one.info = mcp.Implementation{Name: info.Name, Version: info.Version} // its icons can be large
	}
}

// guest returns a session that was entered, for mcp-go.
func (s *sessions) guest(id string) guest {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := guest{id: id}
	if one := s.open[id]; one != nil {
		g.info = one.info
	}
	return g
}

func (s *sessions) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(id)
}

// remove takes a session, if there is one, off the table. mu is held.
func (s *sessions) remove(id string) {
	if one := s.open[id]; one != nil {
		delete(s.open, id)
		decrement(s.owned, one.owner)
	}
}

func decrement(m map[string]int, key string) {
	if m[key]--; m[key] <= 0 {
		delete(m, key)
	}
}

// stream counts one long-lived stream of owner until release.
func (s *sessions) stream(owner string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.flowing >= s.bounds.Streams:
		return nil, &capError{what: "streams", max: s.bounds.Streams}
	case s.streams[owner] >= s.bounds.OwnStreams:
		return nil, &capError{what: "streams of yours", max: s.bounds.OwnStreams}
	}
	s.flowing++
	s.streams[owner]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flowing--
		decrement(s.streams, owner)
	}), nil
}

func (s *sessions) interval() time.Duration { return max(s.bounds.Idle/4, 10*time.Millisecond) }

// sweep ends idle sessions (MCP-10, BUG-23). Its timer runs only while there are sessions.
func (s *sessions) sweep() {
	s.mu.Lock()
	var idle []string
	for id, one := range s.open {
		if one.busy == 0 && time.Since(one.used) >= s.bounds.Idle {
			idle = append(idle, id)
			s.remove(id) // at once: nobody may enter what is about to end
		}
	}
	s.mu.Unlock()
	for _, id := range idle {
		s.end(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeper = nil
	if len(s.open) > 0 {
		s.sweeper = time.AfterFunc(s.interval(), s.sweep)
	}
}

// close ends all sessions.
func (s *sessions) close() {
	s.mu.Lock()
	all := make([]string, 0, len(s.open))
	for id := range s.open {
		all = append(all, id)
	}
	if s.sweeper != nil {
		s.sweeper.Stop()
		s.sweeper = nil
	}
	s.mu.Unlock()
	for _, id := range all {
		s.end(id)
		s.forget(id)
	}
}

// ResolveSessionIdManager returns mcp-go's view of the sessions, for whoever sent r.
func (s *sessions) ResolveSessionIdManager(r *http.Request) server.SessionIdManager { //nolint:revive,staticcheck // mcp-go's name
	m := manager{sessions: s}
	if r != nil {
		p, _ := auth.FromContext(r.Context())
		m.owner, m.minted = p.Name, requestFrom(r.Context()).session
	}
	return m
}

// A manager is what mcp-go asks about session ids. The guard has asked before, so that no stranger's id comes here.
type manager struct {
	sessions *sessions
	owner    string
	minted   string // what the guard issued for an initialize
}

func (m manager) Generate() string { return m.minted }

func (m manager) Validate(id string) (ended bool, err error) {
	leave, err := m.sessions.enter(m.owner, id)
	if err != nil {
		return false, err
	}
	leave()
	return false, nil
}

func (m manager) Terminate(id string) (notAllowed bool, err error) {
	m.sessions.forget(id)
	return false, nil
}
