package images

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Errors of [Links].
var (
	// ErrLink answers for a link that was not made here, was changed, is for another purpose or has expired, alike.
	ErrLink = errors.New("the link is not valid or has expired")
	// ErrTooManyLinks answers when an owner waits for too many uploads.
	ErrTooManyLinks = errors.New("too many upload links wait to be used; use one or let one expire")
)

// LinksConfig of [Links]. Store is required.
type LinksConfig struct {
	Store *Store
	// Key is 32 bytes, the same for all processes that are to know each other's links. Empty: a random one, and links end
	// with the process.
	Key      []byte
	Lifetime time.Duration // default 600 s
}

// Links makes and checks links to pictures. A link is its own credential (SC-10's exception): short-lived, for one picture.
// Its token is sealed, not merely signed (AES-256-GCM over owner, id, expiry and size): it cannot be changed, and shows no
// owner to those whose logs it passes. It is safe for concurrent use.
type Links struct {
	store *Store
	seal  cipher.AEAD
	life  time.Duration

	mu      sync.Mutex
	waiting map[string]ticket // promises of this process, by id
}

// NewLinks returns the links of a store.
func NewLinks(cfg LinksConfig) (*Links, error) {
	if cfg.Store == nil {
		return nil, errors.New("images: links without a store")
	}
	if len(cfg.Key) == 0 {
		cfg.Key = make([]byte, 32)
		rand.Read(cfg.Key) // never fails
	}
	if len(cfg.Key) != 32 {
		return nil, fmt.Errorf("images: the links' key has %d bytes, not 32", len(cfg.Key))
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = 600 * time.Second
	}
	if cfg.Lifetime < 0 || cfg.Lifetime >= leftoverAge {
		return nil, fmt.Errorf("images: links that live for %s; less than %s is possible", cfg.Lifetime, leftoverAge)
	}
	block, err := aes.NewCipher(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("images: the links' key: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("images: the links' key: %w", err)
	}
	return &Links{store: cfg.Store, seal: seal, life: cfg.Lifetime, waiting: map[string]ticket{}}, nil
}

// What a link is for; sealed in, so that none can be used for the other.
const (
	toRead  = "comfygate picture link"
	toWrite = "comfygate upload link"
)

// A ticket is what a token says, and what a promise on disk says.
type ticket struct {
	Expires int64 // Unix seconds
	Bytes   int64 // of an upload, at most
	ID      string
	Owner   string // last, because it may hold anything
}

func (t ticket) text() []byte {
	return fmt.Appendf(nil, "%d %d %s %s", t.Expires, t.Bytes, t.ID, t.Owner)
}

// readTicket reads what text wrote. ok is false for anything else and for a ticket that has expired.
func readTicket(text []byte) (t ticket, ok bool) {
	part := strings.SplitN(string(text), " ", 4)
	if len(part) != 4 {
		return ticket{}, false
	}
	expires, err1 := strconv.ParseInt(part[0], 10, 64)
	size, err2 := strconv.ParseInt(part[1], 10, 64)
	if err1 != nil || err2 != nil || !validID(part[2]) || time.Now().Unix() >= expires {
		return ticket{}, false
	}
	return ticket{Expires: expires, Bytes: size, ID: part[2], Owner: part[3]}, true
}

// Sign returns a token with which anyone can read owner's picture id until expires. Whether there is such a picture is asked when it is used.
func (l *Links) Sign(owner, id string) (token string, expires time.Time) {
	return l.sign(toRead, ticket{Owner: owner, ID: id})
}

func (l *Links) sign(purpose string, t ticket) (token string, expires time.Time) {
	expires = time.Now().Add(l.life).Truncate(time.Second)
	t.Expires = expires.Unix()
	sealed := l.seal.Seal(nil, nil, t.text(), []byte(purpose)) //nolint:gosec // this AEAD makes its own random nonce
	return base64.RawURLEncoding.EncodeToString(sealed), expires
}

// Check returns whose picture a token lets its bearer read, or [ErrLink]. The picture is then to be opened as that owner.
func (l *Links) Check(token string) (owner, id string, err error) {
	t, err := l.open(toRead, token)
	return t.Owner, t.ID, err
}

// maxToken bounds a token's length: more is not worth a decryption.
const maxToken = 2048

func (l *Links) open(purpose, token string) (ticket, error) {
	if len(token) > maxToken {
		return ticket{}, ErrLink
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return ticket{}, ErrLink
	}
	plain, err := l.seal.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return ticket{}, ErrLink
	}
	t, ok := readTicket(plain)
	if !ok {
		return ticket{}, ErrLink
	}
	return t, nil
}

// Promises at most, unused: of one owner, and in all.
const (
	maxPromises      = 64
	maxPromisesInAll = 1024
)

// SignUpload promises owner a new picture id and returns a token with which anyone can upload it, once, with at most
// maxBytes, until expires. The id reads [ErrPending] until then. [ErrTooManyLinks] if 64 of the owner's wait, or 1024 in all.
func (l *Links) SignUpload(owner string, maxBytes int64) (token, id string, expires time.Time, err error) {
	id = newID()
	token, expires = l.sign(toWrite, ticket{Owner: owner, ID: id, Bytes: maxBytes})
	if err := l.promise(ticket{Owner: owner, ID: id, Expires: expires.Unix()}); err != nil {
		return "", "", time.Time{}, err
	}
	return token, id, expires, nil
}

// CheckUpload returns whose picture a token lets its bearer upload, and how large it may be, or [ErrLink], also when it was
// used already. The bytes go to [Store.PutUpload] with that owner and id.
func (l *Links) CheckUpload(token string) (owner, id string, maxBytes int64, err error) {
	t, err := l.open(toWrite, token)
	if err == nil && !l.store.pending(t.Owner, t.ID) {
		return "", "", 0, ErrLink
	}
	return t.Owner, t.ID, t.Bytes, err
}

// promise writes t down, if not too many wait.
func (l *Links) promise(t ticket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full(t.Owner) { // by what was promised; ask the disk what was kept meanwhile
		maps.DeleteFunc(l.waiting, func(id string, w ticket) bool { return !l.store.pending(w.Owner, id) })
		if l.full(t.Owner) {
			return ErrTooManyLinks
		}
	}
	if err := l.store.writeFile(t.ID, pendingExt, t.text()); err != nil {
		return err
	}
	l.waiting[t.ID] = t
	return nil
}

// full reports whether owner, or all together, have promised all they may.
func (l *Links) full(owner string) bool {
	mine := 0
	for _, w := range l.waiting {
		if w.Owner == owner {
			mine++
		}
	}
	return mine >= maxPromises || len(l.waiting) >= maxPromisesInAll
}

// pendingExt ends the name of a file that stands for a promised picture.
const pendingExt = ".pending"

// pending reports whether id is promised to owner and not uploaded yet.
func (s *Store) pending(owner, id string) bool {
	b, err := s.readFile(id + pendingExt)
	if err != nil {
		return false
	}
	t, ok := readTicket(b)
	return ok && t.Owner == owner && t.ID == id
}
