package images_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/images"
)

// age makes a picture's files older.
func age(tb testing.TB, dir, id string, by time.Duration) {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(dir, id+".*"))
	if err != nil || len(found) == 0 {
		tb.Fatal(found, err)
	}
	for _, f := range found {
		at := time.Now().Add(-by)
		if err := os.Chtimes(f, at, at); err != nil {
			tb.Fatal(err)
		}
	}
}

func gone(tb testing.TB, s *images.Store, id string) bool {
	tb.Helper()
	_, err := s.Get("o", id)
	if err != nil && !errors.Is(err, images.ErrNotFound) {
		tb.Fatal(err)
	}
	return err != nil
}

// SC-34: by age, and only what the store made: others' files, links and their targets stay.
func TestSec_SC34_age(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir := filepath.Join(base, "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir, MaxAge: time.Minute}) // the least that the settings allow
	old, young := put(t, s, pngOf(t, photo(8))), put(t, s, testdata(t, "exif.jpg"))
	age(t, dir, old.ID, 61*time.Second)
	age(t, dir, young.ID, 50*time.Second)

	id := strings.Repeat("a", 26)
	target := filepath.Join(base, "target.png")
	foreign := []string{"notes.txt", id + ".tiff", id + ".png.bak", "x" + id + ".png", ".hidden", strings.ToUpper(id) + ".png", id + ".part", "." + id + ".png"}
	for _, f := range append(foreign, "../target.png") {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{id + ".png", id + ".json", "." + id + ".part"} {
		if err := os.Symlink(target, filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
		foreign = append(foreign, f)
	}
	folder := strings.Repeat("b", 26) + ".png"
	if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	foreign = append(foreign, folder)

	r, err := s.Clean(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !gone(t, s, old.ID) || gone(t, s, young.ID) {
		t.Error("the old one must go, the young one stay")
	}
	if r.Removed != 1 || r.Kept != 1 || r.Bytes <= old.Bytes || r.Leftovers != 0 {
		t.Errorf("report %+v", r)
	}
	want := append(slices.Clone(foreign), young.ID+".jpeg", young.ID+".json")
	slices.Sort(want)
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %v\nwant  %v", got, want)
	}
	if r, err = s.Clean(t.Context(), time.Now().Add(24*time.Hour)); err != nil || r.Removed != 1 || r.Leftovers != 0 {
		t.Errorf("a day later: %+v, %v", r, err)
	}
	if b, err := os.ReadFile(target); err != nil || string(b) != "x" {
		t.Errorf("a link's target: %q, %v", b, err)
	}
	if got := files(t, dir); len(got) != len(foreign) {
		t.Errorf("a day later: %v", got)
	}
}

// SC-34: by quota, oldest first.
func TestSec_SC34_quota(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir, MaxBytes: 1})
	var ids []string
	var size int64
	for i := range 5 {
		im := put(t, s, pngOf(t, photo(64)))
		age(t, dir, im.ID, time.Duration(10-i)*time.Minute)
		ids = append(ids, im.ID)
	}
	for _, f := range files(t, dir) {
		fi, err := os.Stat(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		size += fi.Size()
	}
	s = openStore(t, images.StoreConfig{Dir: dir, MaxBytes: size * 7 / 10}) // three of five, with some room: records differ by bytes
	r, err := s.Clean(t.Context(), time.Now())
	if err != nil || r.Removed != 2 || r.Kept != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, id := range ids {
		if gone(t, s, id) != (i < 2) {
			t.Errorf("picture %d of 5, oldest first: gone is %t", i, gone(t, s, id))
		}
	}
}

// LIM-02, SC-34: who brings in much drives out their own pictures, not others'.
func TestClean_quotaOfMany(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir})
	bring := func(owner string, minutes int) images.Image {
		im, err := s.PutUpload(t.Context(), images.Image{Owner: owner}, images.Bounds{}, bytes.NewReader(pngOf(t, photo(64))))
		if err != nil {
			t.Fatal(err)
		}
		age(t, dir, im.ID, time.Duration(minutes)*time.Minute)
		return im
	}
	quiet := bring("quiet", 50) // the oldest of all
	var flood []images.Image
	for i := range 8 {
		flood = append(flood, bring("flooder", 20-i))
	}
	s = openStore(t, images.StoreConfig{Dir: dir, MaxBytes: 6 * (quiet.Bytes + 400)})
	r, err := s.Clean(t.Context(), time.Now())
	if err != nil || r.Removed < 3 || r.Removed+r.Kept != 9 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := s.Get("quiet", quiet.ID); err != nil {
		t.Errorf("another's picture went: %v", err)
	}
	for i, im := range flood {
		if _, err := s.Get("flooder", im.ID); (err != nil) != (i < r.Removed) {
			t.Errorf("picture %d of the flood, oldest first: %v", i, err)
		}
	}
}

// SC-33, SC-34: what a crash left behind goes after an hour, not before: it may be being written.
func TestSec_SC34_leftovers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	s := openStore(t, images.StoreConfig{Dir: dir})
	id := strings.Repeat("c", 26)
	left := []string{"." + id + ".part", "." + id + ".spool", "." + id + ".json.part", "." + id + ".pending.part", id + ".pending", id + ".png", strings.Repeat("d", 26) + ".json"}
	for _, f := range left {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get("o", id); !errors.Is(err, images.ErrNotFound) { // half a file is under no final name
		t.Error(err)
	}
	r, err := s.Clean(t.Context(), time.Now().Add(59*time.Minute))
	if got := files(t, dir); err != nil || r.Leftovers != 0 || len(got) != len(left) {
		t.Errorf("too early: %+v, %v, %v", r, err, got)
	}
	r, err = s.Clean(t.Context(), time.Now().Add(61*time.Minute))
	if got := files(t, dir); err != nil || r.Leftovers != len(left) || r.Bytes != int64(4*len(left)) || len(got) != 0 {
		t.Errorf("%+v, %v, %v", r, err, got)
	}
}

// SC-34: clean-ups in several processes at once do no harm, and each picture counts once.
func TestSec_SC34_several(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pictures")
	cfg := images.StoreConfig{Dir: dir}
	s := openStore(t, cfg)
	const n = 40
	for range n {
		put(t, s, pngOf(t, photo(4)))
	}
	reports := make(chan images.CleanReport, 8)
	var wait sync.WaitGroup
	for range cap(reports) {
		s := openStore(t, cfg)
		wait.Go(func() {
			r, err := s.Clean(t.Context(), time.Now().Add(8*24*time.Hour))
			if err != nil {
				t.Error(err)
			}
			reports <- r
		})
	}
	wait.Wait()
	close(reports)
	removed := 0
	for r := range reports {
		removed += r.Removed
	}
	if got := files(t, dir); removed != n || len(got) != 0 {
		t.Errorf("%d removed, left %v", removed, got)
	}
}

func TestClean_cancelled(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	id := put(t, s, pngOf(t, photo(4))).ID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Clean(ctx, time.Now().Add(30*24*time.Hour)); !errors.Is(err, context.Canceled) || gone(t, s, id) {
		t.Errorf("error %v", err)
	}
}

// SC-34: at start, every interval, when the store grows fast, and at the end.
func TestSec_SC34_run(t *testing.T) {
	t.Parallel()
	b := pngOf(t, photo(40))
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "pictures")
		s := openStore(t, images.StoreConfig{Dir: dir, MaxAge: 90 * time.Second, MaxBytes: 20 * int64(len(b))})
		var runs atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Run(ctx, time.Minute, func(_ images.CleanReport, err error) {
				runs.Add(1)
				if err != nil {
					t.Error(err)
				}
			})
		}()
		want := func(n int32, when string) {
			t.Helper()
			synctest.Wait()
			if got := runs.Load(); got != n {
				t.Errorf("%s: %d runs, want %d", when, got, n)
			}
		}
		want(1, "at the start")
		time.Sleep(time.Minute)
		want(2, "after a minute")
		put(t, s, b)
		want(2, "after one picture")
		put(t, s, b)
		put(t, s, b)
		want(3, "after three pictures: an eighth of the quota")
		cancel()
		<-done
		want(4, "at the end")
	})
}

// A clean-up takes away no picture that is being read.
func TestClean_whileRead(t *testing.T) {
	t.Parallel()
	s := openStore(t, images.StoreConfig{})
	im := put(t, s, pngOf(t, photo(40)))
	f, _, err := s.Open("o", im.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	if _, err := s.Clean(t.Context(), time.Now().Add(30*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if n, err := b.ReadFrom(f); err != nil || n != im.Bytes {
		t.Errorf("%d of %d bytes, %v", n, im.Bytes, err)
	}
	if !gone(t, s, im.ID) {
		t.Error("it is still there")
	}
}
