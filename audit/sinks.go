package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/config"
)

// A Sink is where records are passed on to (AUD-15): in their order, each at least once, with its number, so that a receiver sees
// what is missing and what comes twice.
type Sink struct {
	// URL is stdout, syslog+tcp://host:port, syslog+udp://host:port, otlp+http(s)://host/path or webhook+http(s)://host/path.
	URL string
	// Required makes calls wait until the sink has a record, and refuses new ones while it doesn't take them.
	Required bool

	Token  config.Secret // sent as a bearer token, by OTLP and webhooks
	Secret config.Secret // signs what webhooks get
	Stdout io.Writer     // of stdout
}

// Bounds of passing on.
const (
	sinkBatch   = 256     // records at once
	sinkBytes   = 1 << 20 // and about so many bytes
	sinkGather  = 50 * time.Millisecond
	sinkTimeout = 10 * time.Second // of one batch
	sinkWait    = 5 * time.Second  // for a required sink to have a record
	sinkLast    = 2 * time.Second  // for the last records, when the log is closed
	sinkEvery   = time.Second      // a look whether there is something, besides being told
	maxSinks    = 16
)

// An item is what a sink gets: a record's line, or a checkpoint.
type item struct {
	seq        uint64
	line       []byte
	record     Record
	checkpoint string
}

// A carrier carries batches to a receiver. One goroutine uses it.
type carrier interface {
	carry(ctx context.Context, origin string, batch []item) error
	io.Closer
}

// errRejected says that a receiver will never take a batch.
var errRejected = errors.New("the receiver rejects it")

// A feed passes a log's records on to one sink.
type feed struct {
	log      *Log
	name     string // of the sink, without what is behind its host
	required bool
	carrier  carrier
	follower follower
	cursor   string // its file
	origin   string
	kick     chan struct{}

	sentMark uint64 // size of the last checkpoint that was passed on

	mu      sync.Mutex
	passed  uint64        // the last record that the sink has
	waiters chan struct{} // closed when passed grows
	down    error         // why the sink takes nothing
}

// A cursor is a feed's place, in a file beside the log.
type cursor struct {
	Seq        uint64 `json:"seq"`
	Segment    uint64 `json:"segment"`
	Offset     int64  `json:"offset"`
	Checkpoint uint64 `json:"checkpoint"`
}

// Feed passes all records on to sinks until the log is closed, those that are there already too: a sink goes on where it was
// when a process ended. It may be called once. ctx ends what is being sent.
func (l *Log) Feed(ctx context.Context, sinks []Sink) error {
	if len(sinks) > maxSinks {
		return fmt.Errorf("audit: %d sinks, at most %d are possible", len(sinks), maxSinks)
	}
	feeds := make([]*feed, 0, len(sinks))
	for _, s := range sinks {
		f, err := l.newFeed(s)
		if err != nil {
			return err
		}
		feeds = append(feeds, f)
	}
	l.feeds.Store(&feeds)
	for _, f := range feeds {
		l.feeding.Go(func() { f.run(ctx) })
	}
	return nil
}

func (l *Log) newFeed(s Sink) (*feed, error) {
	c, name, err := newCarrier(s)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(s.URL))
	f := &feed{
		log: l, name: name, required: s.Required, carrier: c, follower: follower{folder: l.w.folder},
		cursor: "sink-" + hex.EncodeToString(sum[:6]), kick: make(chan struct{}, 1), waiters: make(chan struct{}),
	}
	if l.w.tracker != nil {
		f.origin = l.w.tracker.origin
	}
	return f, f.load()
}

func newCarrier(s Sink) (c carrier, name string, err error) {
	if s.URL == "stdout" {
		if s.Stdout == nil {
			return nil, "", errors.New("audit sink stdout: stdout belongs to the MCP client here; it is for the HTTP transport")
		}
		return stdoutCarrier{s.Stdout}, s.URL, nil
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" {
		return nil, "", errors.New("audit sink: it is stdout or a URL")
	}
	kind, scheme, _ := strings.Cut(u.Scheme, "+")
	name = kind + " at " + u.Host
	switch {
	case kind == "syslog" && scheme == "tcp", kind == "syslog" && scheme == "udp" && !s.Required:
		return &syslogCarrier{network: scheme, address: u.Host}, name, nil
	case kind == "syslog" && scheme == "udp":
		return nil, "", errors.New("audit sink " + name + ": nobody learns whether UDP arrives, so it cannot be required")
	case kind == "otlp" && (scheme == "http" || scheme == "https"):
		u.Scheme = scheme
		return newHTTPCarrier(u.String(), s, otlpBody), name, nil
	case kind == "webhook" && (scheme == "http" || scheme == "https"):
		u.Scheme = scheme
		return newHTTPCarrier(u.String(), s, webhookBody), name, nil
	}
	return nil, "", errors.New("audit sink " + name + ": it is none of stdout, syslog, otlp and webhook")
}

// load reads where the feed was; a new one begins with the first record that there is.
func (f *feed) load() (err error) {
	file, err := f.follower.fs.OpenFile(f.follower.path(f.cursor), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading a sink's place: %w", err)
	}
	defer closing(file, &err)
	b, err := io.ReadAll(io.LimitReader(file, 4096))
	if err != nil {
		return fmt.Errorf("reading a sink's place: %w", err)
	}
	var c cursor
	if json.Unmarshal(b, &c) == nil { // else it is read again from the beginning
		f.follower.seq, f.follower.at, f.sentMark, f.passed = c.Seq, place{c.Segment, c.Offset}, c.Checkpoint, c.Seq
	}
	return nil
}

// save keeps the feed's place. It isn't made durable: what is lost of it is passed on again.
func (f *feed) save() (err error) {
	b, err := json.Marshal(cursor{f.follower.seq, f.follower.at.segment, f.follower.at.offset, f.sentMark})
	if err != nil {
		return fmt.Errorf("keeping a sink's place: %w", err)
	}
	file, err := f.follower.fs.OpenFile(f.follower.path(f.cursor), os.O_WRONLY|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("keeping a sink's place: %w", err)
	}
	defer closing(file, &err)
	if _, err := file.WriteAt(fmt.Appendf(nil, "%-255s\n", b), 0); err != nil { // one size, so one write
		return fmt.Errorf("keeping a sink's place: %w", err)
	}
	return nil
}

// run passes on what comes, until the log is closed and all is passed on, or time is up.
func (f *feed) run(ctx context.Context) {
	defer f.carrier.Close() //nolint:errcheck // nothing can be done about it
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = time.Second, time.Minute
	wait := time.Duration(0)
	for {
		timer := time.NewTimer(max(wait, sinkEvery))
		select {
		case <-f.log.done:
			timer.Stop()
			f.finish(ctx)
			return
		case <-f.kick:
			timer.Stop()
			if wait > 0 && !f.rest(wait) {
				continue
			}
		case <-timer.C:
		}
		if !f.required && wait == 0 && !f.rest(sinkGather) {
			continue
		}
		if err := f.pass(ctx); err != nil {
			wait = pause.NextBackOff()
			f.fail(err)
			continue
		}
		pause.Reset()
		wait = 0
	}
}

// rest waits, and is false where the log was closed meanwhile.
func (f *feed) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.log.done:
		return false
	}
}

// finish passes the last records on, once.
func (f *feed) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sinkLast)
	defer cancel()
	if err := f.pass(ctx); err != nil {
		f.fail(err)
	}
}

// pass passes on all that there is.
func (f *feed) pass(ctx context.Context) error {
	for {
		before := f.follower
		batch, err := f.gather()
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			return nil
		}
		if err := f.send(ctx, batch); err != nil {
			f.follower = before
			return err
		}
		for _, it := range batch {
			if it.checkpoint != "" {
				f.sentMark = it.seq
			}
		}
		f.taken()
		if err := f.save(); err != nil {
			return err
		}
	}
}

// gather reads the next batch; with the last records comes the last checkpoint.
func (f *feed) gather() (batch []item, err error) {
	until := f.log.shown.Load()
	size, first := 0, f.follower.seq
	err = f.follower.next(sinkBatch, until, func(seq uint64, line []byte) error {
		if size += len(line); size > sinkBytes && len(batch) > 0 {
			return errEnough
		}
		r, ok := record(line)
		if !ok {
			r = Record{Seq: seq}
		}
		batch = append(batch, item{seq: seq, line: append([]byte(nil), line...), record: r})
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if len(batch) > 0 && batch[0].seq > first+1 {
		f.gap(first+1, batch[0].seq-1, "the records were removed before they were passed on")
	}
	if signed := f.log.lastSigned.Load(); signed != nil && signed.size > f.sentMark && signed.size <= f.follower.seq {
		batch = append(batch, item{seq: signed.size, checkpoint: signed.text})
	}
	return batch, nil
}

// send sends a batch; one that the receiver never takes is left out, which the log says.
func (f *feed) send(ctx context.Context, batch []item) error {
	ctx, cancel := context.WithTimeout(ctx, sinkTimeout)
	defer cancel()
	err := f.carrier.carry(ctx, f.origin, batch)
	if !errors.Is(err, errRejected) {
		return err
	}
	if len(batch) > 1 {
		return errors.Join(f.send(ctx, batch[:len(batch)/2]), f.send(ctx, batch[len(batch)/2:]))
	}
	if f.required {
		return err
	}
	f.gap(batch[0].seq, batch[0].seq, "the receiver rejects it")
	return nil
}

// gap records that a sink lacks records (AUD-01).
func (f *feed) gap(from, to uint64, why string) {
	f.log.cfg.Log.Warn("an audit sink lacks records", zap.String("sink", f.name), zap.Uint64("from", from), zap.Uint64("to", to), zap.String("cause", why))
	f.log.say(Record{Kind: Event, Name: SinkGap, Detail: map[string]string{
		"sink": f.name, "from": fmt.Sprint(from), "to": fmt.Sprint(to), "cause": why,
	}})
}

// taken tells those who wait how far the sink is.
func (f *feed) taken() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed = f.follower.seq
	if f.down != nil {
		f.log.cfg.Log.Info("an audit sink takes records again", zap.String("sink", f.name))
	}
	f.down = nil
	close(f.waiters)
	f.waiters = make(chan struct{})
}

// fail notes that the sink takes nothing.
func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down == nil {
		f.log.cfg.Log.Warn("an audit sink takes no records; it is tried again", zap.String("sink", f.name), zap.String("cause", safeCause(err)))
	}
	f.down = err
}

// safeCause is err without the address and path that errors of HTTP repeat.
func safeCause(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return cause(err)
}

// progress returns how far the sink is, and what is closed when it gets further.
func (f *feed) progress() (uint64, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passed, f.waiters, f.down
}

// awaitSinks waits until all required sinks have a record.
func (l *Log) awaitSinks(ctx context.Context, seq uint64) error {
	feeds := l.feeds.Load()
	if feeds == nil {
		return nil
	}
	var timer *time.Timer
	for _, f := range *feeds {
		for f.required {
			passed, more, _ := f.progress()
			if passed >= seq {
				break
			}
			if timer == nil {
				timer = time.NewTimer(sinkWait)
				defer timer.Stop()
			}
			select {
			case <-more:
			case <-timer.C:
				return fmt.Errorf("%w: a required sink, %s, did not take the record within %v", ErrUnwritable, f.name, sinkWait)
			case <-ctx.Done():
				return fmt.Errorf("%w: gave up waiting for a required sink: %w", ErrUnwritable, ctx.Err())
			}
		}
	}
	return nil
}

// sinksHealthy returns why a required sink takes nothing.
func (l *Log) sinksHealthy() error {
	if feeds := l.feeds.Load(); feeds != nil {
		for _, f := range *feeds {
			if _, _, down := f.progress(); f.required && down != nil {
				return fmt.Errorf("%w: a required sink, %s, takes no records", ErrUnwritable, f.name)
			}
		}
	}
	return nil
}

// neededBySinks is the first record that a required sink still lacks.
func (l *Log) neededBySinks() uint64 {
	needed := uint64(1<<64 - 1)
	if feeds := l.feeds.Load(); feeds != nil {
		for _, f := range *feeds {
			if passed, _, _ := f.progress(); f.required {
				needed = min(needed, passed+1)
			}
		}
	}
	return needed
}

// show tells the sinks how far the log is durable.
func (l *Log) show(seq uint64) {
	l.shown.Store(seq)
	if feeds := l.feeds.Load(); feeds != nil {
		for _, f := range *feeds {
			select {
			case f.kick <- struct{}{}:
			default:
			}
		}
	}
}

// A signedNote is a checkpoint as it was signed.
type signedNote struct {
	size uint64
	text string
}

// envelope is an item as stdout and webhooks have it: a record as it is stored, or a checkpoint.
func envelope(dst []byte, origin string, it item) []byte {
	o, err := json.Marshal(origin)
	if err != nil { // a string has a JSON
		return dst
	}
	dst = append(append(dst, `{"origin":`...), o...)
	if it.checkpoint == "" {
		return append(append(append(dst, `,"record":`...), it.line...), '}')
	}
	c, err := json.Marshal(it.checkpoint)
	if err != nil {
		return dst
	}
	return append(append(append(dst, `,"checkpoint":`...), c...), '}')
}

type stdoutCarrier struct{ w io.Writer }

func (s stdoutCarrier) carry(_ context.Context, origin string, batch []item) error {
	var b []byte
	for _, it := range batch {
		b = append(envelope(b, origin, it), '\n')
	}
	if _, err := s.w.Write(b); err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return nil
}

func (stdoutCarrier) Close() error { return nil }
