package images

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// StoreConfig of a [Store]. Dir is required; it is made with mode 0700 and refused if it is a link, another's or open to others (SC-33).
type StoreConfig struct {
	Dir          string
	OutputDir    string        // full pictures are copied here and never cleaned; empty = off
	MaxAge       time.Duration // default 7 days
	MaxBytes     int64         // default 5 GiB
	KeepMetadata bool          // leave text chunks in (SC-53)
	Generator    string        // name and version for our own mark (IMG-09)
	DecodeBytes  int64         // decoded pictures in memory at most, all calls together; default 256 MiB (SC-55)
}

// withDefaults returns c with its zero fields filled in.
func (c StoreConfig) withDefaults() (StoreConfig, error) {
	if c.Dir == "" {
		return c, errors.New("images: no folder for the store")
	}
	if c.MaxAge < 0 || c.MaxBytes < 0 || c.DecodeBytes < 0 {
		return c, errors.New("images: a bound of the store is negative")
	}
	if c.MaxAge == 0 {
		c.MaxAge = 7 * 24 * time.Hour
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 5 << 30
	}
	if c.DecodeBytes == 0 {
		c.DecodeBytes = 256 << 20
	}
	return c, nil
}

// A Store keeps pictures on disk: the disk decides what exists, so several processes share one (decision 5 of the plan).
// A picture is <id>.<format>, another [File] <id>.<ext>, and its record <id>.json; it exists when both do. Files are written under a temporary name and
// renamed, the record last, but not synced: after a power cut a picture may be missing, never half.
// It is safe for concurrent use.
type Store struct {
	cfg    StoreConfig
	root   *os.Root
	memory *semaphore.Weighted // of cfg.DecodeBytes
	cache  *cache
	grown  atomic.Int64  // bytes put since the last Clean
	nudge  chan struct{} // wakes Run

	drawing sync.WaitGroup // what is drawn early
}

// OpenStore returns the store below cfg.Dir.
func OpenStore(cfg StoreConfig) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	root, err := openOwn(cfg.Dir)
	if err != nil {
		return nil, err
	}
	return &Store{
		cfg: cfg, root: root, memory: semaphore.NewWeighted(cfg.DecodeBytes), cache: newCache(cacheBytes), nudge: make(chan struct{}, 1),
	}, nil
}

// Close gives the folder back, when nothing is drawn any more. The store is of no use afterwards.
func (s *Store) Close() error {
	s.drawing.Wait()
	return s.root.Close()
}

// Put reads a picture as a server made it: sniffed, bounded, stripped by chunk without re-encoding (IMG-05),
// marked, stored under a new id, copied to the output folder. im gives Owner, CallID, JobID, Origin, Seed, Model, Backend.
// A failed copy is no error; Saved is then empty and saveErr tells why. Nothing is decoded: pixels that cannot be decoded
// are found by Preview and Render.
func (s *Store) Put(ctx context.Context, im Image, b Bounds, src io.Reader) (out Image, saveErr, err error) {
	return s.PutIf(ctx, im, b, Showing{}, src, func() error { return nil })
}

// PutIf is [Store.Put], but asks sure when all is read and before the picture comes to be: with an error of it there is none. What show
// wants is drawn meanwhile.
func (s *Store) PutIf(ctx context.Context, im Image, b Bounds, show Showing, src io.Reader, sure func() error) (out Image, saveErr, err error) {
	im.ID = newID()
	d, err := s.draft(im.ID, ".part")
	if err != nil {
		return Image{}, nil, err
	}
	defer d.discard()
	o := StripOptions{Bounds: b, Keep: s.cfg.KeepMetadata, Mark: s.mark(im)}
	info, err := s.receive(ctx, d, src, o, stripPicture)
	if err != nil {
		return Image{}, nil, err
	}
	kept := s.drawEarly(ctx, d, im.with(info), show)
	defer func() { kept(err == nil) }()
	record, err := s.part(im.ID, ".json") // now, for sure may have to wait
	if err != nil {
		return Image{}, nil, fmt.Errorf("recording picture: %w", err)
	}
	defer record.discard()
	if err := sure(); err != nil {
		return Image{}, nil, err
	}
	return s.commit(d, im.with(info), record.finish)
}

// PutUpload reads a picture from a caller: decoded whole, turned upright as its EXIF says, and encoded anew as PNG (IMG-06, SC-49).
// An im.ID promised to im.Owner by [Links.SignUpload] is filled, once; without one the picture gets a new id. Bounds hold for
// the picture as it comes. A picture that came this way has no mark and is not copied to the output folder.
func (s *Store) PutUpload(ctx context.Context, im Image, b Bounds, src io.Reader) (Image, error) {
	promised := im.ID != ""
	if promised && !validID(im.ID) {
		return Image{}, ErrNotFound
	}
	if !promised {
		im.ID = newID()
	}
	spool, err := s.draft(im.ID, ".spool") // made exclusively: of two that fill one promise, one comes through
	if errors.Is(err, fs.ErrExist) {
		return Image{}, ErrPending
	}
	if err != nil {
		return Image{}, err
	}
	defer spool.discard()
	if promised && !s.pending(im.Owner, im.ID) {
		return Image{}, ErrNotFound
	}
	info, err := s.receive(ctx, spool, src, StripOptions{Bounds: b}, stripPicture)
	if err != nil {
		return Image{}, err
	}
	out, err := s.reencode(ctx, im, info, spool.file)
	if err == nil && promised {
		_ = s.root.Remove(im.ID + pendingExt) // Clean removes it too
	}
	return out, err
}

// reencode decodes the picture in f and commits it as a PNG.
func (s *Store) reencode(ctx context.Context, im Image, info Info, f io.ReadSeeker) (Image, error) {
	release, err := s.reserve(ctx, info.Width, info.Height, decodeCost)
	if err != nil {
		return Image{}, err
	}
	defer release()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Image{}, fmt.Errorf("reading the upload again: %w", err)
	}
	m, err := decode(info.Format, whileAlive(ctx, f), info.Width, info.Height)
	if err != nil {
		return Image{}, err
	}
	m = upright(plain(m), info.Orientation)
	d, err := s.draft(im.ID, ".part")
	if err != nil {
		return Image{}, err
	}
	defer d.discard()
	enc := png.Encoder{CompressionLevel: png.BestSpeed} // a third less time for a tenth more bytes
	if err := errors.Join(enc.Encode(d, m), d.Flush()); err != nil {
		return Image{}, fmt.Errorf("storing picture: %w", err)
	}
	im.Origin = Uploaded
	out, _, err := s.commit(d, im.with(Info{Format: PNG, Width: m.Bounds().Dx(), Height: m.Bounds().Dy()}), s.recording(im.ID))
	return out, err
}

// with returns im with what the bytes say.
func (im Image) with(i Info) Image {
	im.Format, im.Width, im.Height, im.Content = i.Format, i.Width, i.Height, i.Content
	return im
}

// mark returns the mark that im gets; none for what a caller brought.
func (s *Store) mark(im Image) *Mark {
	if im.Origin == Uploaded {
		return nil
	}
	return &Mark{Generator: s.cfg.Generator, CallID: im.CallID}
}

// A stripper sniffs the head of src and copies src to dst through the filter of its type.
type stripper func(head []byte, dst io.Writer, src io.Reader, o StripOptions) (Info, error)

func stripPicture(head []byte, dst io.Writer, src io.Reader, o StripOptions) (Info, error) {
	f, err := Sniff(head)
	if err != nil {
		return Info{}, err
	}
	return Strip(dst, src, f, o)
}

// receive strips src into d, without more pixels than could ever be decoded.
func (s *Store) receive(ctx context.Context, d *draft, src io.Reader, o StripOptions, strip stripper) (Info, error) {
	most := s.cfg.DecodeBytes / decodeCost
	if o.Bounds.Pixels == 0 || o.Bounds.Pixels > most {
		o.Bounds.Pixels = most
	}
	in := bufio.NewReaderSize(whileAlive(ctx, src), inBuffer)
	head, err := in.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return Info{}, fmt.Errorf("reading picture: %w", err)
	}
	return strip(head, d, in, o)
}

// commit gives a finished draft its name, copies made pictures to the output folder, and writes the record.
func (s *Store) commit(d *draft, im Image, write func([]byte) error) (out Image, saveErr, err error) {
	if im.Owner == "" {
		return Image{}, nil, errors.New("images: a picture without an owner")
	}
	im.Bytes, im.SHA256, im.Made = d.n, d.sha256(), time.Now()
	name := im.ID + "." + string(im.Format)
	if err := d.rename(name); err != nil {
		return Image{}, nil, err
	}
	if im.Origin != Uploaded {
		im.Saved, saveErr = s.save(saving{id: im.ID, stored: name, ext: extension(im.Format), made: im.Made})
	}
	if err := s.writeRecord(name, im.Bytes, im, write); err != nil {
		return Image{}, nil, err
	}
	return im, saveErr, nil
}

// recording returns what writes the record of id.
func (s *Store) recording(id string) (write func([]byte) error) {
	return func(b []byte) error { return s.writeFile(id, ".json", b) }
}

// writeRecord makes what is stored under name exist; if that fails, it is removed.
func (s *Store) writeRecord(name string, size int64, record any, write func([]byte) error) error {
	b, err := json.Marshal(record)
	if err == nil {
		err = write(b)
	}
	if err != nil {
		_ = s.root.Remove(name) // Clean would find it
		return fmt.Errorf("recording picture: %w", err)
	}
	if s.grown.Add(size) > s.cfg.MaxBytes/8 {
		select {
		case s.nudge <- struct{}{}:
		default: // nudged already
		}
	}
	return nil
}

// Get returns the record of owner's picture id, [ErrNotFound], or [ErrPending] while an upload link waits for it.
func (s *Store) Get(owner, id string) (Image, error) {
	if !validID(id) {
		return Image{}, ErrNotFound
	}
	im, err := s.record(id)
	if errors.Is(err, fs.ErrNotExist) && s.pending(owner, id) {
		return Image{}, ErrPending
	}
	if errors.Is(err, fs.ErrNotExist) || (err == nil && im.Owner != owner) {
		return Image{}, ErrNotFound
	}
	return im, err
}

// Open opens the stored bytes of owner's picture id.
func (s *Store) Open(owner, id string) (io.ReadSeekCloser, Image, error) {
	im, err := s.Get(owner, id)
	if err != nil {
		return nil, Image{}, err
	}
	f, err := s.regular(id + "." + string(im.Format))
	if errors.Is(err, fs.ErrNotExist) { // cleaned meanwhile
		return nil, Image{}, ErrNotFound
	}
	if err != nil {
		return nil, Image{}, fmt.Errorf("opening picture: %w", err)
	}
	return f, im, nil
}
