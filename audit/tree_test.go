package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
)

// lines are a log's records as they stand in its segments, slot 001.
func lines(tb testing.TB, data string) [][]byte {
	tb.Helper()
	var all [][]byte
	for _, name := range segments(tb, data) {
		all = append(all, bytes.Split(bytes.TrimSuffix(read(tb, name), []byte("\n")), []byte("\n"))...)
	}
	return all
}

// merkle is RFC 6962's tree hash, written from its definition.
func merkle(leaves [][]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := merkle(leaves[:k]), merkle(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// A signed is a checkpoint as a stranger reads it.
type signed struct {
	note, origin string
	size         int
	root         string
}

// publicKeys are the keys of a data folder.
func publicKeys(tb testing.TB, data string) (keys []string) {
	tb.Helper()
	for line := range strings.Lines(string(read(tb, filepath.Join(data, "audit", "keys")))) {
		if line = strings.TrimSpace(line); strings.Count(line, "+") > 1 && !strings.HasPrefix(line, "—") {
			keys = append(keys, line)
		}
	}
	return keys
}

// checkpoints reads slot 001's, with the note package and the public keys alone.
func checkpoints(tb testing.TB, data string) (list []signed) {
	tb.Helper()
	var known []note.Verifier
	for _, k := range publicKeys(tb, data) {
		v, err := note.NewVerifier(k)
		if err != nil {
			tb.Fatal(err)
		}
		known = append(known, v)
	}
	parts := strings.Split(string(read(tb, filepath.Join(data, "audit", "001", "checkpoints"))), "\n\n")
	for i := 0; i+1 < len(parts); i += 2 {
		text := parts[i] + "\n\n" + parts[i+1] + "\n"
		n, err := note.Open([]byte(text), note.VerifierList(known...))
		if err != nil {
			tb.Fatalf("%v in %q", err, text)
		}
		fields := strings.Split(n.Text, "\n")
		size, err := strconv.Atoi(fields[1])
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, signed{text, fields[0], size, fields[2]})
	}
	return list
}

// sizes are how many records the checkpoints hold.
func sizes(tb testing.TB, data string) []int {
	tb.Helper()
	var list []int
	for _, c := range checkpoints(tb, data) {
		list = append(list, c.size)
	}
	return list
}

// AUD-08, AUD-10, AUD-11, AUD-14: each checkpoint is a C2SP note over the RFC 6962 root of the lines; there is one at each rotation and
// one at the end, and a segment's last record is the root of all before it.
func TestAUD08_tree_and_checkpoints(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for range 2 { // across processes, too
		l := open(t, data, func(c *audit.Config) { lazily(c); c.MaxBytes = 64 << 10; c.Origin = "example.org/log-7" })
		for i := range 70 {
			r, _ := call(strconv.Itoa(i))
			r.Kind, r.Params = audit.Outcome, map[string]any{"pad": strings.Repeat("x", 1500)}
			l.append(t, r)
		}
		l.stop(t)
	}
	all := lines(t, data)
	list := checkpoints(t, data)
	names := segments(t, data)
	if len(names) < 3 || len(list) != len(names)-1+2 {
		t.Fatalf("%d segments, %d checkpoints", len(names), len(list))
	}
	for _, c := range list {
		root := merkle(all[:c.size])
		if c.origin != "example.org/log-7/001" || c.root != base64.StdEncoding.EncodeToString(root[:]) {
			t.Errorf("the checkpoint of %d records says %s, %s", c.size, c.origin, c.root)
		}
	}
	n := 0
	for i, name := range names {
		b := read(t, name)
		n += bytes.Count(b, []byte("\n"))
		if i == len(names)-1 {
			break
		}
		var last audit.Record
		if err := json.Unmarshal(all[n-1], &last); err != nil {
			t.Fatal(err)
		}
		root := merkle(all[:n-1])
		if last.Name != audit.LogSealed || last.Detail["root"] != base64.StdEncoding.EncodeToString(root[:]) || last.Detail["tree_size"] != strconv.Itoa(n-1) {
			t.Errorf("%s ends with %s %v", name, last.Name, last.Detail)
		}
		if info, err := os.Stat(name); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o400) {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	report := verified(t, data)
	if s := report.Slots[0]; s.Checkpoints != len(list) || s.Signed != uint64(len(all)) || s.Root != list[len(list)-1].root || s.Origin != "example.org/log-7/001" {
		t.Errorf("the report says %+v", s)
	}
}

// AUD-11: a checkpoint comes after so many records, but not more than one a second, and after so long if there is anything new.
func TestAUD11_when(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data := t.TempDir()
		var published atomic.Int32
		l := open(t, data, func(c *audit.Config) {
			lazily(c)
			c.CheckpointRecords, c.CheckpointEvery = 2000, time.Hour
			c.Checkpointed = func(string) { published.Add(1) }
		})
		say := func(n int) {
			for range n {
				l.append(t, audit.Record{Kind: audit.Event, Name: "x"})
			}
			synctest.Wait()
		}
		say(100)
		if published.Load() != 0 {
			t.Fatal("a checkpoint too early")
		}
		time.Sleep(10 * time.Minute)
		say(2000)
		if published.Load() != 1 {
			t.Fatalf("%d checkpoints after 2,100 records", published.Load())
		}
		say(5000) // within the same second
		if published.Load() != 1 {
			t.Fatalf("%d checkpoints within a second", published.Load())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if published.Load() != 2 {
			t.Fatalf("%d checkpoints after an hour", published.Load())
		}
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if published.Load() != 2 {
			t.Fatalf("%d checkpoints of nothing new", published.Load())
		}
		l.stop(t)
		if got := sizes(t, data); len(got) != 3 || got[2] != 7102 {
			t.Errorf("checkpoints of %v records", got)
		}
		verified(t, data)
	})
}

// AUD-14: a segment that is old enough is closed at the next record, whatever its size, also by the process after.
func TestAUD14_rotation_by_age(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data := t.TempDir()
		daily := func(c *audit.Config) { lazily(c); c.RotateEvery = 24 * time.Hour }
		l := open(t, data, daily)
		time.Sleep(23 * time.Hour)
		l.append(t, audit.Record{Kind: audit.Event, Name: "x"})
		l.stop(t)
		if n := len(segments(t, data)); n != 1 {
			t.Errorf("%d segments after 23 hours", n)
		}
		time.Sleep(2 * time.Hour)
		l = open(t, data, daily)
		l.append(t, audit.Record{Kind: audit.Event, Name: "x"})
		l.stop(t)
		if n := len(segments(t, data)); n != 2 {
			t.Errorf("%d segments after 25 hours", n)
		}
		verified(t, data)
	})
}

// A log whose process was killed, whose tree is behind, cut or gone, or which never had one, gets it by itself; the checkpoints go on.
func TestAUD08_tree_is_made_again(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	small := func(c *audit.Config) { lazily(c); c.MaxBytes = 64 << 10 }
	l := open(t, data, small)
	for i := range 120 {
		r, _ := call(strconv.Itoa(i))
		r.Kind, r.Params = audit.Outcome, map[string]any{"pad": strings.Repeat("x", 1500)}
		l.append(t, r)
	}
	eventually(t, "a checkpoint at each rotation", func() bool { return len(checkpoints(t, data)) == len(segments(t, data))-1 })
	killed := crash(t, data)
	l.stop(t)
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, slot string)
		told   bool
	}{
		{"killed", func(*testing.T, string) {}, false},
		{"a torn checkpoint", func(t *testing.T, slot string) {
			t.Helper()
			name := filepath.Join(slot, "checkpoints")
			write(t, name, append(read(t, name), "example.org/x\n12\nabc"...))
		}, false},
		{"a checkpoint without its signature", func(t *testing.T, slot string) {
			t.Helper()
			name := filepath.Join(slot, "checkpoints")
			write(t, name, append(read(t, name), "example.org/x\n12\nabc\n\n— "...))
		}, false},
		{"a tree with more than was signed", func(t *testing.T, slot string) {
			t.Helper()
			name := filepath.Join(slot, "tree")
			write(t, name, append(read(t, name), bytes.Repeat([]byte{7}, 1000)...))
		}, false},
		{"no tree", func(t *testing.T, slot string) {
			t.Helper()
			if err := os.Remove(filepath.Join(slot, "tree")); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a changed tree", func(t *testing.T, slot string) {
			t.Helper()
			b := read(t, filepath.Join(slot, "tree"))
			for i := range b {
				b[i] ^= 1
			}
			write(t, filepath.Join(slot, "tree"), b)
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			left := crash(t, killed)
			tc.change(t, filepath.Join(left, "audit", "001"))
			open(t, left, small).stop(t)
			told := strings.Contains(string(bytes.Join(lines(t, left), nil)), audit.LogDamaged)
			if told != tc.told {
				t.Errorf("the damage is told: %v", told)
			}
			all := lines(t, left)
			if tc.told { // it came too late for the last checkpoint; the next start signs it
				open(t, left, small).stop(t)
				all = lines(t, left)
			}
			list := checkpoints(t, left)
			last := list[len(list)-1]
			if root := merkle(all); last.size != len(all) || last.root != base64.StdEncoding.EncodeToString(root[:]) {
				t.Errorf("%d records, the last checkpoint is of %d", len(all), last.size)
			}
			verified(t, left)
		})
	}
}

// The tree is off the way of a call: while its files can't be written, records are taken as ever, and it catches up.
func TestAUD11_trouble_with_the_tree(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"tree", "checkpoints"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, d := faulty(t, func(c *audit.Config) { c.CheckpointEvery = time.Second })
				d.failWrites(syscall.EIO, 10)
				d.only(file)
				for range 20 {
					l.append(t, audit.Record{Kind: audit.Event, Name: "x"})
					time.Sleep(300 * time.Millisecond)
				}
				if err := l.Healthy(); err != nil {
					t.Error(err)
				}
				d.heal()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := sizes(t, l.data); len(got) != 1 || got[0] != 21 {
					t.Errorf("checkpoints of %v records", got)
				}
				l.stop(t)
				verified(t, l.data)
			})
		})
	}
}

// AUD-11: a new key is vouched for by the one before; the record of it bears both signatures; old checkpoints stay good. A key
// that nobody vouches for is found.
func TestAUD11_key_rotation(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, lazily)
	l.stop(t)
	public, err := audit.RotateSigningKey(audit.Config{Dir: filepath.Join(data, "audit", "001")})
	if err != nil {
		t.Fatal(err)
	}
	l = open(t, data, lazily)
	l.stop(t)
	verified(t, data)
	keys := publicKeys(t, data)
	if len(keys) != 2 || keys[1] != public {
		t.Fatalf("keys %v, the new one is %v", keys, public)
	}
	var changed audit.Record
	for _, r := range scan(t, data) {
		if r.Name == audit.SignerChanged {
			changed = r
		}
	}
	both := make([]note.Verifier, 2)
	for i, k := range keys {
		if both[i], err = note.NewVerifier(k); err != nil {
			t.Fatal(err)
		}
	}
	n, err := note.Open([]byte(changed.Detail["statement"]), note.VerifierList(both...))
	if err != nil || len(n.Sigs) != 2 || changed.Detail["before"] != keys[0] || changed.Detail["now"] != keys[1] {
		t.Errorf("the record says %v: %v", changed.Detail, err)
	}
	// The first key alone is enough to believe both; the second doesn't make the first one good.
	if _, err := audit.Verify(data, audit.VerifyOptions{Keys: keys[:1]}); err != nil {
		t.Error(err)
	}
	if report, err := audit.Verify(data, audit.VerifyOptions{Keys: keys[1:]}); err == nil || !strings.Contains(problems(report), "checkpoint") {
		t.Errorf("by the second key alone: %v", err)
	}

	secret, other, err := audit.GenerateSigningKey("")
	if err != nil {
		t.Fatal(err)
	}
	l = open(t, data, func(c *audit.Config) { lazily(c); c.SigningKey = config.NewSecret(secret) })
	l.stop(t)
	report, err := audit.Verify(data, audit.VerifyOptions{})
	if audit.ExitCode(err) != audit.ExitTampered || !strings.Contains(problems(report), "keys") {
		t.Errorf("a key that nobody vouches for: %v", err)
	}
	if _, err := audit.Verify(data, audit.VerifyOptions{Keys: append(keys[:1:1], other)}); err != nil {
		t.Errorf("a key that the verifier knows: %v", err)
	}
	if _, err := audit.Verify(data, audit.VerifyOptions{Keys: []string{"none"}}); audit.ExitCode(err) != audit.ExitUnreadable {
		t.Errorf("a key that is none: %v", err)
	}
}

// AUD-19: a checkpoint that was kept elsewhere is held against the log, also when all local files were written anew.
func TestAUD19_anchor(t *testing.T) {
	t.Parallel()
	life := func(who string) string {
		data := t.TempDir()
		for range 2 {
			l := open(t, data, func(c *audit.Config) { lazily(c); c.Origin = "example.org/one" })
			l.append(t, audit.Record{Kind: audit.Event, Name: "x", Principal: who})
			l.stop(t)
		}
		return data
	}
	data, forged := life("ann"), life("eve")
	kept := []byte(checkpoints(t, data)[0].note)
	verify := func(data string, kept []byte, keys []string) error {
		_, err := audit.Verify(data, audit.VerifyOptions{Checkpoint: kept, Keys: keys})
		return err
	}
	if err := verify(data, kept, nil); err != nil {
		t.Error(err)
	}
	if err := verify(forged, nil, nil); err != nil {
		t.Error(err)
	}
	if err := verify(forged, kept, append(publicKeys(t, data), publicKeys(t, forged)...)); audit.ExitCode(err) != audit.ExitTampered || !strings.Contains(err.Error(), "given checkpoint") {
		t.Errorf("a log that was written anew: %v", err)
	}
	if err := verify(forged, kept, nil); audit.ExitCode(err) != audit.ExitUnreadable {
		t.Errorf("a checkpoint of an unknown key: %v", err)
	}
	shorter := t.TempDir()
	l := open(t, shorter, func(c *audit.Config) { lazily(c); c.Origin = "example.org/one" })
	if err := verify(shorter, kept, append(publicKeys(t, data), publicKeys(t, shorter)...)); audit.ExitCode(err) != audit.ExitTampered {
		t.Errorf("a log that is shorter: %v", err)
	}
	l.stop(t)
	elsewhere := t.TempDir()
	l = open(t, elsewhere, func(c *audit.Config) { lazily(c); c.Dir = filepath.Join(elsewhere, "audit", "002") })
	l.stop(t)
	if err := verify(elsewhere, kept, publicKeys(t, data)); audit.ExitCode(err) != audit.ExitTampered {
		t.Errorf("no log of that origin: %v", err)
	}
}
