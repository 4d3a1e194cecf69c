package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/comfygate/comfygate/images"
)

// measurePictures takes the work on the picture itself: strip and store of 16 MiB against a raw copy, and the preview of 1024 × 1024.
func measurePictures(ctx context.Context, _ string) ([]row, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	store, err := images.OpenStore(images.StoreConfig{Dir: filepath.Join(dir, "pictures"), Generator: "bench"})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	big, err := bigPNG(16 << 20)
	if err != nil {
		return nil, err
	}
	var peak int64
	put := func() error {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := store.Put(ctx, images.Image{Owner: "bench", Origin: images.Made}, images.Bounds{}, bytes.NewReader(big))
		runtime.ReadMemStats(&after)
		peak = max(peak, int64(after.TotalAlloc-before.TotalAlloc))
		return err
	}
	ours, err := load(20, 1, put)
	if err != nil {
		return nil, fmt.Errorf("strip and store: %w", err)
	}
	n := 0
	base, err := load(20, 1, func() error {
		n++
		return rawCopy(filepath.Join(dir, fmt.Sprint("raw", n)), big)
	})
	if err != nil {
		return nil, err
	}
	perSecond := func(s sample) float64 { return float64(len(big)) / s.p50().Seconds() }
	share := perSecond(ours) / perSecond(base)
	work, err := previewWork(ctx, store)
	if err != nil {
		return nil, err
	}
	return []row{
		{"16 MiB PNG through strip and store, against a raw copy", mib(int64(perSecond(ours))) + "/s", mib(int64(perSecond(base))) + "/s", fmt.Sprintf("%.2f×", share), "≥ 0.5×", share >= 0.5},
		{"  memory allocated for it", mib(peak), "", "", "≤ 4 MiB", peak <= 4<<20},
		{"picture's own work, 1024 × 1024: decode, scale, encode", ms(work), "", "", "≤ 60 ms", work <= 60*time.Millisecond},
	}, nil
}

// rawCopy writes data to a new file, as durably as the store does: the system writes it out in its time.
func rawCopy(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// What generate asks of a preview over stdio.
const (
	previewSide  = 768
	previewBytes = 75_000
)

// previewWork is the median of a first preview of a fresh picture, as generate makes one.
func previewWork(ctx context.Context, store *images.Store) (time.Duration, error) {
	picture := image.NewNRGBA(image.Rect(0, 0, 1024, 1024))
	for y := range 1024 {
		for x := range 1024 {
			v := uint8(127 + 60*math.Sin(float64(x)/37) + 60*math.Cos(float64(y)/53) + float64(x*y%7))
			picture.SetNRGBA(x, y, color.NRGBA{R: v, G: v / 2, B: 255 - v, A: 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return 0, err
	}
	var ids []string
	for range 23 {
		im, _, err := store.Put(ctx, images.Image{Owner: "bench", Origin: images.Made}, images.Bounds{}, bytes.NewReader(b.Bytes()))
		if err != nil {
			return 0, err
		}
		ids = append(ids, im.ID)
	}
	s, err := load(20, 1, func() error {
		id := ids[0]
		ids = ids[1:]
		_, err := store.Preview(ctx, "bench", id, previewSide, previewBytes)
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.p50(), nil
}

// bigPNG is a PNG of about n bytes as ComfyUI writes it, pixels in chunks of 64 kB. Its pixels do not decode: nothing here looks at them.
func bigPNG(n int) ([]byte, error) {
	chunk := func(b []byte, name string, data []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		at := len(b)
		b = append(append(b, name...), data...)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
	}
	b := chunk([]byte("\x89PNG\r\n\x1a\n"), "IHDR", []byte{0, 0, 8, 0, 0, 0, 8, 0, 8, 2, 0, 0, 0})
	part := make([]byte, 64<<10)
	for len(b) < n {
		if _, err := rand.Read(part); err != nil {
			return nil, err
		}
		b = chunk(b, "IDAT", part)
	}
	return chunk(b, "IEND", nil), nil
}
