package images_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/comfygate/comfygate/images"
)

// photo draws a picture that compresses about as a photograph does: soft shapes with some grain.
func photo(n int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, n, n))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range n {
		for x := range n {
			fx, fy := float64(x)/float64(n), float64(y)/float64(n)
			v := 128 + 60*math.Sin(9*fx+4*fy) + 50*math.Cos(13*fy-5*fx*fx)
			grain := float64(r.IntN(9)) - 4
			m.SetNRGBA(x, y, color.NRGBA{R: clamp(v + grain), G: clamp(v*0.8 + 30*fx + grain), B: clamp(220 - v*0.6 + grain), A: 255})
		}
	}
	return m
}

func clamp(v float64) uint8 { return uint8(min(max(v, 0), 255)) }

func pngOf(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// chunk appends a PNG chunk with its checksum.
func chunk(b []byte, name string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	at := len(b)
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
}

// bigPNG returns a PNG of about n bytes as ComfyUI writes it: pixels in chunks of 64 kB. Its pixels do not decode.
func bigPNG(n int) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	b = chunk(b, "IHDR", []byte{0, 0, 9, 0, 0, 0, 9, 0, 8, 2, 0, 0, 0})
	b = chunk(b, "tEXt", append([]byte("prompt\x00"), bytes.Repeat([]byte("secret "), 1000)...))
	part := make([]byte, 64<<10)
	r := rand.NewChaCha8([32]byte{})
	for len(b) < n {
		_, _ = r.Read(part)
		b = chunk(b, "IDAT", part)
	}
	return chunk(b, "IEND", nil)
}

func openStore(tb testing.TB, cfg images.StoreConfig) *images.Store {
	tb.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(tb.TempDir(), "pictures")
	}
	s, err := images.OpenStore(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// BenchmarkStore16MiB compares strip and store of 16 MiB with a raw copy into a file, in the same run: "ratio" is raw time
// to our time, at least 0.5 is wanted; "extraMiB" is what a call allocates, at most 4.
func BenchmarkStore16MiB(b *testing.B) {
	for _, c := range []struct{ name, out string }{{"store", ""}, {"store and save", filepath.Join(b.TempDir(), "out")}} {
		b.Run(c.name, func(b *testing.B) {
			data := bigPNG(16 << 20)
			dir := b.TempDir()
			s := openStore(b, images.StoreConfig{Dir: filepath.Join(dir, "p"), OutputDir: c.out})
			src := filepath.Join(dir, "src")
			if err := os.WriteFile(src, data, 0o600); err != nil {
				b.Fatal(err)
			}
			var raw, ours time.Duration
			var extra uint64
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				raw += timed(b, func() error { return rawCopy(filepath.Join(dir, "dst"), src) })
				var im images.Image
				extra = max(extra, allocated(func() {
					ours += timed(b, func() (err error) { im, err = putFile(s, src); return err })
				}))
				_ = os.Remove(filepath.Join(dir, "p", im.ID+".png"))
				_ = os.Remove(im.Saved)
				_ = os.Remove(filepath.Join(dir, "dst"))
			}
			b.ReportMetric(raw.Seconds()/ours.Seconds(), "ratio")
			b.ReportMetric(float64(extra)/(1<<20), "extraMiB")
		})
	}
}

func putFile(s *images.Store, name string) (images.Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return images.Image{}, err
	}
	defer f.Close()
	im, saveErr, err := s.Put(context.Background(), images.Image{Owner: "o"}, images.Bounds{}, struct{ io.Reader }{f})
	return im, errors.Join(err, saveErr)
}

func timed(b *testing.B, f func() error) time.Duration {
	start := time.Now()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// rawCopy copies through the process, as bytes from a network are.
func rawCopy(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{in}); err != nil {
		return err
	}
	return out.Close()
}

// BenchmarkStripPNG compares the filter with a copy that only takes the checksum, both in memory.
func BenchmarkStripPNG(b *testing.B) {
	data := bigPNG(16 << 20)
	var raw, ours time.Duration
	var dst bytes.Buffer
	dst.Grow(len(data) + 1<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		dst.Reset()
		raw += timed(b, func() error {
			sum := crc32.NewIEEE()
			_, err := io.Copy(struct{ io.Writer }{io.MultiWriter(sum, &dst)}, struct{ io.Reader }{bytes.NewReader(data)})
			return err
		})
		dst.Reset()
		ours += timed(b, func() error {
			_, err := images.StripPNG(&dst, bytes.NewReader(data), images.StripOptions{})
			return err
		})
	}
	b.ReportMetric(raw.Seconds()/ours.Seconds(), "ratio")
}

// BenchmarkWork is a picture's own work for a call: decode, scale, encode; at most 60 ms is wanted at 1024.
func BenchmarkWork(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"512", 512}, {"1024", 1024}, {"2048", 2048}} {
		b.Run(c.name, func(b *testing.B) {
			s := openStore(b, images.StoreConfig{})
			im, _, err := s.Put(context.Background(), images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(pngOf(b, photo(c.size))))
			if err != nil {
				b.Fatal(err)
			}
			b.Logf("png %d", im.Bytes)
			var last images.Rendition
			for i := 0; b.Loop(); i++ {
				if last, err = s.Preview(context.Background(), "o", im.ID, 768, 75000-i%2000); err != nil { // each misses the cache
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(last.Data)), "bytes")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/picture")
		})
	}
}
