package emulator

import "math"

// ridge is a line of hills: its height at every x.
type ridge struct {
	base, amp, scale, off float64
	octaves               int
	sharp                 bool
}

func (s *scene) top(r ridge, x float64) float64 {
	u := x*r.scale + r.off
	n := 0.0
	if r.sharp {
		n = s.noise.ridged(u, r.off, r.octaves)
	} else {
		n = s.noise.fbm(u, r.off, r.octaves)
	}
	return r.base - r.amp*n
}

// tops are the heights at every pixel, once for a whole ridge.
func (s *scene) tops(r ridge) []float64 {
	list := make([]float64, s.w)
	for px := range list {
		list[px] = s.top(r, s.x(px))
	}
	return list
}

func (s *scene) column(x float64) int {
	return min(s.w-1, max(0, int((x+s.half())*float64(s.h))))
}

// paintLand draws sky, hills, and the ground that was asked for.
func (s *scene) paintLand() {
	horizon := between(s.rng, 0.52, 0.64)
	switch s.kind {
	case "sea":
		horizon = between(s.rng, 0.50, 0.60)
	case "meadow":
		horizon = between(s.rng, 0.56, 0.66)
	case "city":
		horizon = between(s.rng, 0.66, 0.74)
	}
	s.paintSky(horizon + 0.1)
	if s.has["rainbow"] {
		s.paintRainbow(horizon)
	}
	switch s.kind {
	case "sea":
		if s.rng.IntN(3) > 0 || s.has["snow"] {
			s.paintHills(horizon, 2, 0.4, horizon)
		}
		s.paintSea(horizon)
	case "desert":
		s.paintHills(horizon, 1, 0.25, horizon+0.05)
		s.paintDunes(horizon)
	case "city":
		s.paintHills(horizon, 1, 0.3, horizon+0.1)
		s.paintCity(horizon)
	case "forest":
		s.paintHills(horizon, 2, 0.7, horizon+0.08)
		s.paintForest(horizon)
	case "meadow":
		s.paintHills(horizon, 2, 0.45, horizon+0.05)
		s.paintMeadow(horizon)
	default:
		s.paintHills(horizon, 3+s.rng.IntN(2), 1, horizon+0.13)
		switch chance := s.rng.IntN(2) == 0; {
		case s.has["forest"]:
			s.paintForest(horizon)
		case s.has["sea"] || (chance && !s.has["snow"] && !s.has["meadow"]):
			s.paintSea(horizon + 0.1)
		default:
			s.paintMeadow(horizon + 0.08)
		}
	}
	s.paintThings(horizon)
}

// floors are, for every ridge and column, where a nearer ridge begins: what lies
// below need not be painted. The last are at the given height.
func (s *scene) floors(tops [][]float64, last float64) [][]float64 {
	floors := make([][]float64, len(tops))
	next := make([]float64, s.w)
	for i := range next {
		next[i] = last
	}
	for i := len(tops) - 1; i >= 0; i-- {
		floors[i] = next
		next = make([]float64, s.w)
		for px := range next {
			next[px] = min(floors[i][px], tops[i][px])
		}
	}
	return floors
}

// slopes paints ridges one behind the other, each pixel once. shade gets the
// number of the ridge, the place, and how far that is below the crest.
func (s *scene) slopes(ridges []ridge, last float64, shade func(i int, x, y, d float64) rgb) [][]float64 {
	tops := make([][]float64, len(ridges))
	for i, r := range ridges {
		tops[i] = s.tops(r)
	}
	soft := s.dot()
	for i, floor := range s.floors(tops, last) {
		high := 1.0
		for _, t := range tops[i] {
			high = min(high, t)
		}
		s.rows(high-soft, last+2*soft, s.over(func(x, y float64, old rgb) rgb {
			px := s.column(x)
			t := tops[i][px]
			if y < t-soft || y > floor[px]+soft {
				return old
			}
			v := shade(i, x, y, max(0, y-t))
			if y < t { // the crest's own pixel, half covered
				return old.mix(v, (y-t+soft)/soft)
			}
			return v
		}))
	}
	return tops
}

// paintHills draws ridges one before the other, each darker than the last, with
// mist at their feet, down to where the ground begins.
func (s *scene) paintHills(horizon float64, n int, tall, ground float64) {
	l := s.light
	sx, _ := s.sunAt()
	var ridges []ridge
	var snowy []bool
	for i := range n {
		depth := float64(i+1) / float64(n)
		ridges = append(ridges, ridge{
			base: horizon + 0.02 + 0.09*depth, amp: tall * (0.36 - 0.17*depth) * between(s.rng, 0.8, 1.2),
			scale: between(s.rng, 1.1, 1.6) + depth*1.3, off: between(s.rng, 0, 60), octaves: 6, sharp: tall > 0.6,
		})
		snowy = append(snowy, tall > 0.6 && (s.has["snow"] || s.rng.IntN(3) == 0) && depth < 0.8)
	}
	mist := l.sky.at(0.97)
	s.slopes(ridges, ground, func(i int, x, y, d float64) rgb {
		r, depth := ridges[i], float64(i+1)/float64(n)
		body := l.far.mix(l.near, math.Pow(depth, 1.25)*0.85)
		// Spurs run down from the crest; the light falls on one side of them.
		side := math.Copysign(1, sx-x)
		u, v := x*r.scale*2.4+r.off, d*r.scale*1.7
		u += 0.35 * s.noise.at(u*0.9, v*2.2)
		facing := 5.5 * (s.noise.ridged(u, v+r.off, 4) - s.noise.ridged(u+0.05*side, v+r.off-0.03, 4))
		facing = max(-1, min(1, facing))
		rough := s.noise.fbm(x*14+r.off, y*22, 3) - 0.5
		c := body.times(1 + 0.22*facing + 0.25*rough)
		c = c.mix(l.sun.mix(body, 0.5), 0.12*max(0, facing+rough))
		if snowy[i] {
			line := 0.30*r.amp + 0.25*r.amp*rough
			cover := smoothstep(0.03*r.amp, -0.03*r.amp, d-line) * smoothstep(-0.9, 0.3, facing+rough*1.6+0.35)
			c = c.mix(ink(0xf4f8fc).times(0.45+0.55*l.bright).times(0.86+0.16*facing), cover*0.92)
		}
		return c.mix(mist, 0.62*smoothstep(0.02, max(0.03, r.base+0.06-(y-d)), d)*(1-depth*0.55))
	})
}

// over lets a painter of rows see what is there.
func (s *scene) over(f func(x, y float64, old rgb) rgb) func(x, y float64) rgb {
	return func(x, y float64) rgb {
		px, py := s.column(x), min(s.h-1, max(0, int(y*float64(s.h))))
		p := s.m.Pix[s.m.PixOffset(px, py):]
		return f(x, y, rgb{float64(p[0]) / 255, float64(p[1]) / 255, float64(p[2]) / 255})
	}
}

// paintSea draws water that mirrors the sky, with waves and the sun's path.
func (s *scene) paintSea(horizon float64) {
	l := s.light
	sx, sy := s.sunAt()
	off := between(s.rng, 0, 40)
	calm := boolTo(s.has["storm"], 0.4, 1)
	s.rows(horizon, 1, func(x, y float64) rgb {
		depth := (y - horizon) / (1 - horizon) // 0 far, 1 near
		scale := 1 / (0.03 + depth*0.55)
		wx, wy := x*scale*0.8+off, math.Log(0.02+depth)*13+off
		wave := s.noise.fbm(wx, wy, 4) - 0.5
		swell := s.noise.at(wx*0.35, wy*0.28) - 0.5
		mirror := l.sky.at(1 - depth*0.85 + (wave*0.35+swell*0.2)/calm)
		v := l.water.mix(mirror, 0.62-0.25*depth)
		v = v.times(1 + 0.35*wave + 0.18*swell)
		// Light comes back from the crests that lie below the sun.
		width := 0.05 + depth*0.28
		path := math.Exp(-(x - sx) * (x - sx) / (width * width))
		spark := smoothstep(0.08, 0.24, wave+0.04*boolTo(sy < 0.3, 0, 1))
		v = v.screen(l.sun, path*(0.16+0.85*spark)*boolTo(s.has["storm"], 0.25, 0.8))
		foam := smoothstep(0.30, 0.40, wave+swell*0.5) * smoothstep(0.2, 0.8, depth) / calm
		return v.mix(ink(0xf4fbff).times(0.4+0.6*l.bright), 0.35*foam)
	})
	// A seam of haze, so that water and land do not meet like paper.
	s.rows(horizon-0.004, horizon+0.012, s.over(func(_, y float64, old rgb) rgb {
		return old.mix(l.sky.at(0.98), 0.35*(1-math.Abs(y-horizon-0.004)/0.009))
	}))
}

// paintMeadow draws rolling grass, with flowers.
func (s *scene) paintMeadow(horizon float64) {
	l := s.light
	sx, _ := s.sunAt()
	var ridges []ridge
	for i := range 3 {
		f := float64(i)
		ridges = append(ridges, ridge{
			base: horizon + 0.03 + 0.13*f, amp: 0.12, scale: 0.9 + 0.25*f, off: between(s.rng, 0, 50), octaves: 2,
		})
	}
	tops := s.slopes(ridges, 1, func(i int, x, y, d float64) rgb {
		depth := float64(i+1) / 3
		fine := s.noise.fbm(x*150/(0.5+depth), y*60/(0.5+depth), 3)
		broad := s.noise.fbm(x*3+ridges[i].off, y*6, 3)
		v := l.ground.mix(l.ground2, smoothstep(0.25, 0.8, broad+0.25*(fine-0.5)))
		v = v.times(0.62 + 0.12*depth + 0.32*fine + 0.25*math.Exp(-d*26))
		v = v.mix(l.sky.at(0.96), 0.45*(1-depth))
		return v.screen(l.sun, 0.16*math.Exp(-math.Abs(x-sx)*1.6)*math.Exp(-d*10)*l.bright)
	})
	if s.has["snow"] || s.has["storm"] {
		return
	}
	for i := 1; i < 3; i++ {
		s.paintBlooms(ridges[i], tops[i], float64(i+1)/3)
	}
}

// paintBlooms strews flowers over a slope.
func (s *scene) paintBlooms(r ridge, tops []float64, depth float64) {
	n := int(120 * s.ratio * depth * boolTo(s.kind == "meadow", 2.2, 0.7))
	tints := []rgb{ink(0xf6e7f0), ink(0xf2c53a), ink(0xe2577a), ink(0x8f6fe0), ink(0xf08a3c)}
	if c, ok := s.colors["all"]; ok {
		tints = []rgb{c, c.mix(ink(0xffffff), 0.5)}
	}
	a, b := tints[s.rng.IntN(len(tints))], tints[s.rng.IntN(len(tints))]
	for range n {
		x := between(s.rng, -s.half(), s.half())
		y := tops[s.column(x)] + 0.02 + 0.5*math.Pow(s.rng.Float64(), 1.4)
		if s.noise.at(x*3+r.off, y*5) < 0.42 {
			continue
		}
		near := smoothstep(0.55, 1, y)
		size := 0.0018 + 0.006*near*depth
		v := a.mix(b, boolTo(s.rng.IntN(3) == 0, 1, 0)).times(0.35 + 0.65*s.light.bright)
		s.fill(oval(x, y, size, size*0.8), func(_, py float64, _ rgb) (rgb, float64) {
			return v.times(1.12 - 0.35*(py-y+size)/(2*size)), 0.92
		})
	}
}

// paintDunes draws sand: one side of every crest in the light.
func (s *scene) paintDunes(horizon float64) {
	sand, dark := ink(0xe0b071), ink(0x8f5a3a)
	if c, ok := s.colors["land"]; ok {
		sand, dark = c, c.times(0.55)
	}
	sand, dark = sand.times(0.4+0.6*s.light.bright), dark.times(0.4+0.6*s.light.bright)
	sand = sand.mix(s.light.sky.at(0.9), 0.12)
	var ridges []ridge
	var lean []float64
	for i := range 4 {
		f := float64(i)
		ridges = append(ridges, ridge{
			base: horizon + 0.03 + 0.12*f, amp: 0.15, scale: 1.25 - 0.12*f, off: between(s.rng, 0, 70), octaves: 2,
		})
		lean = append(lean, between(s.rng, 0.4, 1.1)*boolTo(s.light.sunX > 0, 1, -1))
	}
	s.slopes(ridges, 1, func(i int, x, y, d float64) rgb {
		depth := float64(i+1) / 4
		edge := s.top(ridges[i], x+lean[i]*d*1.7+0.05*(s.noise.at(x*5, y*5)-0.5)) - (y - d)
		face := smoothstep(-0.012, 0.012, edge)
		ripple := 0.5 + 0.5*math.Sin((y*130+x*24)/(0.55+depth)+9*s.noise.at(x*4, y*9))
		v := dark.mix(sand, 0.25+0.75*face).times(0.93 + 0.1*ripple*face)
		return v.mix(s.light.sky.at(0.95), 0.5*(1-depth))
	})
}

func (s *scene) paintRainbow(horizon float64) {
	cx, cy, r := -s.light.sunX*0.5*s.half(), horizon+0.15, between(s.rng, 0.5, 0.62)
	s.rows(0, horizon+0.1, s.over(func(x, y float64, old rgb) rgb {
		d := (math.Hypot(x-cx, y-cy) - r) / 0.055
		if d < 0 || d > 1 {
			return old
		}
		v := polar{0.78, 0.15, 0.82*(1-d) - 0.05}.rgb()
		return old.screen(v, 0.45*math.Sin(math.Pi*d)*smoothstep(horizon+0.08, horizon-0.15, y))
	}))
}
