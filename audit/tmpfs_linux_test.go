package audit_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/comfygate/comfygate/audit"
)

// T62, REL-06 on a real file system that is really full.
func TestT62_real_full_disk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	data := t.TempDir()
	if err := unix.Mount("none", data, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skip("a small tmpfs cannot be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(data, 0); err != nil {
			t.Error(err)
		}
	})
	l := open(t, data, func(c *audit.Config) { c.ReserveBytes = 256 << 10 })
	ballast := filepath.Join(data, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var last error
	taken := 0
	for range 200 {
		intent, _ := call("c" + strconv.Itoa(taken))
		intent.Params = map[string]any{"pad": strings.Repeat("x", 1000)}
		if last = l.Append(t.Context(), intent); last != nil {
			break
		}
		taken++
	}
	refused(t, last)
	refused(t, l.Healthy())
	for i := range 100 {
		_, outcome := call("c" + strconv.Itoa(i))
		outcome.Params = map[string]any{"pad": strings.Repeat("x", 1000)}
		if err := l.AppendReserved(t.Context(), outcome); err != nil {
			t.Fatalf("owed record %d: %v", i, err)
		}
	}
	wholeLines(t, data)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log recovers by itself", func() bool { return l.Healthy() == nil })
	intent, _ := call("after")
	l.append(t, intent)
	begun := time.Now()
	l.stop(t)
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("closing took %v", d)
	}
	verified(t, data)
}
