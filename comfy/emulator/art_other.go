package emulator

import "math"

// moods are runs of colours that go well together.
func (s *scene) mood() gradient {
	moods := [][]uint32{
		{0x0b1026, 0x1f3a6e, 0x3f8fb0, 0x9fdccf, 0xfdf3d0},
		{0x1a0b2e, 0x5b1e66, 0xc13a6b, 0xf58a4f, 0xffe3a3},
		{0x06262b, 0x0f5a57, 0x3fa27c, 0xb7d98b, 0xf8f3c4},
		{0x14141f, 0x3c3a60, 0x8b6fae, 0xe3a6c4, 0xfff0e6},
		{0x2a0d0a, 0x8a2a1b, 0xdb6a2b, 0xf7c05b, 0xfff4d6},
		{0x0d1b2a, 0x274a63, 0x7aa6b8, 0xdfe6da, 0xf2b98b},
		{0x120a2e, 0x2b2f8f, 0x3f86e0, 0x6fe0e6, 0xf3fbff},
	}
	list := moods[s.rng.IntN(len(moods))]
	if s.style == "neon" {
		list = []uint32{0x07021a, 0x3a0a6b, 0xd11f9b, 0x29c8f0, 0xf5fbff}
	}
	stops := make([]rgb, len(list))
	for i, v := range list {
		stops[i] = ink(v)
	}
	first, one := s.colors["all"]
	second, two := s.colors["all2"]
	for _, name := range []string{"main", "land", "sky", "water"} {
		if c, ok := s.colors[name]; ok && !one {
			first, one = c, true
		}
	}
	switch {
	case one && two:
		stops = []rgb{first.times(0.15), first.times(0.6), first, first.mix(second, 0.5), second, second.mix(ink(0xffffff), 0.6)}
	case one:
		turn := between(s.rng, 0.06, 0.12)
		stops = []rgb{
			first.times(0.12).turn(turn), first.times(0.5), first, first.turn(-turn).mix(ink(0xffffff), 0.3),
			first.turn(-turn).mix(ink(0xffffff), 0.75),
		}
	}
	if s.has["fire"] {
		stops = []rgb{ink(0x120404), ink(0x5a0f08), ink(0xd2380f), ink(0xff9b1f), ink(0xfff1a8)}
	}
	return blend(stops...)
}

// paintAbstract draws folds of colour: noise whose places are bent by noise.
func (s *scene) paintAbstract() {
	g := s.mood()
	scale, off := between(s.rng, 1.1, 1.9), between(s.rng, 0, 50)
	twist, ribs := between(s.rng, 1.2, 2.4), between(s.rng, 0, 1)
	s.each(func(x, y float64) rgb {
		u, v := x*scale+off, y*scale+off
		ax, ay := s.noise.fbm(u, v, 3), s.noise.fbm(u+5.2, v+1.3, 3)
		bx, by := s.noise.fbm(u+twist*ax+1.7, v+twist*ay+9.2, 3), s.noise.fbm(u+twist*ax+8.3, v+twist*ay+2.8, 3)
		n := s.noise.fbm(u+twist*bx, v+twist*by, 4)
		fold := math.Hypot(bx-0.5, by-0.5)
		t := smoothstep(0.12, 0.88, n*0.85+0.35*fold+0.1*(ax-0.5))
		c := g.at(t)
		line := 0.5 + 0.5*math.Sin(46*n+12*bx)
		c = c.times(0.9 + 0.16*ribs*line)
		shine := smoothstep(0.60, 0.86, ay) * smoothstep(0.4, 0.7, n)
		return c.screen(ink(0xffffff), 0.30*shine).times(0.82 + 0.5*(by-0.3))
	})
}

// paintSpace draws clouds of gas, stars, and now and then a planet.
func (s *scene) paintSpace() {
	g := s.mood()
	off, scale := between(s.rng, 0, 60), between(s.rng, 1.2, 1.9)
	tilt := between(s.rng, -0.8, 0.8)
	s.each(func(x, y float64) rgb {
		u, v := x*scale+off, y*scale+off
		ax, ay := s.noise.fbm(u, v, 4), s.noise.fbm(u+7, v+3, 4)
		n := s.noise.fbm(u+1.4*ax, v+1.4*ay, 5)
		band := bump((y-0.5+tilt*x)*2.3 + 0.6*(ax-0.5))
		gas := smoothstep(0.42, 0.85, n) * (0.35 + 0.75*band)
		dust := smoothstep(0.5, 0.72, s.noise.ridged(u*1.7+ay, v*1.7, 4)) * band
		c := ink(0x04050f).plus(g.at(0.25+0.6*n), 1.05*gas).plus(g.at(0.7), 0.25*gas*gas)
		return c.times(1 - 0.55*dust)
	})
	s.paintStars(1.2, 2.2)
	for range 4 {
		x, y := between(s.rng, -s.half(), s.half()), s.rng.Float64()
		s.glow(x, y, between(s.rng, 0.02, 0.05), ink(0xeaf1ff), 0.8)
		s.flare(x, y, between(s.rng, 0.03, 0.06))
	}
	if s.rng.IntN(3) > 0 || len(s.things) > 0 {
		s.paintPlanet(between(s.rng, -0.28, 0.28)*s.ratio, between(s.rng, 0.3, 0.7), between(s.rng, 0.13, 0.24)*min(1, s.ratio))
	}
}

// flare draws the cross of a bright star.
func (s *scene) flare(x, y, n float64) {
	w := max(0.0007, 0.6*s.dot())
	for _, p := range []*shape{
		polygon(point{x - n, y}, point{x, y - w}, point{x + n, y}, point{x, y + w}),
		polygon(point{x, y - n}, point{x + w, y}, point{x, y + n}, point{x - w, y}),
	} {
		s.fill(p, func(px, py float64, old rgb) (rgb, float64) {
			return old.screen(ink(0xffffff), 0.9*(1-math.Hypot(px-x, py-y)/n)), 1
		})
	}
}

// paintPlanet draws a banded ball in the light of a far sun, with a ring.
func (s *scene) paintPlanet(x, y, r float64) {
	g := s.mood()
	tilt := between(s.rng, -0.5, 0.5)
	sin, cos := math.Sincos(tilt)
	lx, ly := between(s.rng, -0.8, 0.8), -0.45
	ring := s.rng.IntN(2) == 0
	if ring {
		s.paintRing(x, y, r, tilt, g, true)
	}
	s.glow(x+lx*r*0.3, y+ly*r*0.3, r*1.5, g.at(0.7), 0.35)
	off := between(s.rng, 0, 40)
	s.fill(oval(x, y, r, r), func(px, py float64, _ rgb) (rgb, float64) {
		u, v := (px-x)/r, (py-y)/r
		z := math.Sqrt(max(0, 1-u*u-v*v))
		a, b := u*cos-v*sin, u*sin+v*cos
		warp := s.noise.fbm(a*2+off, b*5, 4)
		n := s.noise.fbm(off+0.3*a, b*3.2+1.1*warp, 4)
		light := smoothstep(-0.15, 0.95, u*lx*1.1+v*ly*1.2+z*0.75)
		return g.at(0.2+0.75*n).times(0.04+1.05*light).screen(g.at(0.75), 0.35*(1-z)*(1-z)*(1-z)*light), 1
	})
	if ring {
		s.paintRing(x, y, r, tilt, g, false)
	}
}

// paintRing draws the half of a planet's ring that lies behind it, or before.
func (s *scene) paintRing(x, y, r, tilt float64, g gradient, behind bool) {
	sin, cos := math.Sincos(-tilt)
	out := r * 2.2
	s.fill(oval(x, y, out, out), func(px, py float64, old rgb) (rgb, float64) {
		u, v := px-x, py-y
		a, b := u*cos-v*sin, (u*sin+v*cos)/0.28
		if (b < 0) != behind {
			return old, 0
		}
		d := math.Hypot(a, b) / r
		if d < 1.3 || d > 2.15 {
			return old, 0
		}
		n := s.noise.at(d*24, 7)
		return g.at(0.55 + 0.3*n), smoothstep(1.3, 1.4, d) * smoothstep(2.15, 2.0, d) * (0.25 + 0.65*n)
	})
}

// paintDeep draws water from below: light in shafts, weed, and fish.
func (s *scene) paintDeep() {
	top, mid, low := ink(0x7fd6e0), ink(0x1b7fa6), ink(0x04233f)
	if c, ok := s.colors["water"]; ok {
		top, mid, low = c.mix(ink(0xffffff), 0.5), c, c.times(0.25)
	}
	g := blend(top, mid, low)
	sx, off := s.light.sunX*s.half(), between(s.rng, 0, 30)
	s.each(func(x, y float64) rgb {
		angle := (x - sx) / (y + 0.35)
		ray := s.noise.fbm(angle*7+off, 1, 3)
		c := g.at(y*0.95 + 0.06*(s.noise.fbm(x*2, y*2, 3)-0.5))
		return c.screen(ink(0xe9fbff), 0.55*smoothstep(0.5, 0.85, ray)*math.Exp(-y*2.2)+0.35*math.Exp(-math.Hypot(x-sx, y)*4))
	})
	for row := range 3 {
		depth := float64(row+1) / 3
		r := ridge{base: 0.84 + 0.07*float64(row), amp: 0.12, scale: 2.2, off: between(s.rng, 0, 50), octaves: 4}
		tops := s.tops(r)
		c := low.mix(mid, 0.55*(1-depth))
		s.rows(r.base-r.amp, 1, s.over(func(x, y float64, old rgb) rgb {
			if y < tops[s.column(x)] {
				return old
			}
			return c.times(0.8 + 0.5*s.noise.fbm(x*20, y*20, 3))
		}))
		for range int(9 * s.ratio) {
			x := between(s.rng, -s.half(), s.half())
			s.paintCoral(x, tops[s.column(x)]+0.02, between(s.rng, 0.06, 0.2)*(0.5+0.5*depth), mid, depth)
		}
	}
	s.paintFishes(mid)
	for range int(40 * s.ratio) {
		x, y, r := between(s.rng, -s.half(), s.half()), s.rng.Float64(), between(s.rng, 0.002, 0.007)
		s.fill(oval(x, y, r, r), func(px, py float64, old rgb) (rgb, float64) {
			d := math.Hypot(px-x, py-y) / r
			return old.screen(ink(0xffffff), 0.15+0.5*smoothstep(0.6, 1, d)), 0.8
		})
	}
}

// paintCoral draws one growth of the ground: fronds or knobs.
func (s *scene) paintCoral(x, foot, h float64, water rgb, depth float64) {
	tints := []rgb{ink(0xe8607a), ink(0xf2a63b), ink(0x9a5bd0), ink(0x3fb58a), ink(0xf0d35a)}
	c := tints[s.rng.IntN(len(tints))].mix(water, 0.6*(1-depth)).times(0.55 + 0.35*depth)
	if s.rng.IntN(2) == 0 {
		for k := range 7 {
			lean := (float64(k) - 3) * h * 0.14
			sway := between(s.rng, -0.1, 0.1) * h
			w := h * 0.025
			p := begin(x+lean*0.2-w, foot).cubic(x+lean*0.6+sway, foot-h*0.4, x+lean-sway, foot-h*0.7, x+lean*1.4, foot-h*between(s.rng, 0.8, 1.1)).
				cubic(x+lean-sway+2*w, foot-h*0.7, x+lean*0.6+sway+2*w, foot-h*0.4, x+lean*0.2+w, foot)
			s.fade(p, c.mix(ink(0xffffff), 0.25), c.times(0.7))
		}
		return
	}
	for range 9 {
		px, py, r := x+between(s.rng, -0.4, 0.4)*h, foot-between(s.rng, 0, 0.5)*h, h*between(s.rng, 0.08, 0.17)
		s.fill(oval(px, py, r, r), func(qx, qy float64, _ rgb) (rgb, float64) {
			return c.times(1.15 - 0.5*(qy-py+r)/(2*r) - 0.2*s.noise.at(qx*160, qy*160)), 1
		})
	}
}

// paintFishes draws a shoal, and a few larger fish before it.
func (s *scene) paintFishes(water rgb) {
	tints := []rgb{ink(0xf2a13b), ink(0xf5d94f), ink(0xe85d4a), ink(0x5ac8e0), ink(0xf2f0e8)}
	if c, ok := s.colors["all"]; ok {
		tints = []rgb{c}
	}
	cx, cy := between(s.rng, -0.2, 0.2)*s.ratio, between(s.rng, 0.3, 0.5)
	dir := boolTo(s.rng.IntN(2) == 0, 1, -1)
	for i := range 34 {
		size := between(s.rng, 0.012, 0.024)
		depth := 0.45
		if i >= 30 {
			size, depth = between(s.rng, 0.05, 0.1), 1
		}
		x, y := cx+0.22*s.rng.NormFloat64()*min(1, s.ratio), cy+0.12*s.rng.NormFloat64()
		c := tints[s.rng.IntN(len(tints))].mix(water, 0.55*(1-depth))
		t := pose{x: x, y: y, sx: size * dir, sy: size, turn: between(s.rng, -0.03, 0.03)}
		tail := begin(-0.75, 0).quad(-1.1, -0.2, -1.5, -0.55).quad(-1.3, 0, -1.5, 0.55).quad(-1.1, 0.2, -0.75, 0)
		s.fade(tail.moved(t), c, c.times(0.75))
		s.fade(begin(-0.2, -0.4).quad(0, -0.95, -0.6, -0.8).quad(-0.5, -0.5, -0.4, -0.3).moved(t), c.times(0.9), c.times(0.7))
		body := begin(1, 0).cubic(0.6, -0.62, -0.3, -0.6, -0.85, 0).cubic(-0.3, 0.6, 0.6, 0.62, 1, 0).moved(t)
		s.fade(body, c.mix(ink(0xffffff), 0.12), c.times(0.72))
		if depth == 1 {
			s.flatFill(oval(0.55, -0.12, 0.12, 0.12).moved(t), ink(0xfafafa))
			s.flatFill(oval(0.58, -0.12, 0.065, 0.065).moved(t), ink(0x101014))
			for k := range 3 {
				f := 0.25 - 0.35*float64(k)
				s.fill(begin(f, -0.45).quad(f+0.12, 0, f, 0.45).quad(f-0.12, 0, f, -0.45).moved(t),
					func(_, _ float64, old rgb) (rgb, float64) { return ink(0xffffff).mix(old, 0.2), 0.6 })
			}
		}
	}
}

// paintPattern draws a rosette: rings of petals about the middle.
func (s *scene) paintPattern() {
	g := s.mood()
	off := between(s.rng, 0, 40)
	s.each(func(x, y float64) rgb {
		d := math.Hypot(x, y-0.5)
		return g.at(0.08 + 0.16*s.noise.fbm(x*2+off, y*2, 3)).times(1.15 - 0.5*d)
	})
	folds := []int{6, 8, 10, 12, 16}[s.rng.IntN(5)]
	reach := 0.47 * min(1, s.ratio)
	s.glow(0, 0.5, reach*1.3, g.at(0.5), 0.4)
	rings := 7
	for i := range rings {
		r := reach * (1 - float64(i)/float64(rings))
		wide, long := between(s.rng, 0.5, 1.05), between(s.rng, 0.3, 0.62)
		turn := boolTo(i%2 == 0, 0, 0.5/float64(folds))
		inner, outer := g.at(between(s.rng, 0.25, 0.95)), g.at(between(s.rng, 0.35, 1))
		kind := s.rng.IntN(3)
		for k := range folds {
			t := pose{y: 0.5, sx: r, sy: r, turn: float64(k)/float64(folds) + turn}
			half := wide * math.Pi / float64(folds) * 0.92
			var p *shape
			switch kind {
			case 0:
				p = begin(1-long, 0).cubic(1-long*0.8, -half, 1-long*0.15, -half, 1, 0).cubic(1-long*0.15, half, 1-long*0.8, half, 1-long, 0)
			case 1:
				p = begin(1-long, 0).quad(1-long*0.5, -half*1.3, 1, 0).quad(1-long*0.5, half*1.3, 1-long, 0)
			default:
				p = polygon(point{1 - long, 0}, point{1 - long*0.5, -half * 0.8}, point{1, 0}, point{1 - long*0.5, half * 0.8})
			}
			q := p.moved(t)
			s.fill(q, func(px, py float64, _ rgb) (rgb, float64) {
				d := math.Hypot(px, py-0.5) / r
				return inner.mix(outer, smoothstep(1-long, 1, d)).times(0.9 + 0.2*smoothstep(1-long, 1, d)), 0.93
			})
			s.flatFill(oval(1-long*0.3, 0, half*0.2, half*0.2).moved(t), outer.mix(ink(0xffffff), 0.35))
		}
		s.ringDots(r*(1-long*0.02), folds*2, turn, g.at(0.95), 0.004)
	}
	s.flatFill(oval(0, 0.5, reach*0.05, reach*0.05), g.at(0.98))
}

func (s *scene) ringDots(r float64, n int, turn float64, c rgb, size float64) {
	for k := range n {
		sin, cos := math.Sincos(2 * math.Pi * (float64(k)/float64(n) + turn))
		s.flatFill(oval(r*cos, 0.5+r*sin, size, size), c)
	}
}

// paintPlain is the ground of a portrait or a still life: soft light on a wall.
func (s *scene) paintPlain() {
	walls := []uint32{0x6f8a8c, 0x8c6f5e, 0x4f5f78, 0x7d6a86, 0x5f7a5c, 0x9a7b4f}
	wall := ink(walls[s.rng.IntN(len(walls))])
	for _, name := range []string{"all", "sky", "land"} {
		if c, ok := s.colors[name]; ok {
			wall = wall.toward(c, 0.8)
			break
		}
	}
	if s.hour == "night" {
		wall = wall.times(0.45)
	}
	lx, off := s.light.sunX*0.6*s.half(), between(s.rng, 0, 40)
	s.each(func(x, y float64) rgb {
		d := math.Hypot((x-lx)*0.9, y-0.35)
		n := s.noise.fbm(x*1.6+off, y*1.6+off, 4) - 0.5
		return wall.times(1.25-0.85*d+0.35*n).screen(ink(0xfff2dc), 0.22*math.Exp(-d*3))
	})
	if s.style == "neon" {
		s.glow(-s.half()*0.8, 0.5, 0.7, ink(0xff2f9a), 0.7)
		s.glow(s.half()*0.8, 0.4, 0.7, ink(0x25c8ff), 0.7)
	}
}
