package emulator

import "math"

// paintFlower draws one large bloom before a soft ground.
func (s *scene) paintFlower() {
	s.soften(0.012)
	tints := []uint32{0xe2476a, 0xf08ab0, 0xf5b53a, 0x9a5bd0, 0xf2efe6, 0xe5603a, 0x5f86e0}
	c := ink(tints[s.rng.IntN(len(tints))])
	heart := ink(0xf2c23a)
	petals, rings, slim := 11, 4, 0.36
	switch s.noun {
	case "sunflower":
		c, heart, petals, rings, slim = ink(0xf5b921), ink(0x4a2a14), 21, 2, 0.22
	case "daisy":
		c, petals, rings, slim = ink(0xf7f5ee), 19, 1, 0.22
	case "rose", "roses", "peony":
		c, petals, rings, slim = ink(0xd32f4f), 7, 7, 0.62
	case "tulip", "lotus", "lily":
		petals, rings, slim = 8, 3, 0.34
	}
	for _, name := range []string{"main", "all"} {
		if want, ok := s.colors[name]; ok {
			c = want
			break
		}
	}
	dim := 0.5 + 0.5*s.light.bright
	c, heart = c.times(dim), heart.times(dim)
	green := ink(0x3f7a3a).times(dim)
	t := at(between(s.rng, -0.08, 0.08)*s.ratio, 0.44, 0.33*min(1, s.ratio))
	s.fade(begin(-0.05, 0.2).cubic(-0.02, 0.9, 0.12, 1.3, 0.06, 2.2).line(0.0, 6).line(0.12, 6).line(0.16, 2.2).cubic(0.22, 1.3, 0.06, 0.9, 0.05, 0.2).moved(t), green.times(0.9), green.times(0.5))
	for _, side := range []float64{-1, 1} {
		m := pose{x: t.x + 0.08*t.sx, y: t.y + (1.15+0.2*side)*t.sy, sx: t.sx * side, sy: t.sy}
		leaf := begin(0, 0).cubic(0.3, -0.5, 0.85, -0.5, 1.15, -0.25).cubic(0.85, 0.05, 0.35, 0.15, 0, 0).moved(m)
		s.fill(leaf, func(x, y float64, _ rgb) (rgb, float64) {
			u, v := (x-m.x)/m.sx, (y-m.y)/m.sy
			vein := math.Abs(math.Mod(u*9+v*6+20, 1)-0.5) * 2
			return green.times(0.75+0.4*u+0.12*vein).screen(s.light.sun, 0.08*vein), 1
		})
	}
	for ring := range rings {
		f := float64(ring) / float64(rings)
		r := 1 - 0.72*f*boolTo(rings > 2, 1, 0.55)
		n := petals
		turn := s.rng.Float64()
		for k := range n {
			wobble := between(s.rng, 0.93, 1.05)
			m := pose{x: t.x, y: t.y, sx: t.sx * r * wobble, sy: t.sy * r * wobble, turn: (float64(k)+0.5*float64(ring%2))/float64(n) + turn*0.04}
			w := slim * between(s.rng, 0.92, 1.08)
			p := begin(0, 0).cubic(0.25, -w, 0.8, -w*1.1, 1, -0.05).quad(1.03, 0, 1, 0.05).cubic(0.8, w*1.1, 0.25, w, 0, 0).moved(m)
			tone := c.turn(between(s.rng, -0.012, 0.012)).times(between(s.rng, 0.9, 1.06))
			sin, cos := math.Sincos(-2 * math.Pi * m.turn)
			s.fill(p, func(x, y float64, _ rgb) (rgb, float64) {
				u, v := (x-m.x)/m.sx, (y-m.y)/m.sy
				a, b := u*cos-v*sin, (u*sin+v*cos)/w
				streak := s.noise.fbm(a*2+float64(k)*7, b*6+float64(k)*3, 3) - 0.5
				edge := smoothstep(0.55, 0.95, math.Abs(b))
				v2 := tone.times(0.50 + 0.55*a + 0.1*(1-f) + 0.3*streak*0.5 - 0.16*edge*boolTo(b > 0, 1, 0.3))
				return v2.screen(ink(0xffffff), 0.16*smoothstep(0.6, 1, a)*(1-edge)), 1
			})
		}
	}
	core := 0.2 * boolTo(s.noun == "sunflower", 1.9, 1)
	if rings > 5 {
		return
	}
	s.fade(oval(0, 0, core, core).moved(t), heart.mix(ink(0xffffff), 0.15), heart.times(0.6))
	for i := range 150 {
		a := float64(i) * 2.399963
		d := core * math.Sqrt(float64(i)/150)
		x, y := math.Cos(a)*d, math.Sin(a)*d
		s.flatFill(oval(x, y, 0.014, 0.014).moved(t), heart.mix(ink(0xfff2c0), 0.2+0.5*s.rng.Float64()).times(1.1-0.5*float64(i)/150))
	}
}

// paintFruit draws a few round things on a table, in the light of a window.
func (s *scene) paintFruit() {
	line := between(s.rng, 0.60, 0.68)
	wood := ink(0x7a4f30).mix(ink(0x3f2a1d), s.rng.Float64()*0.6)
	off := between(s.rng, 0, 40)
	s.rows(line, 1, func(x, y float64) rgb {
		d := (y - line) / (1 - line)
		n := s.noise.fbm(x*1.6/(0.5+d)+off, y*26, 4)
		return wood.times(0.72+0.6*(n-0.3)+0.25*d).screen(ink(0xfff0d0), 0.10*math.Exp(-math.Abs(x-s.light.sunX*s.half())*2))
	})
	s.rows(line-0.004, line+0.012, s.over(func(_, y float64, old rgb) rgb { return old.times(0.75 + 20*math.Abs(y-line)) }))
	if s.rng.IntN(2) == 0 || s.noun == "vase" || s.noun == "bottle" || s.noun == "glass" {
		s.paintVase(between(s.rng, -0.22, 0.22)*s.ratio, line+0.10)
	}
	if s.noun == "cup" || s.noun == "coffee" || s.noun == "tea" {
		s.paintCup(between(s.rng, -0.08, 0.08)*s.ratio, line+0.16)
		return
	}
	kinds := map[string]uint32{
		"apple": 0xc9302c, "apples": 0xc9302c, "orange": 0xef8a24, "oranges": 0xef8a24, "lemon": 0xf3cf35, "peach": 0xf2a06a,
		"pear": 0xb8c24a, "plum": 0x5b2f6b, "grapes": 0x5b2f6b, "berries": 0x3a3f8a, "cherry": 0xa81f35, "cherries": 0xa81f35,
		"egg": 0xf1e4d0, "glass": 0xbfe3ea, "sphere": 0x8fa6c0, "spheres": 0x8fa6c0,
	}
	mixed := []uint32{0xc9302c, 0xef8a24, 0xf3cf35, 0x9aba3f, 0x6b2f5b}
	n := 4 + s.rng.IntN(3)
	for i := range n {
		v, named := kinds[s.noun]
		if !named {
			v = mixed[s.rng.IntN(len(mixed))]
		}
		c := ink(v).turn(between(s.rng, -0.02, 0.02))
		if want, ok := s.colors["main"]; ok {
			c = want
		} else if want, ok := s.colors["all"]; ok && !named {
			c = c.toward(want, 0.8)
		}
		r := between(s.rng, 0.075, 0.105) * min(1, s.ratio*1.1)
		f := float64(i)
		x := (f-float64(n-1)/2)*0.155*min(1, s.ratio) + between(s.rng, -0.02, 0.02)
		s.paintBall(x, line+0.09+0.025*f*boolTo(i%2 == 0, 1, -0.6)+0.05, r, c, s.noun)
	}
}

// paintBall draws a ball with its shadow.
func (s *scene) paintBall(x, y, r float64, c rgb, kind string) {
	lx := s.light.sunX
	s.fill(oval(x-lx*r*0.7, y+r*0.86, r*1.35, r*0.32), func(px, py float64, old rgb) (rgb, float64) {
		d := math.Hypot((px-x+lx*r*0.7)/(r*1.35), (py-y-r*0.86)/(r*0.32))
		return old.times(0.25), 0.75 * smoothstep(1, 0.25, d)
	})
	s.fill(oval(x, y, r, r*0.97), func(px, py float64, _ rgb) (rgb, float64) {
		u, v := (px-x)/r, (py-y)/r
		z := math.Sqrt(max(0, 1-u*u-v*v))
		light := max(0, u*lx*0.7-v*0.62+z*0.62)
		skin := s.noise.fbm(px*55, py*55, 3) - 0.5
		bounce := 0.16 * max(0, v) * (1 - z)
		d := c.times(0.20+0.95*light+0.22*skin*0.6).plus(ink(0xc98a5a), bounce)
		shine := math.Pow(max(0, u*lx*0.55-v*0.6+z*0.58), 42)
		return d.screen(ink(0xffffff), 0.85*shine), 1
	})
	if kind == "egg" || kind == "sphere" || kind == "spheres" || kind == "glass" || kind == "ball" || kind == "balls" {
		return
	}
	stem := ink(0x4a3220)
	s.flatFill(begin(x-r*0.03, y-r*0.86).quad(x+r*0.02, y-r*1.1, x+r*0.16, y-r*1.28).line(x+r*0.22, y-r*1.24).quad(x+r*0.08, y-r*1.05, x+r*0.05, y-r*0.86), stem)
	leaf := begin(x+r*0.1, y-r*1.12).quad(x+r*0.4, y-r*1.5, x+r*0.75, y-r*1.3).quad(x+r*0.5, y-r*1.0, x+r*0.1, y-r*1.12)
	s.fade(leaf, ink(0x6fae4d).times(0.5+0.5*s.light.bright), ink(0x2f6a33).times(0.5+0.5*s.light.bright))
}

// paintCup draws a cup on its saucer, steaming.
func (s *scene) paintCup(x, foot float64) {
	w, h, lx := 0.15*min(1, s.ratio*1.1), 0.19, s.light.sunX
	c := []rgb{ink(0xf2ede2), ink(0x2f6f8a), ink(0xb5523f), ink(0x4a6a4f)}[s.rng.IntN(4)]
	for _, name := range []string{"main", "all"} {
		if want, ok := s.colors[name]; ok {
			c = want
		}
	}
	s.fill(oval(x-lx*0.06, foot+0.03, w*2, 0.05), func(px, py float64, old rgb) (rgb, float64) {
		d := math.Hypot((px-x+lx*0.06)/(w*2), (py-foot-0.03)/0.05)
		return old.times(0.3), 0.7 * smoothstep(1, 0.4, d)
	})
	s.fade(oval(x, foot+0.012, w*1.75, 0.04), c.mix(ink(0xffffff), 0.2), c.times(0.62))
	s.fade(oval(x, foot+0.006, w*1.1, 0.022), c.times(0.7), c.times(0.9))
	handle := begin(x+w*0.9, foot-h*0.8).cubic(x+w*1.75, foot-h*0.95, x+w*1.65, foot-h*0.2, x+w*0.7, foot-h*0.22).
		line(x+w*0.75, foot-h*0.36).cubic(x+w*1.35, foot-h*0.34, x+w*1.4, foot-h*0.8, x+w*0.88, foot-h*0.64)
	s.fade(handle, c.mix(ink(0xffffff), 0.15), c.times(0.6))
	s.fill(begin(x-w, foot-h).cubic(x-w*0.98, foot-h*0.3, x-w*0.6, foot, x-w*0.4, foot).line(x+w*0.4, foot).cubic(x+w*0.6, foot, x+w*0.98, foot-h*0.3, x+w, foot-h),
		func(px, _ float64, _ rgb) (rgb, float64) {
			u := (px - x) / w
			shine := bump((u - lx*0.5) * 7)
			return c.times(0.98-0.5*u*u+0.25*u*lx).screen(ink(0xffffff), 0.4*shine), 1
		})
	s.fade(oval(x, foot-h, w, 0.032), c.times(0.75), c.mix(ink(0xffffff), 0.3))
	s.fade(oval(x, foot-h+0.004, w*0.9, 0.024), ink(0x2b1509), ink(0x7a4522))
	off := between(s.rng, 0, 30)
	s.change(func(px, py float64, old rgb) rgb {
		up := foot - h - py
		if up < 0 || up > 0.34 || math.Abs(px-x) > w*1.3 {
			return old
		}
		drift := 0.06 * (s.noise.fbm(py*5+off, off, 3) - 0.5) * (1 + up*8)
		n := s.noise.fbm((px+drift)*15, py*5+off, 3)
		fade := smoothstep(0, 0.05, up) * smoothstep(0.34, 0.1, up) * smoothstep(w*1.2, w*0.2, math.Abs(px-x+drift))
		return old.screen(ink(0xffffff), 0.55*fade*smoothstep(0.45, 0.8, n))
	})
}

// paintVase draws a vase of glazed clay.
func (s *scene) paintVase(x, foot float64) {
	h, w := 0.36, 0.105*min(1, s.ratio*1.1)
	c := []rgb{ink(0x2f6f8a), ink(0xd9cbb0), ink(0x8a3f2f), ink(0x4a6a4f)}[s.rng.IntN(4)]
	lx := s.light.sunX
	p := begin(x-w*0.45, foot-h).quad(x-w*0.25, foot-h*0.86, x-w*0.4, foot-h*0.74).cubic(x-w*1.25, foot-h*0.5, x-w*1.1, foot-h*0.15, x-w*0.55, foot).
		line(x+w*0.55, foot).cubic(x+w*1.1, foot-h*0.15, x+w*1.25, foot-h*0.5, x+w*0.4, foot-h*0.74).quad(x+w*0.25, foot-h*0.86, x+w*0.45, foot-h)
	s.fill(oval(x-lx*0.08, foot+0.004, w*1.2, 0.02), func(_, _ float64, old rgb) (rgb, float64) { return old.times(0.3), 0.6 })
	s.fill(p, func(px, py float64, _ rgb) (rgb, float64) {
		u := (px - x) / (w * 1.1)
		n := s.noise.fbm(px*14, py*7, 3) - 0.5
		shine := bump((u - lx*0.45) * 6)
		return c.times(0.95-0.55*u*u+0.22*u*lx+0.35*n).screen(ink(0xffffff), 0.42*shine), 1
	})
	s.flatFill(oval(x, foot-h, w*0.45, 0.012), c.times(0.35))
}
