package emulator

import "math"

// paintMain draws what stands in front.
func (s *scene) paintMain() {
	switch s.main {
	case "":
	case "portrait":
		s.paintPortrait()
	case "robot":
		s.paintRobot()
	case "flower":
		s.paintFlower()
	case "fruit":
		s.paintFruit()
	default:
		s.paintBeast()
	}
}

// paintPortrait draws a head and shoulders, as on a poster: few shapes, soft light.
func (s *scene) paintPortrait() {
	if s.kind != "plain" {
		s.soften(0.010)
	}
	skins := []uint32{0xf1cdb0, 0xe0ac84, 0xc58a5f, 0x9a6443, 0x6e442c}
	skin := ink(skins[s.rng.IntN(len(skins))])
	hairs := []uint32{0x20161a, 0x4a2c1b, 0x7d4a22, 0xb98237, 0x8a8c92, 0x5a1f1a}
	hair := ink(hairs[s.rng.IntN(len(hairs))])
	cloths := []uint32{0x2f4a6d, 0x7a2f3a, 0x2f5b4a, 0xc9b08a, 0x38333f, 0xb5632f}
	cloth := ink(cloths[s.rng.IntN(len(cloths))])
	if c, ok := s.colors["main"]; ok {
		cloth = c
	} else if c, ok := s.colors["all"]; ok {
		cloth = cloth.toward(c, 0.85)
	}
	dim := 0.62 + 0.38*s.light.bright
	skin, hair, cloth = skin.times(dim), hair.times(dim), cloth.times(dim)
	lit := boolTo(s.light.sunX > 0, 1, -1)
	t := at(0, 0.43, 0.205*min(1, s.ratio*1.15))
	long := s.rng.IntN(3) > 0
	if s.noun == "man" || s.noun == "boy" || s.noun == "king" || s.noun == "knight" || s.noun == "gentleman" {
		long = false
	}
	shade := func(base rgb, round float64) func(x, y float64, old rgb) (rgb, float64) {
		return func(x, y float64, _ rgb) (rgb, float64) {
			u, v := (x-t.x)/t.sx, (y-t.y)/t.sy
			light := 1 + round*(0.30*u*lit-0.16*v)
			return base.times(light + 0.05*(s.noise.fbm(x*40, y*40, 2)-0.5)), 1
		}
	}
	strands := func(base rgb) func(x, y float64, old rgb) (rgb, float64) {
		return func(x, y float64, _ rgb) (rgb, float64) {
			u, v := (x-t.x)/t.sx, (y-t.y)/t.sy
			n := s.noise.fbm(math.Atan2(u, v+0.9)*26, math.Hypot(u, v)*2.2, 3) - 0.5
			return base.times(1+0.9*n+0.16*u*lit).screen(s.light.sun, 0.12*max(0, n)), 1
		}
	}
	if long {
		s.fill(begin(0, -1.28).cubic(1.0, -1.3, 1.15, -0.4, 1.08, 0.5).cubic(1.05, 1.1, 1.35, 1.6, 1.15, 2.1).
			cubic(0.6, 2.25, -0.6, 2.25, -1.15, 2.1).cubic(-1.35, 1.6, -1.05, 1.1, -1.08, 0.5).cubic(-1.15, -0.4, -1.0, -1.3, 0, -1.28).moved(t), strands(hair.times(0.75)))
	}
	// Shoulders, neck and collar.
	s.fill(begin(-2.25, 3.0).cubic(-2.15, 1.9, -1.4, 1.62, -0.5, 1.42).line(0.5, 1.42).cubic(1.4, 1.62, 2.15, 1.9, 2.25, 3.0).line(2.3, 12).line(-2.3, 12).moved(t), shade(cloth, 0.5))
	s.fill(begin(-0.36, 0.62).line(-0.40, 1.3).cubic(-0.36, 1.72, 0.36, 1.72, 0.40, 1.3).line(0.36, 0.62).moved(t), shade(skin.times(0.82), 0.9))
	s.fill(begin(-0.40, 1.18).cubic(-0.55, 1.4, -0.85, 1.5, -0.95, 1.62).cubic(-0.5, 2.1, -0.2, 2.0, 0, 1.72).cubic(0.2, 2.0, 0.5, 2.1, 0.95, 1.62).
		cubic(0.85, 1.5, 0.55, 1.4, 0.40, 1.18).cubic(0.36, 1.62, -0.36, 1.62, -0.40, 1.18).moved(t), shade(cloth.mix(ink(0xffffff), 0.14), 0.5))
	// Head.
	for _, side := range []float64{-1, 1} {
		m := t
		m.sx *= side
		s.fill(oval(0.80, 0.08, 0.12, 0.22).moved(m), shade(skin.times(0.9), 0.8))
	}
	s.fill(begin(0, -1.02).cubic(0.62, -1.02, 0.84, -0.5, 0.80, 0.05).cubic(0.76, 0.55, 0.42, 1.04, 0, 1.06).
		cubic(-0.42, 1.04, -0.76, 0.55, -0.80, 0.05).cubic(-0.84, -0.5, -0.62, -1.02, 0, -1.02).moved(t), shade(skin, 1))
	for _, side := range []float64{-1, 1} {
		s.glow(t.x+side*0.46*t.sx, t.y+0.34*t.sy, 0.26*t.sy, ink(0xff8f7a), 0.14)
	}
	s.paintFeatures(t, skin, hair)
	// Hair in front.
	part := between(s.rng, -0.35, 0.35)
	crown := begin(part, -0.86).cubic(0.4, -0.74, 0.72, -0.42, 0.80, 0.0).cubic(0.98, -0.35, 1.0, -1.3, 0, -1.34).
		cubic(-1.0, -1.3, -0.98, -0.35, -0.80, 0.0).cubic(-0.74, -0.42, -0.5, -0.72, part, -0.86)
	s.fill(crown.moved(t), strands(hair))
	if long {
		for _, side := range []float64{-1, 1} {
			m := t
			m.sx *= side
			s.fill(begin(0.62, -0.62).cubic(0.95, -0.3, 0.86, 0.4, 0.92, 0.9).cubic(0.96, 1.3, 0.82, 1.6, 0.92, 1.9).cubic(1.25, 1.7, 1.2, 1.2, 1.14, 0.8).
				cubic(1.1, 0.2, 1.1, -0.5, 0.62, -0.62).moved(m), strands(hair.times(0.95)))
		}
	}
	s.paintAttribute(t)
	s.glow(t.x+lit*1.5*t.sx, t.y-0.4*t.sy, 1.9*t.sy, s.light.sun, 0.14)
}

// paintFeatures draws brows, lowered eyes, nose and mouth.
func (s *scene) paintFeatures(t pose, skin, hair rgb) {
	soft := func(p *shape, c rgb, share float64) {
		s.fill(p.moved(t), func(_, _ float64, _ rgb) (rgb, float64) { return c, share })
	}
	deep := skin.times(0.62).mix(ink(0x5a2a2a), 0.2)
	for _, side := range []float64{-1, 1} {
		m := t
		m.sx *= side
		fillAt := func(p *shape, c rgb, share float64) {
			s.fill(p.moved(m), func(_, _ float64, _ rgb) (rgb, float64) { return c, share })
		}
		fillAt(begin(0.16, -0.20).quad(0.36, -0.36, 0.60, -0.22).quad(0.36, -0.28, 0.16, -0.14), hair.times(0.85), 0.9)
		fillAt(begin(0.14, 0.0).quad(0.36, -0.16, 0.60, 0.02).quad(0.36, 0.16, 0.14, 0.0), skin.times(0.86), 0.55)
		// The eye, a little open.
		fillAt(begin(0.17, 0.05).quad(0.36, -0.08, 0.57, 0.05).quad(0.36, 0.15, 0.17, 0.05), ink(0xf6f1ea), 0.95)
		fillAt(oval(0.37, 0.045, 0.082, 0.082), ink(0x4a3020).mix(ink(0x3a6a7a), boolTo(hair.light() > 0.35, 1, 0)), 1)
		fillAt(oval(0.37, 0.045, 0.042, 0.042), ink(0x0c0808), 1)
		fillAt(oval(0.395, 0.015, 0.02, 0.02), ink(0xffffff), 0.95)
		fillAt(begin(0.14, 0.055).quad(0.36, -0.13, 0.62, 0.03).quad(0.36, -0.055, 0.14, 0.055), ink(0x1c1214), 0.92)
		fillAt(begin(0.05, 0.44).quad(0.13, 0.44, 0.12, 0.52).quad(0.06, 0.55, 0.02, 0.52), deep, 0.5)
	}
	s.fill(begin(-0.03, -0.05).quad(0.11, 0.25, 0.12, 0.46).quad(0.0, 0.56, -0.12, 0.47).quad(-0.04, 0.25, -0.03, -0.05).moved(t), func(_, _ float64, old rgb) (rgb, float64) {
		return old.mix(skin.times(1.12), 0.5), 0.6
	})
	lip := ink(0xb5484a).mix(skin, 0.3)
	soft(begin(-0.26, 0.72).quad(-0.1, 0.63, 0, 0.67).quad(0.1, 0.63, 0.26, 0.72).quad(0, 0.76, -0.26, 0.72), lip.times(0.82), 0.92)
	soft(begin(-0.25, 0.725).quad(0, 0.755, 0.25, 0.725).quad(0.1, 0.85, 0, 0.85).quad(-0.1, 0.85, -0.25, 0.725), lip, 0.9)
	soft(begin(-0.1, 0.785).quad(0, 0.80, 0.1, 0.785).quad(0, 0.83, -0.1, 0.785), ink(0xffffff), 0.22)
}

// paintAttribute draws what tells a king from an astronaut.
func (s *scene) paintAttribute(t pose) {
	gold := ink(0xe6b545)
	switch s.noun {
	case "king", "queen", "princess":
		crown := begin(-0.72, -0.98).line(-0.82, -1.62).line(-0.42, -1.28).line(0, -1.75).line(0.42, -1.28).line(0.82, -1.62).line(0.72, -0.98).quad(0, -0.86, -0.72, -0.98)
		s.fade(crown.moved(t), gold.mix(ink(0xffffff), 0.4), gold.times(0.7))
		for i, x := range []float64{-0.82, 0, 0.82} {
			s.flatFill(oval(x, []float64{-1.64, -1.78, -1.64}[i], 0.07, 0.07).moved(t), ink(0xd3364f))
		}
	case "wizard", "witch":
		hat := begin(-1.35, -0.78).quad(-0.5, -1.0, -0.45, -1.3).quad(-0.2, -2.2, 0.45, -2.35).quad(0.25, -1.9, 0.45, -1.3).quad(0.6, -1.0, 1.35, -0.78).quad(0, -0.55, -1.35, -0.78)
		s.fade(hat.moved(t), ink(0x4a3a8a), ink(0x1f1a40))
		s.flatFill(begin(-0.5, -1.18).quad(0, -1.02, 0.48, -1.18).line(0.5, -1.02).quad(0, -0.86, -0.56, -1.02).moved(t), gold)
	case "astronaut":
		s.fill(oval(0, -0.1, 1.28, 1.35).moved(t), func(x, y float64, _ rgb) (rgb, float64) {
			u, v := (x-t.x)/t.sx/1.28, (y-t.y+0.1*t.sy)/t.sy/1.35
			d := math.Hypot(u, v)
			return ink(0xf2f5f8).mix(ink(0x9fc4e8), smoothstep(0.3, 0.9, d)), 0.10 + 0.75*smoothstep(0.86, 0.99, d) + 0.35*smoothstep(0.22, 0.0, math.Hypot(u+0.42, v+0.5))
		})
	case "knight", "soldier", "warrior":
		s.fade(begin(-0.98, 0.1).cubic(-1.1, -1.5, 1.1, -1.5, 0.98, 0.1).line(0.8, 0.02).cubic(0.7, -0.5, 0.3, -0.45, 0.1, -0.4).line(0, 0.1).
			line(-0.1, -0.4).cubic(-0.3, -0.45, -0.7, -0.5, -0.8, 0.02).moved(t), ink(0xdfe5ea), ink(0x5f6a75))
	}
}

// paintRobot draws a head of metal.
func (s *scene) paintRobot() {
	if s.kind != "plain" {
		s.soften(0.010)
	}
	metal := ink(0x9fb0bd)
	for _, name := range []string{"main", "all"} {
		if c, ok := s.colors[name]; ok {
			metal = metal.toward(c, 0.85)
			break
		}
	}
	metal = metal.times(0.5 + 0.5*s.light.bright)
	glow := []rgb{ink(0x4fe3ff), ink(0xffb347), ink(0x7dff8a), ink(0xff5f7a)}[s.rng.IntN(4)]
	t := at(0, 0.52, 0.24*min(1, s.ratio*1.1))
	plate := func(base rgb) func(x, y float64, old rgb) (rgb, float64) {
		return func(x, y float64, _ rgb) (rgb, float64) {
			u, v := (x-t.x)/t.sx, (y-t.y)/t.sy
			shine := bump((u*0.8 + v*0.5 + 0.45) * 2.4)
			scratch := s.noise.fbm(x*9, y*180, 2) - 0.5
			return base.times(0.95-0.2*v+0.08*scratch).screen(ink(0xffffff), 0.38*shine), 1
		}
	}
	block := func(x0, y0, x1, y1, r float64) *shape {
		return begin(x0+r, y0).line(x1-r, y0).quad(x1, y0, x1, y0+r).line(x1, y1-r).quad(x1, y1, x1-r, y1).
			line(x0+r, y1).quad(x0, y1, x0, y1-r).line(x0, y0+r).quad(x0, y0, x0+r, y0).moved(t)
	}
	dark := metal.times(0.45)
	s.fill(block(-1.9, 1.35, 1.9, 12, 0.6), plate(metal.times(0.8)))
	s.fill(block(-0.35, 0.8, 0.35, 1.6, 0.1), plate(dark))
	for k := range 4 {
		y := 0.98 + 0.12*float64(k)
		s.flatFill(block(-0.38, y, 0.38, y+0.05, 0.02), dark.times(0.6))
	}
	s.fill(block(-0.03, -1.75, 0.03, -0.9, 0.01), plate(dark))
	s.fill(oval(0, -1.78, 0.11, 0.11).moved(t), func(_, _ float64, _ rgb) (rgb, float64) { return glow, 1 })
	s.glow(t.x, t.y-1.78*t.sy, 0.5*t.sy, glow, 0.7)
	for _, x := range []float64{-1.16, 0.96} {
		s.fill(block(x, -0.35, x+0.2, 0.35, 0.08), plate(dark))
	}
	s.fill(block(-1, -1, 1, 0.95, 0.38), plate(metal))
	s.fill(block(-0.82, -0.62, 0.82, 0.25, 0.3), plate(ink(0x121820)))
	for _, side := range []float64{-1, 1} {
		x := side * 0.4
		s.glow(t.x+x*t.sx, t.y-0.18*t.sy, 0.62*t.sy, glow, 0.75)
		s.fill(oval(x, -0.18, 0.23, 0.23).moved(t), func(px, py float64, _ rgb) (rgb, float64) {
			d := math.Hypot((px-t.x)/t.sx-x, (py-t.y)/t.sy+0.18) / 0.23
			return ink(0xffffff).mix(glow, smoothstep(0.1, 0.65, d)).times(1 - 0.35*smoothstep(0.75, 1, d)), 1
		})
		for _, y := range []float64{-0.85, 0.8} {
			s.flatFill(oval(side*0.82, y, 0.05, 0.05).moved(t), dark.times(0.8))
		}
	}
	for k := range 7 {
		x := -0.42 + 0.12*float64(k)
		s.flatFill(block(x, 0.45, x+0.07, 0.45+0.18+0.1*s.noise.at(float64(k)*1.7, 2), 0.02), glow.mix(dark, 0.35))
	}
}
