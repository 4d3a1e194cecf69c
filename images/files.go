package images

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// openOwn makes dir, checks that it is ours alone, and opens it: all access goes through the result, which no link leads out of.
func openOwn(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the picture store: %w", err)
	}
	before, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the picture store: %w", err)
	}
	if !before.IsDir() {
		return nil, fmt.Errorf("the picture store %s is a link or no folder; name a folder of its own", dir)
	}
	if err := onlyOurs(before); err != nil {
		return nil, fmt.Errorf("the picture store %s %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the picture store: %w", err)
	}
	after, err := root.Stat(".")
	if err != nil || !os.SameFile(before, after) {
		_ = root.Close() // the other error says more
		return nil, errors.Join(fmt.Errorf("the picture store %s was exchanged while it was opened", dir), err)
	}
	return root, nil
}

// maxRecord bounds a record's bytes.
const maxRecord = 16 << 10

// record reads a picture's record; it is fs.ErrNotExist where the record or the whole picture is not there.
func (s *Store) record(id string) (Image, error) {
	b, err := s.readFile(id + ".json")
	if err != nil {
		return Image{}, err
	}
	var im Image
	if json.Unmarshal(b, &im) != nil || im.ID != id {
		return Image{}, fs.ErrNotExist // not written by a Store
	}
	switch im.Format {
	case PNG, JPEG, WebP:
	default:
		return Image{}, fs.ErrNotExist
	}
	fi, err := s.root.Lstat(id + "." + string(im.Format))
	if err != nil {
		return Image{}, err
	}
	if !fi.Mode().IsRegular() || fi.Size() != im.Bytes {
		return Image{}, fs.ErrNotExist
	}
	return im, nil
}

// readFile reads a small file of the store.
func (s *Store) readFile(name string) ([]byte, error) {
	f, err := s.regular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, maxRecord))
}

// regular opens a file of the store; what is no regular file does not exist.
func (s *Store) regular(name string) (*os.File, error) {
	fi, err := s.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return s.root.Open(name)
}

// writeFile writes <id><ext> whole or not at all.
func (s *Store) writeFile(id, ext string, b []byte) error {
	p, err := s.part(id, ext)
	if err != nil {
		return err
	}
	return p.finish(b)
}

// A part is a file that is to come, under a temporary name: to make one takes longer than to fill it.
type part struct {
	root       *os.Root
	temp, name string
	file       *os.File // nil once it is finished or discarded
}

// part makes .<id><ext>.part, to become <id><ext>.
func (s *Store) part(id, ext string) (*part, error) {
	p := &part{root: s.root, temp: "." + id + ext + ".part", name: id + ext}
	var err error
	p.file, err = s.root.OpenFile(p.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return p, err
}

// finish writes b and gives the part its name; if that fails, nothing is left.
func (p *part) finish(b []byte) error {
	_, err := p.file.Write(b)
	err = errors.Join(err, p.file.Close())
	p.file = nil
	if err == nil {
		err = p.root.Rename(p.temp, p.name)
	}
	if err != nil {
		_ = p.root.Remove(p.temp) // Clean would find it
	}
	return err
}

// discard removes a part that was not finished.
func (p *part) discard() {
	if p.file != nil {
		_ = p.file.Close()
		_ = p.root.Remove(p.temp) // Clean would find it
		p.file = nil
	}
}

// A draft is a file under a temporary name, hashed while it is written: that costs more than to write it, so blocks are
// hashed in the background while they are written and the next ones are filled. It is for one goroutine; discard ends it.
type draft struct {
	root *os.Root
	name string // empty once renamed
	file *os.File
	n    int64 // bytes in the file

	sum        hash.Hash
	block      []byte      // being filled; nil = none
	made       int         // blocks, at most draftBlocks
	full, free chan []byte // to be hashed; to be filled again
	hashed     chan struct{}
}

// draftBlocks is how many blocks a draft has: enough that hashing never waits for reading.
const draftBlocks = 4

// draft makes .<id><ext>; it is fs.ErrExist if that is there.
func (s *Store) draft(id, ext string) (*draft, error) {
	name := "." + id + ext
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("storing picture: %w", err)
	}
	d := &draft{
		root: s.root, name: name, file: f, sum: sha256.New(),
		full: make(chan []byte, draftBlocks), free: make(chan []byte, draftBlocks), hashed: make(chan struct{}),
	}
	go d.hash(d.full)
	return d, nil
}

// hash hashes full blocks until there are no more.
func (d *draft) hash(full <-chan []byte) {
	defer close(d.hashed)
	for b := range full {
		d.sum.Write(b) // never fails
		d.free <- b[:0]
	}
}

// Write buffers p; [draft.Flush] ends.
func (d *draft) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if d.block == nil {
			d.block = d.empty()
		}
		n := min(len(p)-done, cap(d.block)-len(d.block))
		d.block = append(d.block, p[done:done+n]...)
		done += n
		if len(d.block) == cap(d.block) {
			if err := d.Flush(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// empty returns a block to fill: a new one only while all others are to be hashed. The first is small: many files have no more.
func (d *draft) empty() []byte {
	select {
	case b := <-d.free:
		return b
	default:
	}
	if d.made < draftBlocks {
		if d.made++; d.made == 1 {
			return make([]byte, 0, inBuffer)
		}
		return make([]byte, 0, outBuffer)
	}
	return <-d.free
}

// Flush writes the block and has it hashed.
func (d *draft) Flush() error {
	b := d.block
	if len(b) == 0 {
		return nil
	}
	d.block = nil
	d.full <- b // it may come back before it is written, but only this goroutine fills it again
	n, err := d.file.Write(b)
	d.n += int64(n)
	return err
}

// settle waits until all that was flushed is hashed. Nothing is written afterwards.
func (d *draft) settle() {
	if d.full != nil {
		close(d.full)
		d.full = nil
		<-d.hashed
	}
}

// sha256 ends the draft and returns the hash of what was flushed, in lower-case hex.
func (d *draft) sha256() string {
	d.settle()
	return hex.EncodeToString(d.sum.Sum(nil))
}

// rename closes the draft and gives it its final name.
func (d *draft) rename(name string) error {
	if err := d.file.Close(); err != nil {
		return fmt.Errorf("storing picture: %w", err)
	}
	if err := d.root.Rename(d.name, name); err != nil {
		return fmt.Errorf("storing picture: %w", err)
	}
	d.name = ""
	return nil
}

// discard removes what was not renamed.
func (d *draft) discard() {
	d.settle()
	if d.name != "" {
		_ = d.file.Close() // to be thrown away
		_ = d.root.Remove(d.name)
	}
}

// idPattern is what an id looks like; nothing else becomes part of a path (SC-26).
var idPattern = regexp.MustCompile(`^[a-z2-7]{26}$`)

func validID(id string) bool { return idPattern.MatchString(id) }

// newID returns 130 random bits (T27).
func newID() string {
	var b [17]byte
	rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))[:26]
}
