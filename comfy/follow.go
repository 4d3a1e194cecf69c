package comfy

import (
	"context"
	"errors"
	"time"
)

const (
	lookFirst   = 250 * time.Millisecond // after the POST; a socket that works is heard from before
	lookHeard   = 5 * time.Second        // the socket speaks of this run
	lookSilent  = 2 * time.Second        // it has not for lookHeard: it may be deaf (CLIENT-FAIL-1)
	lookBlind   = 20 * time.Millisecond  // no socket: from here up to lookSilent
	lookAway    = time.Second            // the server does not answer
	lookGap     = 250 * time.Millisecond // between looks that nobody is in a hurry for
	lookEndGap  = 4 * time.Millisecond   // after the socket told the end, doubling (CLIENT-WS-7)
	lookEndFor  = 2 * time.Second
	lostAfter   = 2 * time.Second  // CLIENT-FAIL-4
	stalled     = 30 * time.Second // CLIENT-FAIL-6
	unreadables = 5                // answers about the run that cannot be read, until it is given up
)

// A follower asks the server about a run until it has ended. It is the only one who ends it.
type follower struct {
	r *Run

	last    time.Time     // of the last look
	blind   time.Duration // present gap without a socket
	endGap  time.Duration
	overAt  time.Time // when the end was first looked for
	unknown time.Time // since when the server does not know the run
	idle    time.Time // since when it is pending at a server that runs nothing
	bad     int
}

// follow ends with the run, or with the client.
func (r *Run) follow(ctx context.Context) {
	f := follower{r: r, last: time.Now(), blind: lookBlind, endGap: lookEndGap}
	r.update(func(p *Progress) { p.State = orDefault(p.State, Pending) })
	for wait := f.gap(lookFirst); ; {
		if !f.pause(ctx, wait) {
			r.finish(Result{State: Lost, Err: ErrClosed})
			r.c.drop(r)
			return
		}
		var end *Result
		if wait, end = f.judge(f.look(ctx)); end != nil {
			r.finish(*end)
			r.c.drop(r)
			f.suspect(ctx)
			return
		}
	}
}

// pause waits, or less when poked; false means that ctx has ended.
func (f *follower) pause(ctx context.Context, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		case <-f.r.pokes:
			gap := lookGap - time.Since(f.last)
			if f.r.urgent() || gap <= 0 {
				return ctx.Err() == nil
			}
			t.Reset(gap)
		}
	}
}

// urgent reports whether the end is near: told by the socket, or asked for.
func (r *Run) urgent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over || r.asked
}

func (f *follower) look(ctx context.Context) (sight, error) {
	f.last = time.Now()
	if f.ending() {
		return f.r.c.lookEnd(ctx, f.r.PromptID())
	}
	return f.r.c.look(ctx, f.r.PromptID())
}

// ending reports whether the socket told the end and the history may still be on its way.
func (f *follower) ending() bool {
	if !f.r.isOver() {
		return false
	}
	if f.overAt.IsZero() {
		f.overAt = f.last
	}
	return f.last.Sub(f.overAt) < lookEndFor
}

// judge says what a look means: how long until the next, or the end.
func (f *follower) judge(s sight, err error) (time.Duration, *Result) {
	if err != nil {
		return f.misjudge(err)
	}
	f.bad = 0
	switch s.state {
	case Pending, Running:
		f.unknown = time.Time{}
		f.still(s)
		if f.ending() {
			return f.soon(), nil
		}
		return f.gap(lookHeard), nil
	case Lost:
		return f.missing()
	case Succeeded, Failed, Cancelled:
	}
	return 0, &s.result
}

// still notes that the run waits or runs.
func (f *follower) still(s sight) {
	if !s.idle {
		f.idle = time.Time{}
	} else if f.idle.IsZero() {
		f.idle = f.last
	}
	f.r.update(func(p *Progress) {
		p.Unreachable = false
		switch {
		case s.state == Running:
			p.start(time.Now())
		case p.State == Pending: // the socket may have said more since
			p.Position = s.position
			p.Stalled = s.idle && f.last.Sub(f.idle) >= stalled
		}
	})
}

// missing is the rule for a run that the server answers not to know.
func (f *follower) missing() (time.Duration, *Result) {
	f.r.update(func(p *Progress) { p.Unreachable = false })
	if f.ending() {
		return f.soon(), nil
	}
	if f.r.cancelAsked() {
		return 0, &Result{State: Cancelled} // one that was waiting leaves no trace
	}
	now := time.Now()
	if f.unknown.IsZero() {
		f.unknown = now
	}
	if now.Sub(f.unknown) >= lostAfter {
		return 0, &Result{State: Lost}
	}
	return lostAfter - now.Sub(f.unknown), nil
}

// soon is the gap between looks for an end that is known to be there.
func (f *follower) soon() time.Duration {
	gap := f.endGap
	f.endGap = min(2*gap, lookGap)
	return gap
}

func (r *Run) cancelAsked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// misjudge is for no answer and for one that says nothing. The run may well go on, so only an answer about the very run that can
// never be read ends it.
func (f *follower) misjudge(err error) (time.Duration, *Result) {
	f.unknown, f.idle = time.Time{}, time.Time{}
	f.r.update(func(p *Progress) { p.Unreachable = true })
	if errors.Is(err, ErrUnreachable) {
		f.bad = 0
		return lookAway, nil
	}
	f.bad++
	var large *TooLargeError
	if f.bad >= unreadables && (errors.Is(err, ErrProtocol) || errors.As(err, &large)) {
		return 0, &Result{State: Failed, Err: err}
	}
	return min(lookAway<<f.bad, 10*time.Second), nil
}

// gap is how long to wait where the socket is not expected to be quicker, at most most.
func (f *follower) gap(most time.Duration) time.Duration {
	listening, _ := f.r.c.socket.listening(f.r.client)
	if !listening {
		gap := f.blind
		f.blind = min(f.blind*3/2, lookSilent)
		return gap
	}
	quiet := time.Since(f.r.lastHeard())
	if quiet >= lookHeard {
		return min(most, lookSilent)
	}
	return min(most, max(lookHeard-quiet, lookGap)) // until it would be silent
}

func (r *Run) lastHeard() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard
}

// suspect looks whether the socket will ever tell of the end that polling found.
func (f *follower) suspect(ctx context.Context) {
	listening, heard := f.r.c.socket.listening(f.r.client)
	if !listening || f.r.isOver() || !sleep(ctx, lookAway) {
		return
	}
	if _, since := f.r.c.socket.listening(f.r.client); since.Equal(heard) && time.Since(since) > lostAfter {
		f.r.c.socket.distrust(f.r.client)
	}
}
