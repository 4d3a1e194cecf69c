package audit_test

import (
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// A metered file system counts what is read.
type metered struct {
	audit.FS
	bytes atomic.Int64
}

func (m *metered) OpenFile(name string, flag int, perm fs.FileMode) (audit.File, error) {
	f, err := m.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &meteredFile{f, m}, nil
}

type meteredFile struct {
	audit.File
	meter *metered
}

func (f *meteredFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.meter.bytes.Add(int64(n))
	return n, err
}

func (f *meteredFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	f.meter.bytes.Add(int64(n))
	return n, err
}

// A start on a long log reads little of it: the hashes of the tree are kept, and the last checkpoint says that they are right.
func TestStart_reads_little(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, lazily)
	for range 5000 {
		l.append(t, audit.Record{Kind: audit.Event, Name: "x", Params: map[string]any{"pad": strings.Repeat("x", 1000)}})
	}
	l.stop(t)
	size := int64(len(read(t, segments(t, data)[0])))
	m := &metered{FS: lazy()}
	l = open(t, data, func(c *audit.Config) { c.FS = m })
	if got := m.bytes.Load(); got > 512<<10 || size < 5<<20 {
		t.Errorf("a start read %d bytes of a log of %d", got, size)
	}
	l.stop(t)
	if got := m.bytes.Load(); got > 1<<20 {
		t.Errorf("a life without calls read %d bytes of a log of %d", got, size)
	}
	verified(t, data)
}
