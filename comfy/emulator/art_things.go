package emulator

import "math"

// pine paints a fir: tiers of boughs, ragged at their ends.
func (s *scene) pine(x, foot, height float64, v rgb, snow bool) {
	tiers := 7
	width := height * 0.2
	trunk := v.mix(ink(0x2a1c14), 0.6)
	s.flatFill(polygon(point{x - height*0.018, foot}, point{x + height*0.018, foot}, point{x + height*0.01, foot - height*0.3},
		point{x - height*0.01, foot - height*0.3}), trunk)
	for i := range tiers {
		t := float64(i) / float64(tiers)
		top := foot - height + height*0.72*t
		low := top + height*(0.2+0.06*t)
		w := width * (0.28 + 0.85*t) * between(s.rng, 0.88, 1.1)
		p := begin(x, top)
		const n = 4
		var left []point
		for k := range n {
			f := float64(k+1) / n
			out, dip := between(s.rng, 0.86, 1.06), between(s.rng, 0.9, 1.02)
			p.line(x+w*f*out, top+(low-top)*f*dip)
			p.line(x+w*(f*out-0.15), top+(low-top)*f*0.93)
			out, dip = between(s.rng, 0.86, 1.06), between(s.rng, 0.9, 1.02)
			left = append(left, point{x - w*(f*out-0.15), top + (low-top)*f*0.93}, point{x - w*f*out, top + (low-top)*f*dip})
		}
		p.quad(x+w*0.4, low+height*0.012, x, low-height*0.004)
		p.quad(x-w*0.4, low+height*0.012, left[len(left)-1].x, left[len(left)-1].y)
		for k := len(left) - 2; k >= 0; k-- {
			p.line(left[k].x, left[k].y)
		}
		lit := v.mix(s.light.sun, 0.10*s.light.bright)
		side := math.Copysign(1, s.light.sunX*s.half()-x)
		s.fill(p, func(px, py float64, _ rgb) (rgb, float64) {
			shade := 0.72 + 0.35*(py-top)/(low-top)
			c := v.mix(lit, smoothstep(-1, 1, (px-x)/w*side))
			if snow {
				c = c.mix(ink(0xeaf2fa).times(0.4+0.6*s.light.bright), 0.8*smoothstep(0.55, 0.1, (py-top)/(low-top)+0.5*s.noise.at(px*60, py*60)-0.2))
			}
			return c.times(shade), 1
		})
	}
}

// leafy paints a tree with a round crown.
func (s *scene) leafy(x, foot, height float64, v rgb) {
	trunk := ink(0x4a3424).times(0.4 + 0.6*s.light.bright)
	p := begin(x-height*0.04, foot).quad(x-height*0.02, foot-height*0.3, x-height*0.03, foot-height*0.5).
		line(x+height*0.03, foot-height*0.5).quad(x+height*0.025, foot-height*0.3, x+height*0.05, foot)
	s.flatFill(p, trunk)
	sx, _ := s.sunAt()
	side := math.Copysign(1, sx-x)
	const clusters = 70
	for i := range clusters {
		a, d := s.rng.Float64()*2*math.Pi, math.Sqrt(s.rng.Float64())*0.27*height
		cx, cy := x+math.Cos(a)*d*1.2, foot-height*0.66+math.Sin(a)*d*0.9
		r := height * between(s.rng, 0.035, 0.085)
		depth := float64(i) / clusters
		up := (foot-height*0.66-cy)/(0.25*height)*0.5 + (cx-x)/(0.3*height)*0.35*side
		leaf := v.times(0.58 + 0.25*depth + 0.25*up).turn(between(s.rng, -0.018, 0.018))
		s.fill(oval(cx, cy, r, r*0.85), func(px, py float64, _ rgb) (rgb, float64) {
			e := math.Hypot((px-cx)/r, (py-cy)/(r*0.85))
			n := s.noise.fbm(px*95, py*95, 2)
			return leaf.times(0.75+0.55*n).screen(s.light.sun, 0.14*max(0, up)*s.light.bright), smoothstep(1.05, 0.8, e+0.7*(n-0.5))
		})
	}
}

// leafColor is that of trees at this season.
func (s *scene) leafColor() rgb {
	v := ink(0x2f6b38)
	switch {
	case s.has["autumn"]:
		v = ink([]uint32{0xc9582a, 0xd98a2f, 0xa83f22, 0xe0aa3a}[s.rng.IntN(4)])
	case s.has["spring"]:
		v = ink([]uint32{0xf0b6c8, 0xf7d3de, 0xe89ab4}[s.rng.IntN(3)])
	case s.has["snow"]:
		v = ink(0x35525a)
	default:
		v = v.turn(between(s.rng, -0.03, 0.03))
	}
	if c, ok := s.colors["land"]; ok {
		v = v.toward(c, 0.75)
	}
	return v.times(0.28 + 0.72*s.light.bright)
}

// paintForest draws rows of trees, with mist between them.
func (s *scene) paintForest(horizon float64) {
	l := s.light
	leafy := s.has["autumn"] || s.has["spring"]
	for row := range 4 {
		depth := float64(row+1) / 4
		base := horizon + 0.06 + 0.13*float64(row)
		r := ridge{base: base, amp: 0.07, scale: 1.6, off: between(s.rng, 0, 40), octaves: 3}
		tops := s.tops(r)
		ground := l.ground.mix(l.near, 0.45).mix(l.sky.at(0.95), 0.55*(1-depth))
		size := 0.13 + 0.22*float64(row)*0.62
		if row == 3 {
			size *= 1.15
		}
		n := int(s.ratio * (30 - 7*float64(row)))
		for range n {
			x := between(s.rng, -s.half()-0.05, s.half()+0.05)
			if row == 3 && math.Abs(x) < s.half()*0.45 {
				continue // an open middle to look through
			}
			v := s.leafColor().mix(l.near, 0.25*depth).mix(l.sky.at(0.93), 0.62*(1-depth))
			h := size * between(s.rng, 0.72, 1.15)
			foot := tops[s.column(x)] + 0.02
			if leafy && s.rng.IntN(5) > 0 {
				s.leafy(x, foot, h, v)
			} else {
				s.pine(x, foot, h, v, s.has["snow"])
			}
		}
		foot := base + 0.16 // the next row's ground begins before
		if row == 3 {
			foot = 1
		}
		s.rows(base-0.09, foot, s.over(func(x, y float64, old rgb) rgb {
			t := tops[s.column(x)]
			if y < t {
				return old
			}
			fine := s.noise.fbm(x*45, y*70, 3)
			v := ground.mix(l.ground2, 0.4*fine).times(0.7 + 0.45*fine)
			return v.mix(old, smoothstep(t+0.02, t, y))
		}))
		mist := l.sky.at(0.97)
		s.rows(base-0.2, base+0.08, s.over(func(x, y float64, old rgb) rgb {
			band := bump((y - base + 0.02) / 0.07)
			return old.mix(mist, band*(0.42-0.36*depth)*(0.6+0.8*s.noise.fbm(x*2+r.off, y*6, 3)))
		}))
	}
}

// paintCity draws rows of towers, their windows lit when it is dark.
func (s *scene) paintCity(horizon float64) {
	l := s.light
	dark := boolTo(s.hour == "night", 1, boolTo(s.hour == "sunset", 0.6, 0.12))
	lamp := ink(0xffd58a)
	neon := []rgb{ink(0xff3fa4), ink(0x35e0ff), ink(0xa45bff), ink(0xffc23f)}
	for row := range 3 {
		depth := float64(row+1) / 3
		body := l.far.mix(l.near, 0.25+0.75*depth).mix(l.sky.at(0.9), 0.5*(1-depth))
		for x := -s.half() - 0.1; x < s.half()+0.1; {
			w := between(s.rng, 0.035, 0.085) * (0.75 + 0.5*depth)
			h := between(s.rng, 0.1, 0.34) * (1.25 - 0.35*depth)
			if s.rng.IntN(6) == 0 {
				h *= 1.45
			}
			foot := horizon + 0.05 + 0.1*float64(row)
			s.tower(x, foot, w, h, body.times(between(s.rng, 0.8, 1.12)), lamp, dark, depth)
			if s.style == "neon" && s.rng.IntN(4) == 0 {
				v := neon[s.rng.IntN(len(neon))]
				y := foot - h*between(s.rng, 0.3, 0.8)
				s.flatFill(polygon(point{x + w*0.2, y}, point{x + w*0.3, y}, point{x + w*0.3, y + h*0.25}, point{x + w*0.2, y + h*0.25}), v)
				s.glow(x+w*0.25, y+h*0.12, h*0.35, v, 0.5)
			}
			x += w * between(s.rng, 0.92, 1.25)
		}
		mist := l.sky.at(0.98)
		s.rows(horizon-0.1, 1, s.over(func(_, y float64, old rgb) rgb {
			return old.mix(mist, 0.4*(1-depth)*smoothstep(horizon-0.12, horizon+0.1, y))
		}))
	}
	s.paintSea(horizon + 0.26)
	s.mirror(horizon+0.26, 0.45)
}

// tower paints one building.
func (s *scene) tower(x, foot, w, h float64, body, lamp rgb, dark, depth float64) {
	top := foot - h
	side := boolTo(s.light.sunX*s.half() > x, 1, -1)
	p := polygon(point{x, foot + 0.3}, point{x, top}, point{x + w, top}, point{x + w, foot + 0.3})
	if s.rng.IntN(4) == 0 {
		p = polygon(point{x, foot + 0.3}, point{x, top}, point{x + w*0.5, top - w*0.6}, point{x + w, top}, point{x + w, foot + 0.3})
	}
	cols := max(2, math.Round(w/0.011))
	cell := w / cols
	seed := s.rng.IntN(1 << 20)
	s.fill(p, func(px, py float64, _ rgb) (rgb, float64) {
		v := body.times(0.86 + 0.2*smoothstep(-1, 1, side*(2*(px-x)/w-1)))
		cx, cy := math.Floor((px-x)/cell), math.Floor((py-top)/(cell*1.35))
		fx, fy := (px-x)/cell-cx, (py-top)/(cell*1.35)-cy
		if py > top+cell && fx > 0.25 && fx < 0.75 && fy > 0.25 && fy < 0.72 {
			n := s.noise.speck(int(cx)+seed, int(cy))
			if n < 0.12+0.5*dark {
				return v.mix(lamp.times(0.7+0.5*n), (0.25+0.7*dark)*(0.55+0.45*depth)), 1
			}
			return v.times(0.82), 1
		}
		return v, 1
	})
	if s.rng.IntN(5) == 0 {
		m := x + w/2
		s.flatFill(polygon(point{m - 0.0012, top}, point{m, top - h*0.25}, point{m + 0.0012, top}), body)
	}
}

// mirror lays what stands above a line, turned over and rippled, on the water below.
func (s *scene) mirror(line, share float64) {
	at := int(line * float64(s.h))
	for py := max(0, at); py < s.h; py++ {
		y := s.y(py)
		depth := (y - line) / (1 - line)
		shift := 0.02 * depth * (s.noise.at(y*90, 3) - 0.5)
		from := 2*at - py - int(0.02*depth*float64(s.h)*(s.noise.at(1, y*60)-0.5))
		if from < 0 || from >= s.h {
			continue
		}
		for px := range s.w {
			sx := min(s.w-1, max(0, px+int(shift*float64(s.h)*(1+2*s.noise.at(s.x(px)*8, y*120)))))
			p, q := s.m.Pix[s.m.PixOffset(px, py):], s.m.Pix[s.m.PixOffset(sx, from):]
			for k := range 3 {
				p[k] = clamp8(float32(lerp(float64(p[k]), float64(q[k])*0.82, share*(1-0.6*depth))))
			}
		}
	}
}
