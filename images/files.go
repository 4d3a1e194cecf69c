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
	temp := "." + id + ext + ".part"
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(temp, id+ext)
	}
	if err != nil {
		_ = s.root.Remove(temp) // Clean would find it
	}
	return err
}

// A draft is a file under a temporary name, hashed while it is written: that costs more than to write it, so a block is
// hashed in the background while it is written and the next one is filled. It is for one goroutine.
type draft struct {
	root *os.Root
	name string // empty once renamed
	file *os.File
	n    int64 // bytes in the file

	block, spare []byte // being filled; being hashed
	sum          hash.Hash
	hashed       chan struct{} // closed when spare is; nil before the first
}

// draft makes .<id><ext>; it is fs.ErrExist if that is there.
func (s *Store) draft(id, ext string) (*draft, error) {
	name := "." + id + ext
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("storing picture: %w", err)
	}
	buf := make([]byte, 2*outBuffer)
	return &draft{
		root: s.root, name: name, file: f, sum: sha256.New(),
		block: buf[:0:outBuffer], spare: buf[outBuffer:outBuffer],
	}, nil
}

// Write buffers p; [draft.Flush] ends.
func (d *draft) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
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

// Flush writes and hashes the block.
func (d *draft) Flush() error {
	d.settle()
	block, hashed := d.block, make(chan struct{})
	d.hashed = hashed
	go func() {
		defer close(hashed)
		d.sum.Write(block) // never fails
	}()
	n, err := d.file.Write(block)
	d.n += int64(n)
	d.block, d.spare = d.spare[:0], block
	return err
}

// settle waits until all that was flushed is hashed.
func (d *draft) settle() {
	if d.hashed != nil {
		<-d.hashed
	}
}

// sha256 returns the hash of what was flushed, in lower-case hex.
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
