package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"time"
)

// A CleanReport counts what Clean did.
type CleanReport struct {
	Removed, Kept int   // pictures and files
	Bytes         int64 // freed
	Leftovers     int   // files of crashed writes and expired upload links, removed
}

// leftoverAge is when a file that belongs to no picture is taken for a crashed write's: no write takes so long.
const leftoverAge = time.Hour

// The names that a store gives: files of a picture, and those judged alone: promises and drafts.
var (
	pictureName = regexp.MustCompile(`^([a-z2-7]{26})\.(?:png|jpeg|webp|json|apng|gif|mp4|mov|m4a|webm|mkv|flac|mp3|opus|wav|glb)$`)
	otherName   = regexp.MustCompile(`^(?:[a-z2-7]{26}\.pending|\.[a-z2-7]{26}\.(?:part|spool|json\.part|pending\.part))$`)
)

// A stored is what a folder's list says of one id.
type stored struct {
	files  []string
	bytes  int64
	record bool // has its record, so it is a picture
	latest time.Time
}

// Clean removes pictures by age, then by quota, and leftovers of crashed writes. What is above the quota goes from whoever holds most, the
// oldest first: nobody drives out others' pictures by bringing in more of their own. It touches only files of the store (SC-34).
// It follows no link and may run in several processes at once. What cannot be removed is passed over and told in the error.
func (s *Store) Clean(ctx context.Context, now time.Time) (CleanReport, error) {
	grown := s.grown.Load()
	pictures, stray, err := s.list()
	if err != nil {
		return CleanReport{}, fmt.Errorf("listing pictures: %w", err)
	}
	c := cleaning{store: s}
	for _, x := range stray {
		if now.Sub(x.latest) > leftoverAge {
			c.leftover(x)
		}
	}
	slices.SortFunc(pictures, func(a, b stored) int { return a.latest.Compare(b.latest) })
	var young []stored
	for _, p := range pictures {
		if ctx.Err() != nil {
			return c.CleanReport, errors.Join(append(c.errs, ctx.Err())...)
		}
		if now.Sub(p.latest) <= s.cfg.MaxAge {
			young = append(young, p)
		} else {
			c.picture(p)
		}
	}
	if err := c.quota(ctx, young); err != nil {
		return c.CleanReport, errors.Join(append(c.errs, err)...)
	}
	s.grown.Add(-grown)
	return c.CleanReport, errors.Join(c.errs...)
}

// quota removes of pictures, which are sorted by age, as many as are too many.
func (c *cleaning) quota(ctx context.Context, pictures []stored) error {
	var total int64
	for _, p := range pictures {
		total += p.bytes
	}
	c.Kept += len(pictures)
	if total <= c.store.cfg.MaxBytes {
		return nil
	}
	type holding struct {
		pictures []stored
		bytes    int64
	}
	holdings := make(map[string]*holding)
	for _, p := range pictures {
		owner := c.store.ownerOf(p)
		if holdings[owner] == nil {
			holdings[owner] = &holding{}
		}
		h := holdings[owner]
		h.pictures, h.bytes = append(h.pictures, p), h.bytes+p.bytes
	}
	for total > c.store.cfg.MaxBytes && len(holdings) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		most := ""
		for owner, h := range holdings {
			if m := holdings[most]; m == nil || h.bytes > m.bytes || h.bytes == m.bytes && owner < most {
				most = owner
			}
		}
		h := holdings[most]
		p := h.pictures[0]
		if h.pictures = h.pictures[1:]; len(h.pictures) == 0 {
			delete(holdings, most)
		}
		h.bytes -= p.bytes
		c.Kept--
		if c.picture(p) { // else it is counted as kept again, and another goes
			total -= p.bytes
		}
	}
	return nil
}

// ownerOf reads whose a stored picture is; nobody's if its record cannot be read.
func (s *Store) ownerOf(p stored) string {
	b, err := s.readFile(p.files[0])
	if err != nil {
		return ""
	}
	var record struct {
		Owner string `json:"owner"`
	}
	if json.Unmarshal(b, &record) != nil {
		return ""
	}
	return record.Owner
}

// Held returns how many bytes the store holds.
func (s *Store) Held() (total int64, err error) {
	pictures, stray, err := s.list()
	if err != nil {
		return 0, fmt.Errorf("listing pictures: %w", err)
	}
	for _, p := range slices.Concat(pictures, stray) {
		total += p.bytes
	}
	return total, nil
}

// list groups the store's own files by id: pictures, and what belongs to none.
func (s *Store) list() (pictures, stray []stored, err error) {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, nil, err
	}
	ids := map[string]*stored{}
	for _, e := range entries {
		key := e.Name()
		if m := pictureName.FindStringSubmatch(key); m != nil {
			key = m[1]
		} else if !otherName.MatchString(key) {
			continue // another's
		}
		fi, err := e.Info()
		if err != nil || !fi.Mode().IsRegular() { // gone meanwhile, or a link
			continue
		}
		if ids[key] == nil {
			ids[key] = &stored{}
		}
		ids[key].add(fi, e.Name() == key+".json")
	}
	for _, x := range ids {
		if x.record && len(x.files) > 1 {
			pictures = append(pictures, *x)
		} else {
			stray = append(stray, *x)
		}
	}
	return pictures, stray, nil
}

// add counts a file. A record goes first, so that a picture vanishes at once.
func (x *stored) add(fi fs.FileInfo, record bool) {
	if record {
		x.record = true
		x.files = slices.Insert(x.files, 0, fi.Name())
	} else {
		x.files = append(x.files, fi.Name())
	}
	x.bytes += fi.Size()
	if fi.ModTime().After(x.latest) {
		x.latest = fi.ModTime()
	}
}

// A cleaning is one run of Clean.
type cleaning struct {
	CleanReport
	store *Store
	errs  []error
}

// remove removes a file and reports whether it is gone. That another process was quicker is no fault.
func (c *cleaning) remove(name string) (ours, gone bool) {
	err := c.store.root.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err == nil, true
	}
	c.errs = append(c.errs, err)
	return false, false
}

// picture removes a picture; it counts for the process that removed its record.
func (c *cleaning) picture(p stored) bool {
	ours, gone := c.remove(p.files[0])
	if !gone {
		c.Kept++
		return false
	}
	for _, name := range p.files[1:] {
		c.remove(name) // else it is a leftover for the next run
	}
	if ours {
		c.Removed++
		c.Bytes += p.bytes
	}
	return true
}

func (c *cleaning) leftover(x stored) {
	for _, name := range x.files {
		if ours, _ := c.remove(name); ours {
			c.Leftovers++
			c.Bytes += x.bytes / int64(len(x.files))
		}
	}
}

// Run cleans at once, every interval (0 = an hour), when the store has grown by an eighth of its quota, and once more when
// ctx ends; then it returns. Each run is told to report, from Run's goroutine.
func (s *Store) Run(ctx context.Context, interval time.Duration, report func(CleanReport, error)) {
	if interval <= 0 {
		interval = time.Hour
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		report(s.Clean(ctx, time.Now()))
		select {
		case <-tick.C:
		case <-s.nudge:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			report(s.Clean(last, time.Now()))
			return
		}
	}
}
