package images_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/comfygate/comfygate/images"
)

// spoil overwrites the stored bytes of im, so that nothing can be drawn of it any more.
func spoil(tb testing.TB, dir string, im images.Image) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, im.ID+"."+string(im.Format)), make([]byte, im.Bytes), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// What will be asked for of a new picture is drawn of the bytes that came. It is there for the owner of a picture that is there, for none else.
func TestPut_drawsEarly(t *testing.T) {
	t.Parallel()
	const side, room = 100, 50_000
	preview := func(ctx context.Context, s *images.Store, owner, id string) (images.Rendition, error) {
		return s.Preview(ctx, owner, id, side, room)
	}
	render := func(ctx context.Context, s *images.Store, owner, id string) (images.Rendition, error) {
		return s.Render(ctx, owner, id, side, images.WebP, room)
	}
	for name, c := range map[string]struct {
		show  images.Showing
		asks  func(ctx context.Context, s *images.Store, owner, id string) (images.Rendition, error)
		drawn bool
	}{
		"preview":        {images.Showing{Side: side, Bytes: room}, preview, true},
		"format":         {images.Showing{Side: side, Bytes: room, Format: images.WebP}, render, true},
		"nothing":        {images.Showing{}, preview, false},
		"something else": {images.Showing{Side: side, Bytes: room, Format: images.JPEG}, preview, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pictures")
			s := openStore(t, images.StoreConfig{Dir: dir})
			png := pngOf(t, photo(200))
			put := func() images.Image {
				im, _, err := s.PutIf(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, c.show, bytes.NewReader(png), func() error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				return im
			}
			result, _, err := s.PutResult(t.Context(), images.Image{Owner: "o"}, "a.png", images.Bounds{}, c.show, bytes.NewReader(png))
			if err != nil {
				t.Fatal(err)
			}
			want, err := c.asks(t.Context(), s, "o", put().ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, im := range []images.Image{put(), *result.Image} {
				spoil(t, dir, im)
				r, err := c.asks(t.Context(), s, "o", im.ID)
				if c.drawn && (err != nil || !bytes.Equal(r.Data, want.Data)) || !c.drawn && err == nil {
					t.Errorf("%d bytes, %v; drawn early: %t", len(r.Data), err, c.drawn)
				}
				if _, err := c.asks(t.Context(), s, "another", im.ID); !errors.Is(err, images.ErrNotFound) {
					t.Errorf("another is answered %v", err)
				}
				if err := os.Remove(filepath.Join(dir, im.ID+".png")); err != nil {
					t.Fatal(err)
				}
				if _, err := c.asks(t.Context(), s, "o", im.ID); !errors.Is(err, images.ErrNotFound) {
					t.Errorf("of a picture that is gone: %v", err)
				}
			}
		})
	}
}

// CLIENT-FAIL-3: what is drawn of a picture is nowhere before the picture is there, and of one that does not come to be nothing is kept.
func TestPutIf_drawnInVain(t *testing.T) {
	t.Parallel()
	for name, sure := range map[string]error{"wanted": nil, "unwanted": errors.New("not this one")} {
		s := openStore(t, images.StoreConfig{DecodeBytes: 400 * 400 * 8})
		show := images.Showing{Side: 100, Bytes: 50_000}
		_, _, err := s.PutIf(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, show, bytes.NewReader(pngOf(t, photo(200))), func() error {
			release, err := s.Reserve(t.Context(), 400, 400) // all there is: it is drawn by then
			if err != nil {
				return err
			}
			release()
			if held, _ := s.CacheBytes(); held != 0 {
				t.Errorf("%s: %d bytes are there before the picture", name, held)
			}
			return sure
		})
		if closed := s.Close(); !errors.Is(err, sure) || closed != nil {
			t.Fatal(name, err, closed)
		}
		if held, _ := s.CacheBytes(); (held > 0) != (sure == nil) {
			t.Errorf("%s: %d bytes of it are kept", name, held)
		}
	}
}

// SC-55: what is drawn early and the bytes it is drawn of are within what all pictures may take; where that is taken nobody waits.
func TestPutIf_drawsEarlyWithinMemory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir, DecodeBytes: 200 * 200 * 8})
	var kept [2]images.Image
	for i := range kept {
		var err error
		show := images.Showing{Side: 100, Bytes: 50_000}
		if kept[i], _, err = s.PutIf(t.Context(), images.Image{Owner: "o"}, images.Bounds{}, show, bytes.NewReader(pngOf(t, photo(200))), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Preview(t.Context(), "o", kept[0].ID, 100, 50_000); err != nil {
		t.Error(err)
	}
	spoil(t, dir, kept[1])
	if _, err := s.Preview(t.Context(), "o", kept[1].ID, 100, 50_000); err == nil {
		t.Error("it was drawn early, though the memory holds its pixels only")
	}
}

// A panic in what is drawn early is an error of nobody's.
func TestPutIf_drawsEarlyPanics(t *testing.T) {
	t.Parallel()
	if err := images.DrawEarlyPanics(t.Context()); err == nil {
		t.Error("no error")
	}
}
