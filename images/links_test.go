package images_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/images"
)

func newLinks(tb testing.TB, cfg images.LinksConfig) *images.Links {
	tb.Helper()
	l, err := images.NewLinks(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// The table's row "links": a link tells whose picture it is, for 600 s, and cannot be changed.
func TestLinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, images.StoreConfig{})
		l := newLinks(t, images.LinksConfig{Store: s})
		im := put(t, s, pngOf(t, photo(8)))
		token, expires := l.Sign("alice and bob", im.ID)
		if d := time.Until(expires); d > 600*time.Second || d < 599*time.Second {
			t.Errorf("it lives for %s", d)
		}
		if owner, id, err := l.Check(token); owner != "alice and bob" || id != im.ID || err != nil {
			t.Errorf("%q %q %v", owner, id, err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || bytes.Contains(raw, []byte("alice")) || bytes.Contains(raw, []byte(im.ID)) {
			t.Errorf("the token shows what it says (%v)", err)
		}
		upload, _, _, err := l.SignUpload("o", 1)
		if err != nil {
			t.Fatal(err)
		}
		bad := map[string]string{
			"nothing": "", "junk": "abc", "not base64": "!!!", "long": strings.Repeat("A", 1<<20), "cut": token[:len(token)-1],
			"an upload link": upload, "padded": token + "=",
		}
		for i := range raw {
			raw[i] ^= 1
			bad[fmt.Sprint("bit of byte ", i)] = base64.RawURLEncoding.EncodeToString(raw)
			raw[i] ^= 1
		}
		other, _ := newLinks(t, images.LinksConfig{Store: s}).Sign("o", im.ID)
		bad["of another process"] = other
		for name, token := range bad {
			if owner, id, err := l.Check(token); !errors.Is(err, images.ErrLink) || owner != "" || id != "" {
				t.Errorf("%s: %q, %q, %v", name, owner, id, err)
			}
		}
		if _, _, _, err := l.CheckUpload(token); !errors.Is(err, images.ErrLink) {
			t.Errorf("to read, used to upload: %v", err)
		}
		time.Sleep(time.Until(expires) - time.Second)
		if _, _, err := l.Check(token); err != nil {
			t.Errorf("a second before its end: %v", err)
		}
		time.Sleep(time.Second)
		if _, _, err := l.Check(token); !errors.Is(err, images.ErrLink) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// A key that processes share lets one check the other's links.
func TestLinks_sharedKey(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	key := bytes.Repeat([]byte{7}, 32)
	token, _ := newLinks(t, images.LinksConfig{Store: s, Key: key}).Sign("o", strings.Repeat("a", 26))
	if _, _, err := newLinks(t, images.LinksConfig{Store: s, Key: key}).Check(token); err != nil {
		t.Error(err)
	}
	for name, cfg := range map[string]images.LinksConfig{
		"no store": {}, "short key": {Store: s, Key: key[:31]}, "endless": {Store: s, Lifetime: time.Hour}, "negative": {Store: s, Lifetime: -1},
	} {
		if _, err := images.NewLinks(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The table's row "links": an upload link promises an id, which is pending until it is filled, once, by that owner.
func TestLinks_upload(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	l := newLinks(t, images.LinksConfig{Store: s})
	token, id, _, err := l.SignUpload("o", 5000)
	if err != nil {
		t.Fatal(err)
	}
	pending := func(when string) {
		t.Helper()
		_, get := s.Get("o", id)
		_, preview := s.Preview(t.Context(), "o", id, 1, 1)
		if !errors.Is(get, images.ErrPending) || !errors.Is(preview, images.ErrPending) {
			t.Errorf("%s: Get %v, Preview %v", when, get, preview)
		}
		if _, err := s.Get("other", id); !errors.Is(err, images.ErrNotFound) {
			t.Errorf("%s: another sees %v", when, err)
		}
		if owner, got, size, err := l.CheckUpload(token); owner != "o" || got != id || size != 5000 || err != nil {
			t.Errorf("%s: %q %q %d %v", when, owner, got, size, err)
		}
	}
	pending("at first")
	up := images.Image{Owner: "o", ID: id}
	if _, err := s.PutUpload(t.Context(), up, images.Bounds{}, strings.NewReader("no picture")); err == nil {
		t.Error("text was stored")
	}
	pending("after a bad upload")
	if _, err := s.PutUpload(t.Context(), images.Image{Owner: "other", ID: id}, images.Bounds{}, bytes.NewReader(pngOf(t, photo(9)))); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("another filled it: %v", err)
	}
	pending("after another's attempt")

	im, err := s.PutUpload(t.Context(), up, images.Bounds{Bytes: 5000}, bytes.NewReader(pngOf(t, photo(9))))
	if err != nil || im.ID != id {
		t.Fatalf("%+v, %v", im, err)
	}
	if got, err := s.Get("o", id); err != nil || got.Width != 9 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, _, err := l.CheckUpload(token); !errors.Is(err, images.ErrLink) {
		t.Errorf("used twice: %v", err)
	}
	if _, err := s.PutUpload(t.Context(), up, images.Bounds{}, bytes.NewReader(pngOf(t, photo(10)))); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("filled twice: %v", err)
	}
}

// A crash between filling a promise and forgetting it leaves the picture, not the promise.
func TestLinks_uploadThenCrash(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir})
	_, id, _, err := newLinks(t, images.LinksConfig{Store: s}).SignUpload("o", 0)
	if err != nil {
		t.Fatal(err)
	}
	promise := filepath.Join(dir, id+".pending")
	if err := os.Link(promise, promise+".bak"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutUpload(t.Context(), images.Image{Owner: "o", ID: id}, images.Bounds{}, bytes.NewReader(pngOf(t, photo(9)))); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(promise+".bak", promise); err != nil {
		t.Fatal(err)
	}
	if im, err := s.Get("o", id); err != nil || im.Width != 9 {
		t.Errorf("%+v, %v", im, err)
	}
}

// While one uses an upload link, another waits its turn.
func TestLinks_uploadOneAtATime(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	_, id, _, err := newLinks(t, images.LinksConfig{Store: s}).SignUpload("o", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := pngOf(t, photo(30))
	up := images.Image{Owner: "o", ID: id}
	var second error
	meanwhile := callReader(func() { _, second = s.PutUpload(t.Context(), up, images.Bounds{}, bytes.NewReader(b)) })
	if _, err := s.PutUpload(t.Context(), up, images.Bounds{}, io.MultiReader(bytes.NewReader(b[:100]), meanwhile, bytes.NewReader(b[100:]))); err != nil {
		t.Errorf("the first: %v", err)
	}
	if !errors.Is(second, images.ErrPending) {
		t.Errorf("the second: %v", second)
	}
}

// Of many that use an upload link at once, one comes through.
func TestLinks_uploadOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir})
	_, id, _, err := newLinks(t, images.LinksConfig{Store: s}).SignUpload("o", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := pngOf(t, photo(30))
	var done atomic.Int32
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			_, err := s.PutUpload(t.Context(), images.Image{Owner: "o", ID: id}, images.Bounds{}, bytes.NewReader(b))
			switch {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, images.ErrPending) && !errors.Is(err, images.ErrNotFound):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := files(t, dir); done.Load() != 1 || len(got) != 2 {
		t.Errorf("%d came through; files %v", done.Load(), got)
	}
}

// A promise ends with its link.
func TestLinks_uploadExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, images.StoreConfig{})
		l := newLinks(t, images.LinksConfig{Store: s, Lifetime: time.Minute})
		token, id, expires, err := l.SignUpload("o", 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(expires))
		if _, err := s.Get("o", id); !errors.Is(err, images.ErrNotFound) {
			t.Error(err)
		}
		if _, _, _, err := l.CheckUpload(token); !errors.Is(err, images.ErrLink) {
			t.Error(err)
		}
		if _, err := s.PutUpload(t.Context(), images.Image{Owner: "o", ID: id}, images.Bounds{}, bytes.NewReader(pngOf(t, photo(9)))); !errors.Is(err, images.ErrNotFound) {
			t.Error(err)
		}
	})
}

// Promises are bounded for each owner; one that is kept or expires makes room.
func TestLinks_uploadLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, images.StoreConfig{})
		l := newLinks(t, images.LinksConfig{Store: s})
		var last string
		for range 64 {
			_, id, _, err := l.SignUpload("o", 0)
			if err != nil {
				t.Fatal(err)
			}
			last = id
		}
		full := func(when string) {
			t.Helper()
			if _, _, _, err := l.SignUpload("o", 0); !errors.Is(err, images.ErrTooManyLinks) {
				t.Errorf("%s: %v", when, err)
			}
		}
		full("after 64")
		if _, _, _, err := l.SignUpload("other", 0); err != nil {
			t.Errorf("another: %v", err)
		}
		if _, err := s.PutUpload(t.Context(), images.Image{Owner: "o", ID: last}, images.Bounds{}, bytes.NewReader(pngOf(t, photo(2)))); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := l.SignUpload("o", 0); err != nil {
			t.Errorf("after one was used: %v", err)
		}
		full("again")
		time.Sleep(600 * time.Second)
		if _, _, _, err := l.SignUpload("o", 0); err != nil {
			t.Errorf("after all expired: %v", err)
		}
	})
}

func TestLinks_uploadLimitInAll(t *testing.T) {
	t.Parallel()
	l := newLinks(t, images.LinksConfig{Store: openStore(t, images.StoreConfig{})})
	for i := range 1024 {
		if _, _, _, err := l.SignUpload(fmt.Sprint("owner ", i), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, _, err := l.SignUpload("one more", 0); !errors.Is(err, images.ErrTooManyLinks) {
		t.Error(err)
	}
}
