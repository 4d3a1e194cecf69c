package images_test

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"testing"

	"github.com/comfygate/comfygate/images"
)

// TestGlimpse: what is not kept is bounded as strictly as what is (IMG-01, IMG-04, T43).
func TestGlimpse(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	r, err := s.Glimpse(t.Context(), pngOf(t, photo(300)), 128, 20_000)
	if err != nil || r.Format != images.JPEG || len(r.Data) > 20_000 {
		t.Fatalf("%s of %d bytes, %v; want a small JPEG", r.Format, len(r.Data), err)
	}
	if m, err := jpeg.Decode(bytes.NewReader(r.Data)); err != nil || m.Bounds() != image.Rect(0, 0, 128, 128) {
		t.Errorf("it decodes to %v, %v", m, err)
	}
	for name, data := range map[string][]byte{
		"nothing":     nil,
		"a page":      []byte("<html></html>"),
		"cut off":     pngOf(t, photo(64))[:60],
		"a large one": bigPNG(1000), // its header says 2304 × 2304
	} {
		if _, err := s.Glimpse(t.Context(), data, 128, 20_000); err == nil {
			t.Errorf("%s was shown", name)
		}
	}
	if list, err := s.Get("", "aaaaaaaaaaaaaaaaaaaaaaaaaa"); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("something was kept: %v", list)
	}
}
