package audit

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// load goes on where the last checkpoint stands, if all is as it was signed. Else it begins anew, and says so.
func (t *tracker) load(to position) error {
	if err := t.openFiles(); err != nil {
		return err
	}
	signed, ends, err := lastNote(t.notes)
	if err != nil {
		return err
	}
	if err := trim(t.notes, ends); err != nil {
		return err
	}
	t.ends, t.tree, t.last, t.pending = ends, tree{}, 0, t.pending[:0]
	hurt := ""
	if signed != nil {
		if hurt, err = t.believe(signed, to); err != nil {
			return err
		}
	}
	t.written = treeBytes(t.tree.size)
	if err := trim(t.hashes, t.written); err != nil {
		return err
	}
	if err := t.find(to); err != nil {
		return err
	}
	if hurt != "" {
		t.hurt(hurt)
	}
	t.marked.Store(t.last)
	t.loaded = true
	return nil
}

func (t *tracker) openFiles() (err error) {
	for _, f := range []struct {
		name string
		file *File
	}{{treeFile, &t.hashes}, {checkpointFile, &t.notes}} {
		if *f.file != nil {
			continue
		}
		if *f.file, err = t.fs.OpenFile(t.path(f.name), os.O_RDWR|os.O_CREATE, fileMode); err != nil {
			return fmt.Errorf("opening the tree of the audit log: %w", err)
		}
	}
	return nil
}

// believe takes up the tree that a checkpoint has signed, or says why it can't be believed.
func (t *tracker) believe(signed []byte, to position) (hurt string, err error) {
	keys, _, err := readTrust(t.fs, t.trusted, nil)
	if err != nil {
		return "", err
	}
	keys.add(t.signer.public)
	c, _, err := openCheckpoint(signed, keys)
	switch {
	case err != nil:
		return "the last checkpoint has no signature that is known", nil //nolint:nilerr // that is what is told
	case c.Size > to.seq:
		return "the log is shorter than its last checkpoint says", nil
	}
	t.last, t.signed = c.Size, c.Root
	kept, err := loadTree(t.hashes, int64(c.Size))
	if err != nil && !errors.Is(err, errTree) {
		return "", err
	}
	if err == nil {
		if root, err := kept.root(); err == nil && root == c.Root {
			t.tree = kept
			return "", nil
		}
	}
	return "the tree is not the one that was signed", nil
}

// begin loads what there is, so that damage is told before anything else happens. What fails is tried again later.
// left is the end of the log as the process before left it.
func (t *tracker) begin(left position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known = left
	if to := t.reached(); to.seq > 0 && !t.loaded { // a rotation at the start has loaded it
		t.fail(t.load(to))
	}
}

// find finds the place of the first record that isn't in the tree.
func (t *tracker) find(to position) error {
	for _, known := range []position{to, t.known} {
		if uint64(t.tree.size) == known.seq && known.segment > 0 {
			t.at = known.place
			return nil
		}
	}
	segments, err := t.segments()
	if err != nil || len(segments) == 0 {
		return err
	}
	i, there := slices.BinarySearch(segments, uint64(t.tree.size)+1)
	if !there && i > 0 {
		i--
	}
	t.at = place{segment: segments[i]} // takeLine leaves out what is in the tree
	return nil
}

// trim cuts a file to a size.
func trim(f File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading the tree of the audit log: %w", err)
	}
	if info.Size() <= size {
		return nil
	}
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("trimming the tree of the audit log: %w", err)
	}
	return nil
}
