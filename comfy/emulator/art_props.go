package emulator

import "math"

// paintThings draws what stands about in a landscape.
func (s *scene) paintThings(horizon float64) {
	dim := 0.35 + 0.65*s.light.bright
	ground := horizon + 0.17
	for i, name := range s.things {
		x := (between(s.rng, -0.30, 0.30) + 0.22*float64(i%2)*boolTo(i%4 < 2, 1, -1)) * s.ratio
		switch name {
		case "house":
			s.paintHouse(x, ground+0.05, 0.15, dim)
		case "castle":
			s.paintCastle(x, horizon+0.06, 0.24, dim)
		case "lighthouse":
			s.paintLighthouse(x, horizon+0.07, 0.34, dim)
		case "boat":
			s.paintBoat(x, horizon+between(s.rng, 0.10, 0.2), 0.17, dim)
		case "balloon":
			for k := range 4 {
				r := []float64{0.085, 0.05, 0.034, 0.026}[k]
				s.paintBalloon(between(s.rng, -0.42, 0.42)*s.ratio, between(s.rng, 0.12, 0.42), r, dim)
			}
		case "birds":
			s.paintBirds(between(s.rng, -0.25, 0.25)*s.ratio, between(s.rng, 0.18, 0.32))
		case "tree":
			s.leafy(x, ground+0.1, 0.42, s.leafColor())
		case "figure":
			s.paintWalker(x, ground+0.14, 0.17)
		}
	}
	if len(s.things) == 0 && s.main == "" && s.hour != "night" && s.kind != "city" && s.rng.IntN(2) == 0 {
		s.paintBirds(between(s.rng, -0.3, 0.3)*s.ratio, between(s.rng, 0.16, 0.3))
	}
}

func lamp() rgb { return ink(0xffd27a) }

// dark says how much lamps are seen.
func (s *scene) dark() float64 { return smoothstep(0.95, 0.5, s.light.bright) }

func (s *scene) window(x, y, w, h float64, wall rgb) {
	p := polygon(point{x - w/2, y}, point{x + w/2, y}, point{x + w/2, y + h}, point{x - w/2, y + h})
	s.flatFill(p, wall.times(0.35).mix(lamp(), 0.25+0.75*s.dark()))
	if s.dark() > 0.2 {
		s.glow(x, y+h/2, h*3.2, lamp(), 0.45*s.dark())
	}
}

func (s *scene) paintHouse(x, foot, h, dim float64) {
	walls := []uint32{0xe9dcc3, 0xb5654a, 0xd9d3c6, 0x8f6a4a}
	wall := ink(walls[s.rng.IntN(len(walls))]).times(dim)
	roof := ink(0x7a3b2e).times(dim)
	if s.has["snow"] {
		roof = ink(0xeef4f9).times(dim)
	}
	w := h * 0.72
	s.flatFill(polygon(point{x + w*0.35, foot - h*0.95}, point{x + w*0.35, foot - h*1.32}, point{x + w*0.52, foot - h*1.32}, point{x + w*0.52, foot - h*0.8}), wall.times(0.6))
	s.fade(polygon(point{x - w, foot}, point{x - w, foot - h*0.62}, point{x + w, foot - h*0.62}, point{x + w, foot}), wall, wall.times(0.78))
	s.fade(polygon(point{x - w*1.18, foot - h*0.56}, point{x - w*0.72, foot - h*1.15}, point{x + w*0.72, foot - h*1.15}, point{x + w*1.18, foot - h*0.56}), roof.mix(ink(0xffffff), 0.12), roof.times(0.75))
	s.flatFill(polygon(point{x - w*0.12, foot}, point{x - w*0.12, foot - h*0.4}, point{x + w*0.16, foot - h*0.4}, point{x + w*0.16, foot}), ink(0x4a2f20).times(dim))
	s.window(x-w*0.55, foot-h*0.46, w*0.32, h*0.2, wall)
	s.window(x+w*0.6, foot-h*0.46, w*0.32, h*0.2, wall)
	if s.has["snow"] || s.dark() > 0.4 {
		for k := range 5 {
			f := float64(k)
			cx, cy, r := x+w*0.43+0.012*f*f, foot-h*(1.36+0.16*f), 0.012+0.006*f
			s.fill(oval(cx, cy, r, r), func(px, py float64, old rgb) (rgb, float64) {
				return old.mix(ink(0xf2f4f7).times(dim+0.2), 0.5), 0.55 * (1 - math.Hypot(px-cx, py-cy)/r)
			})
		}
	}
}

func (s *scene) paintCastle(x, foot, h, dim float64) {
	stone := ink(0x8d8a86).times(dim).mix(s.light.far, 0.35)
	roof := ink(0x3f4f78).times(dim).mix(s.light.far, 0.2)
	tower := func(dx, w, top float64) {
		cx := x + dx*h
		s.fade(polygon(point{cx - w*h, foot + 0.06}, point{cx - w*h, foot - top*h}, point{cx + w*h, foot - top*h}, point{cx + w*h, foot + 0.06}), stone.mix(ink(0xffffff), 0.12), stone.times(0.72))
		for k := range 4 {
			bx := cx + (float64(k)-1.5)*w*h*0.62
			s.flatFill(polygon(point{bx - w*h*0.17, foot - top*h}, point{bx - w*h*0.17, foot - (top+0.05)*h}, point{bx + w*h*0.17, foot - (top+0.05)*h}, point{bx + w*h*0.17, foot - top*h}), stone.times(0.95))
		}
		s.window(cx, foot-top*h*0.8, w*h*0.4, 0.07*h, stone)
	}
	spire := func(dx, w, top, tip float64) {
		tower(dx, w, top)
		cx := x + dx*h
		s.fade(polygon(point{cx - w*h*1.25, foot - top*h}, point{cx, foot - tip*h}, point{cx + w*h*1.25, foot - top*h}), roof.mix(ink(0xffffff), 0.2), roof.times(0.7))
		s.flatFill(polygon(point{cx, foot - tip*h}, point{cx + 0.10*h, foot - (tip+0.05)*h}, point{cx, foot - (tip+0.09)*h}), ink(0xc9403a).times(dim))
	}
	tower(0, 0.42, 0.52)
	spire(-0.46, 0.11, 0.78, 1.12)
	spire(0.46, 0.11, 0.72, 1.04)
	spire(0.06, 0.14, 0.98, 1.42)
	s.flatFill(begin(x-0.09*h, foot+0.06).line(x-0.09*h, foot-0.12*h).quad(x, foot-0.26*h, x+0.09*h, foot-0.12*h).line(x+0.09*h, foot+0.06), stone.times(0.3))
	hill := s.light.ground.mix(s.light.near, 0.25)
	s.mound(x, foot-0.012, 1.5*h, 0.16, hill.mix(s.light.ground2, 0.4))
}

// mound draws a rise of the ground that loses itself at its foot.
func (s *scene) mound(x, top, half, h float64, c rgb) {
	p := begin(x-half, top+h).cubic(x-half*0.55, top+h*0.7, x-half*0.35, top, x, top).
		cubic(x+half*0.4, top, x+half*0.6, top+h*0.75, x+half, top+h)
	s.fill(p, func(px, py float64, _ rgb) (rgb, float64) {
		n := s.noise.fbm(px*30, py*44, 4)
		d := (py - top) / h
		return c.times(0.62 + 0.6*n + 0.25*(1-d)), smoothstep(1, 0.55, d)
	})
}

func (s *scene) paintLighthouse(x, foot, h, dim float64) {
	rock := s.light.near.mix(ink(0x4a4744), 0.5).times(0.6 + 0.4*dim)
	s.mound(x, foot-0.10*h, 0.75*h, 0.15*h+0.03, rock)
	white, red := ink(0xf2efe8).times(dim), ink(0xc23a34).times(dim)
	top, base := h*0.06, h*0.1
	s.fill(polygon(point{x - base, foot - 0.1*h}, point{x - top, foot - 0.84*h}, point{x + top, foot - 0.84*h}, point{x + base, foot - 0.1*h}), func(px, py float64, _ rgb) (rgb, float64) {
		band := int((foot-py)/(0.145*h)) % 2
		c := white
		if band == 1 {
			c = red
		}
		return c.times(1.0 - 0.45*(px-x)/base*boolTo(s.light.sunX > 0, -1, 1)*0.7), 1
	})
	s.flatFill(polygon(point{x - top*1.5, foot - 0.84*h}, point{x - top*1.5, foot - 0.865*h}, point{x + top*1.5, foot - 0.865*h}, point{x + top*1.5, foot - 0.84*h}), ink(0x2a2a30))
	s.flatFill(polygon(point{x - top*0.8, foot - 0.865*h}, point{x - top*0.8, foot - 0.95*h}, point{x + top*0.8, foot - 0.95*h}, point{x + top*0.8, foot - 0.865*h}), lamp())
	s.flatFill(begin(x-top*1.1, foot-0.95*h).quad(x, foot-1.06*h, x+top*1.1, foot-0.95*h), red.times(0.8))
	lx, ly := x, foot-0.905*h
	s.glow(lx, ly, 0.3*h, lamp(), 0.35+0.5*s.dark())
	if s.dark() < 0.2 {
		return
	}
	for _, side := range []float64{-1, 1} {
		beam := polygon(point{lx, ly}, point{lx + side*1.6, ly - 0.30}, point{lx + side*1.6, ly - 0.02})
		s.fill(beam, func(px, _ float64, old rgb) (rgb, float64) {
			return old.screen(lamp(), 0.5*s.dark()*math.Exp(-math.Abs(px-lx)*1.9)), 1
		})
	}
}

func (s *scene) paintBoat(x, y, h, dim float64) {
	hull := ink(0x6b3a26).times(dim)
	sail := ink(0xf7f1e3).times(0.25 + 0.75*dim)
	if c, ok := s.colors["all"]; ok {
		sail = sail.toward(c, 0.6)
	}
	s.fill(begin(x-h*0.55, y+0.004).quad(x, y+h*0.4, x+h*0.6, y+0.004), func(_, py float64, old rgb) (rgb, float64) {
		return old.times(0.6), 0.55 * (1 - (py-y)/(h*0.2))
	})
	s.flatFill(polygon(point{x - h*0.008, y - h*0.08}, point{x - h*0.008, y - h*1.1}, point{x + h*0.008, y - h*1.1}, point{x + h*0.008, y - h*0.08}), hull.times(0.7))
	s.fade(begin(x+h*0.03, y-h*1.05).quad(x+h*0.52, y-h*0.6, x+h*0.5, y-h*0.16).quad(x+h*0.25, y-h*0.12, x+h*0.03, y-h*0.16), sail, sail.mix(s.light.sky.at(0.7), 0.35))
	s.fade(begin(x-h*0.03, y-h*0.98).quad(x-h*0.2, y-h*0.5, x-h*0.42, y-h*0.18).quad(x-h*0.2, y-h*0.14, x-h*0.03, y-h*0.17), sail.mix(s.light.sky.at(0.8), 0.2), sail.mix(s.light.sky.at(0.6), 0.4))
	s.fade(begin(x-h*0.52, y-h*0.12).quad(x, y-h*0.06, x+h*0.62, y-h*0.16).quad(x+h*0.5, y+h*0.06, x+h*0.3, y+h*0.06).line(x-h*0.3, y+h*0.06).quad(x-h*0.48, y+h*0.04, x-h*0.52, y-h*0.12), hull.mix(ink(0xffffff), 0.15), hull.times(0.6))
}

func (s *scene) paintBalloon(x, y, r, dim float64) {
	a := []rgb{ink(0xd8433a), ink(0xe89a2d), ink(0x3f86c9), ink(0x6a4fb0), ink(0x3f9a6a)}[s.rng.IntN(5)].times(dim)
	b := ink(0xf6ecd6).times(dim)
	if c, ok := s.colors["all"]; ok {
		a = c.times(dim)
	}
	lit := boolTo(s.light.sunX*s.half() > x, 1, -1)
	p := begin(x, y-r).cubic(x+r*1.15, y-r, x+r*1.1, y+r*0.35, x+r*0.22, y+r*1.25).line(x-r*0.22, y+r*1.25).cubic(x-r*1.1, y+r*0.35, x-r*1.15, y-r, x, y-r)
	s.fill(p, func(px, py float64, _ rgb) (rgb, float64) {
		v := (py - y) / r
		wide := math.Sqrt(max(0.05, 1-v*v*0.55))
		u := math.Asin(max(-1, min(1, (px-x)/(r*wide)))) / math.Pi
		c := a
		if int(math.Floor((u+0.5)*9))%2 == 0 {
			c = b
		}
		return c.times(0.88 + 0.75*u*lit - 0.12*v), 1
	})
	w := max(0.0007, 0.5*s.dot())
	for _, side := range []float64{-1, 1} {
		s.flatFill(polygon(point{x + side*r*0.2, y + r*1.2}, point{x + side*r*0.13, y + r*1.6}, point{x + side*r*0.13 + w, y + r*1.6}, point{x + side*r*0.2 + w, y + r*1.2}), ink(0x3a2a1f))
	}
	s.fade(polygon(point{x - r*0.16, y + r*1.58}, point{x + r*0.16, y + r*1.58}, point{x + r*0.13, y + r*1.82}, point{x - r*0.13, y + r*1.82}), ink(0x8a5f38).times(dim), ink(0x4a3220).times(dim))
}

func (s *scene) paintBirds(x, y float64) {
	c := s.light.near.times(0.6)
	for range 9 {
		bx, by, w := x+0.12*s.rng.NormFloat64(), y+0.04*s.rng.NormFloat64(), between(s.rng, 0.008, 0.017)
		lift := between(s.rng, 0.2, 0.7)
		p := begin(bx-w, by-w*lift).quad(bx-w*0.4, by-w*lift*0.9, bx, by).quad(bx+w*0.4, by-w*lift*0.9, bx+w, by-w*lift).
			quad(bx+w*0.4, by-w*lift*0.55, bx, by+w*0.16).quad(bx-w*0.4, by-w*lift*0.55, bx-w, by-w*lift)
		s.fill(p, func(_, _ float64, _ rgb) (rgb, float64) { return c, 0.85 })
	}
}

func (s *scene) paintWalker(x, foot, h float64) {
	c := s.light.near.times(0.5)
	s.fill(oval(x+0.1*h, foot, h*0.5, h*0.045), func(_, _ float64, old rgb) (rgb, float64) { return old.times(0.5), 0.6 })
	body := begin(x-0.10*h, foot-0.72*h).quad(x, foot-0.84*h, x+0.11*h, foot-0.72*h).quad(x+0.17*h, foot-0.4*h, x+0.15*h, foot-0.28*h).
		line(x+0.09*h, foot).line(x+0.03*h, foot).line(x+0.01*h, foot-0.3*h).line(x-0.05*h, foot).line(x-0.12*h, foot).line(x-0.13*h, foot-0.3*h).quad(x-0.16*h, foot-0.5*h, x-0.10*h, foot-0.72*h)
	s.fade(body, c.mix(s.light.sun, 0.12), c)
	s.fade(oval(x, foot-0.9*h, 0.075*h, 0.09*h), c.mix(s.light.sun, 0.15), c)
	s.flatFill(polygon(point{x + 0.24*h, foot - 0.8*h}, point{x + 0.26*h, foot - 0.8*h}, point{x + 0.24*h, foot}, point{x + 0.22*h, foot}), c)
}
