package emulator

import (
	"math"
	"math/rand/v2"
)

// field is smooth noise over the plane, its own for every seed.
type field struct {
	perm [512]uint8
	grad [256][2]float64 // directions
}

func newField(rng *rand.Rand) *field {
	f := &field{}
	for i, v := range rng.Perm(256) {
		f.perm[i], f.perm[i+256] = uint8(v), uint8(v)
	}
	for i := range f.grad {
		f.grad[i][1], f.grad[i][0] = math.Sincos(2 * math.Pi * rng.Float64())
	}
	return f
}

// slope is the height that a lattice point lends to a place beside it.
func (f *field) slope(ix, iy int, dx, dy float64) float64 {
	g := &f.grad[f.perm[int(f.perm[ix&255])+iy&255]]
	return g[0]*dx + g[1]*dy
}

// at is the noise at a place, 0 to 1, with features of about one unit.
func (f *field) at(x, y float64) float64 {
	fx, fy := math.Floor(x), math.Floor(y)
	ix, iy := int(fx), int(fy)
	u, v := x-fx, y-fy
	a, b := f.slope(ix, iy, u, v), f.slope(ix+1, iy, u-1, v)
	c, d := f.slope(ix, iy+1, u, v-1), f.slope(ix+1, iy+1, u-1, v-1)
	u, v = u*u*u*(u*(u*6-15)+10), v*v*v*(v*(v*6-15)+10)
	top := a + (b-a)*u
	return 0.5 + 0.72*(top+(c+(d-c)*u-top)*v)
}

// fbm sums noise of ever finer features, 0 to 1.
func (f *field) fbm(x, y float64, octaves int) float64 {
	sum, amp, all := 0.0, 0.5, 0.0
	for range octaves {
		sum += amp * f.at(x, y)
		all += amp
		amp *= 0.5
		x, y = x*2.03+17.1, y*2.03+9.2
	}
	return sum / all
}

// ridged is fbm with sharp crests, 0 to 1.
func (f *field) ridged(x, y float64, octaves int) float64 {
	sum, amp, all := 0.0, 0.5, 0.0
	for range octaves {
		n := 1 - math.Abs(2*f.at(x, y)-1)
		sum += amp * n * n
		all += amp
		amp *= 0.5
		x, y = x*2.03+31.7, y*2.03+3.3
	}
	return sum / all
}

// speck is a number from 0 to 1 for a cell, with nothing in common with its neighbours'.
func (f *field) speck(x, y int) float64 {
	h := uint32(x)*0x9e3779b1 ^ uint32(y)*0x85ebca77 ^ uint32(f.perm[0])<<8
	h ^= h >> 15
	h *= 0x2c1b3c6d
	h ^= h >> 12
	h *= 0x297a2d39
	h ^= h >> 15
	return float64(h) / (1 << 32)
}

// bump is a bell about zero, of height 1 and width about 1.
func bump(x float64) float64 { return math.Exp(-x * x) }
