package audit_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// A mutant is a log that somebody has tampered with, and where.
type mutant struct {
	what string
	log  memory
	// file is the file that the finding must name, line the line in it; "" and 0 where any place will do, because nothing but
	// the whole says that something is wrong.
	file string
	line int
}

// A tampering makes a mutant; false where that is not one for this draw.
type tampering struct {
	name string
	make func(r *rand.Rand, s *specimen) (mutant, bool)
}

// A specimen is a whole log of several segments with its checkpoints, one of another key, and one that is older.
type specimen struct {
	m, older, stranger memory
	files              []string // segments
}

func (s *specimen) segment(r *rand.Rand) (name string, lines [][]byte, i int) {
	name = s.files[r.IntN(len(s.files))]
	lines = bytes.SplitAfter(s.m.MapFS[name].Data, []byte("\n"))
	lines = lines[:len(lines)-1]
	return name, lines, r.IntN(len(lines))
}

func newSpecimen(t *testing.T) *specimen {
	t.Helper()
	life := func(data string) {
		l := open(t, data, func(c *audit.Config) { lazily(c); c.MaxBytes = 64 << 10 })
		for i := range 26 {
			intent, outcome := call(fmt.Sprint("c", i))
			intent.Params = map[string]any{"pad": strings.Repeat("x", 2400)}
			outcome.Outputs = []string{strings.Repeat("ab", 32)}
			l.append(t, intent)
			l.append(t, outcome)
		}
		l.stop(t)
	}
	data, other := t.TempDir(), t.TempDir()
	life(data)
	older := remember(t, data)
	life(data)
	life(other)
	s := &specimen{m: remember(t, data), older: older, stranger: remember(t, other)}
	for name := range s.m.MapFS {
		if strings.HasSuffix(name, ".jsonl") {
			s.files = append(s.files, name)
		}
	}
	slices.Sort(s.files)
	if _, err := s.m.verify(); err != nil || len(s.files) < 3 {
		t.Fatal(err, s.files)
	}
	return s
}

// tamperings are the kinds of AUD-20.
func tamperings() []tampering {
	return []tampering{
		{"flip a bit", func(r *rand.Rand, s *specimen) (mutant, bool) {
			name, lines, i := s.segment(r)
			j, bit := r.IntN(len(lines[i])), byte(1)<<r.IntN(8)
			line := bytes.Clone(lines[i])
			line[j] ^= bit
			return s.lines(fmt.Sprintf("bit %d of byte %d", bit, j), name, slices.Replace(slices.Clone(lines), i, i+1, line), i+1), true
		}},
		{"delete a line", func(r *rand.Rand, s *specimen) (mutant, bool) {
			name, lines, i := s.segment(r)
			at := i + 1
			if i == len(lines)-1 { // what is missing shows in the next file, or at the end
				at, name = 0, ""
			}
			m := s.lines("", s.name(name, lines), slices.Delete(slices.Clone(lines), i, i+1), at)
			m.file = name
			return m, true
		}},
		{"swap two lines", func(r *rand.Rand, s *specimen) (mutant, bool) {
			name, lines, i := s.segment(r)
			j := r.IntN(len(lines))
			if i == j {
				return mutant{}, false
			}
			swapped := slices.Clone(lines)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			return s.lines(fmt.Sprint(i, j), name, swapped, min(i, j)+1), true
		}},
		{"duplicate a line", func(r *rand.Rand, s *specimen) (mutant, bool) {
			name, lines, i := s.segment(r)
			j := i + r.IntN(len(lines)-i) + 1
			return s.lines(fmt.Sprint(i, " at ", j), name, slices.Insert(slices.Clone(lines), j, lines[i]), j+1), true
		}},
		{"truncate", func(r *rand.Rand, s *specimen) (mutant, bool) {
			name := s.files[r.IntN(len(s.files))]
			b := s.m.MapFS[name].Data
			return mutant{log: s.m.with(name, b[:r.IntN(len(b)):len(b)])}, true
		}},
		{"zero a stretch", func(r *rand.Rand, s *specimen) (mutant, bool) {
			name, lines, i := s.segment(r)
			b := bytes.Join(lines, nil)
			from := len(bytes.Join(lines[:i], nil)) + r.IntN(len(lines[i]))
			to := min(len(b), from+1+r.IntN(len(b)))
			clear(b[from:to])
			m := mutant{log: s.m.with(name, b), file: name, line: i + 1}
			if to == len(b) && name == s.files[len(s.files)-1] { // what is missing shows at the end
				m.file = ""
			}
			return m, true
		}},
		{"zeros behind the end", func(r *rand.Rand, s *specimen) (mutant, bool) {
			name := s.files[r.IntN(len(s.files))]
			return mutant{log: s.m.with(name, append(bytes.Clone(s.m.MapFS[name].Data), make([]byte, 1+r.IntN(1<<21))...)), file: name}, true
		}},
		{"replace a segment", func(r *rand.Rand, s *specimen) (mutant, bool) {
			i, j := r.IntN(len(s.files)), r.IntN(len(s.files))
			with := s.m.MapFS[s.files[j]].Data
			if r.IntN(2) == 0 {
				f, ok := s.stranger.MapFS[s.files[min(i, 1)]]
				if !ok {
					return mutant{}, false
				}
				with = f.Data
			} else if i == j {
				return mutant{}, false
			}
			return mutant{log: s.m.with(s.files[i], with), file: s.files[i]}, true
		}},
		{"remove a segment", func(r *rand.Rand, s *specimen) (mutant, bool) {
			return mutant{log: s.m.with(s.files[r.IntN(len(s.files))], nil)}, true
		}},
		{"an older state", func(r *rand.Rand, s *specimen) (mutant, bool) {
			// Some of the files, but not all, as they were after the first life.
			m, changed := s.m, 0
			names := []string{"audit/001/head", "audit/001/checkpoints", "audit/001/tree", s.files[len(s.files)-1]}
			for _, name := range names {
				old, ok := s.older.MapFS[name]
				if r.IntN(2) == 0 || !ok && name == names[3] {
					continue
				}
				m = m.with(name, old.Data)
				changed++
			}
			return mutant{log: m}, changed > 0 && changed < len(names)
		}},
		{"re-signed by another key", func(r *rand.Rand, s *specimen) (mutant, bool) {
			m := s.m.with("audit/001/checkpoints", s.stranger.MapFS["audit/001/checkpoints"].Data)
			switch r.IntN(3) {
			case 0:
				m = m.with("audit/keys", s.stranger.MapFS["audit/keys"].Data)
			case 1: // beside the key that was there
				m = m.with("audit/keys", slices.Concat(s.m.MapFS["audit/keys"].Data, s.stranger.MapFS["audit/keys"].Data))
			}
			return mutant{log: m}, true
		}},
		{"change the checkpoints", func(r *rand.Rand, s *specimen) (mutant, bool) {
			const name = "audit/001/checkpoints"
			b := s.m.MapFS[name].Data
			notes := bytes.SplitAfter(b, []byte("=\n\n"))
			if r.IntN(2) == 0 { // one less
				i := r.IntN(len(notes) - 1)
				return mutant{log: s.m.with(name, bytes.Join(slices.Delete(slices.Clone(notes), i, i+1), nil))}, i == len(notes)-2
			}
			return mutant{log: s.m.with(name, flip(b, r.IntN(len(b)))), file: name}, true
		}},
		{"change the tree", func(r *rand.Rand, s *specimen) (mutant, bool) {
			const name = "audit/001/tree"
			b := s.m.MapFS[name].Data
			return mutant{log: s.m.with(name, flip(b, r.IntN(len(b))))}, true
		}},
		{"change a record and its hash", func(r *rand.Rand, s *specimen) (mutant, bool) {
			name, lines, i := s.segment(r)
			if !bytes.Contains(lines[i], []byte(`"ann"`)) {
				return mutant{}, false
			}
			forged := slices.Clone(lines)
			forged[i] = bytes.Replace(forged[i], []byte(`"ann"`), []byte(`"eve"`), 1)
			whole := rechainFrom(forged, i)
			return s.lines("", name, bytes.SplitAfter(whole, []byte("\n")), i+1), true
		}},
	}
}

// name returns the file of lines.
func (s *specimen) name(name string, lines [][]byte) string {
	if name != "" {
		return name
	}
	for _, f := range s.files {
		if bytes.HasPrefix(s.m.MapFS[f].Data, lines[0]) {
			return f
		}
	}
	return ""
}

func (s *specimen) lines(what, name string, lines [][]byte, line int) mutant {
	return mutant{fmt.Sprint(name, " line ", line, " ", what), s.m.with(name, bytes.Join(lines, nil)), name, line}
}

// rechainFrom gives the lines from i on hashes of their own, as a forger does who knows the format.
func rechainFrom(lines [][]byte, i int) []byte {
	out := bytes.Join(lines[:i], nil)
	_, prev, _ := bytes.Cut(lines[i], []byte(`,"prev":"`))
	return append(out, rechainAfter(lines[i:], string(prev[:64]))...)
}

// T60, AUD-20: 588 seeded tamperings of fourteen kinds; each is found, and where it has a place, that is named first.
func TestT60_mutations(t *testing.T) {
	t.Parallel()
	s := newSpecimen(t)
	const each = 42
	total := 0
	for k, kind := range tamperings() {
		r := rand.New(rand.NewPCG(60, uint64(k))) // seeded, so that a failure can be had again
		for n := 0; n < each; {
			m, ok := kind.make(r, s)
			if !ok {
				continue
			}
			n++
			total++
			report := tampered(t, kind.name+": "+m.what, m.log)
			if m.file == "" || len(report.Findings) == 0 {
				continue
			}
			i := slices.IndexFunc(report.Findings, func(f audit.Finding) bool { return !f.Warning })
			if f := report.Findings[i]; f.Segment != filepath.Base(m.file) || m.line > 0 && f.Line != m.line {
				t.Errorf("%s: %s: the first finding is %v", kind.name, m.what, f)
			}
		}
	}
	if total < 500 {
		t.Errorf("%d tamperings", total)
	}
}
