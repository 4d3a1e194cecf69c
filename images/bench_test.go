package images_test

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/comfygate/comfygate/images"
)

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
					ours += timed(b, func() (err error) { im, err = putFile(b, s, src); return err })
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

func putFile(b *testing.B, s *images.Store, name string) (images.Image, error) {
	b.Helper()
	f, err := os.Open(name)
	if err != nil {
		return images.Image{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	im, saveErr, err := s.Put(b.Context(), images.Image{Owner: "o"}, images.Bounds{}, struct{ io.Reader }{f})
	return im, errors.Join(err, saveErr)
}

func timed(b *testing.B, f func() error) time.Duration {
	b.Helper()
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
	defer in.Close() //nolint:errcheck // only read
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
			im, _, err := s.Put(b.Context(), images.Image{Owner: "o"}, images.Bounds{}, bytes.NewReader(pngOf(b, photo(c.size))))
			if err != nil {
				b.Fatal(err)
			}
			b.Logf("png %d", im.Bytes)
			var last images.Rendition
			for i := 0; b.Loop(); i++ {
				if last, err = s.Preview(b.Context(), "o", im.ID, 768, 75000-i%2000); err != nil { // each misses the cache
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(last.Data)), "bytes")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/picture")
		})
	}
}
