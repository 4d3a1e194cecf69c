package workflow

import (
	"math"
	"math/bits"
)

// A volume is how much a node gives: count pictures of a size, or as much sound. Counts do not run over (T32).
type volume struct {
	width, height, count int64
	frames               int64 // of the pictures that make one video; 0 for stills
	sound                bool  // width × height are samples, not a picture
	guessed              bool  // a number was not known, and the most it may be was taken
	merged               bool  // the larger of several, so no exact size
}

func (v volume) empty() bool { return v.width == 0 || v.height == 0 }

func (v volume) pixels() int64 { return times(v.width, v.height, max(v.count, 1)) }

// larger returns the one that has more pixels; a picture rather than sound, which is counted where it is made.
func (v volume) larger(w volume) volume {
	out := v
	switch {
	case v.empty(), v.sound && !w.sound && !w.empty():
		out = w
	case w.sound && !v.sound:
	case w.pixels() > v.pixels():
		out = w
	}
	out.merged = v.merged || w.merged || !v.empty() && !w.empty() && (v.width != w.width || v.height != w.height)
	return out
}

// scaled returns v with its sides multiplied.
func (v volume) scaled(x, y float64) volume {
	v.width, v.height = max(whole(float64(v.width)*x), 1), max(whole(float64(v.height)*y), 1)
	return v
}

// times multiplies numbers that are not negative; what passes an int64 counts as the largest one.
func times(factors ...int64) int64 {
	p := uint64(1)
	for _, f := range factors {
		high, low := bits.Mul64(p, uint64(max(f, 0)))
		p = low
		if high != 0 || low > math.MaxInt64 {
			p = math.MaxInt64
		}
	}
	return int64(p)
}

// plus adds numbers that are not negative, likewise.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// mostSide bounds a number that becomes a whole one, so that a few may be added without care.
const mostSide = 1 << 40

// whole rounds a size up, without its sign: a server takes some numbers below zero for those above. What is no number is the most.
func whole(f float64) int64 {
	f = math.Ceil(math.Abs(f))
	if !(f < mostSide) {
		return mostSide
	}
	return int64(f)
}

// clamped makes an int of a count.
func clamped(n int64) int { return int(min(n, math.MaxInt32)) }
