package images

import (
	"bytes"
	"context"
)

// glimpsePixels bounds a picture that is not kept: ComfyUI's previews have at most 512 pixels a side by default.
const glimpsePixels = 2048 * 2048

// Glimpse returns a rendition of a picture that is not in the store and is not kept, such as a preview of a running job: sniffed,
// bounded and encoded anew, within maxSide pixels a side and maxBytes encoded bytes. Its errors are those of [Store.Put].
func (s *Store) Glimpse(ctx context.Context, data []byte, maxSide, maxBytes int) (Rendition, error) {
	f, err := Sniff(data)
	if err != nil {
		return Rendition{}, err
	}
	var clean bytes.Buffer
	info, err := Strip(&clean, bytes.NewReader(data), f, StripOptions{Bounds: Bounds{Pixels: glimpsePixels}})
	if err != nil {
		return Rendition{}, err
	}
	release, err := s.reserve(ctx, info.Width, info.Height, decodeCost)
	if err != nil {
		return Rendition{}, err
	}
	defer release()
	m, err := decode(f, &clean, info.Width, info.Height)
	if err != nil {
		return Rendition{}, err
	}
	return rendering{side: maxSide, bytes: maxBytes, preview: true}.draw(ctx, m, nil)
}
