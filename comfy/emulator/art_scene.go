package emulator

import (
	"math"
	"math/rand/v2"
)

// scene is a picture with all that it is made of.
type scene struct {
	*canvas
	*wish
	rng   *rand.Rand
	noise *field
	light *lighting
}

// lighting is the time of day and the colours that it gives.
type lighting struct {
	sky     gradient // from the top to the horizon
	sun     rgb
	far     rgb // the farthest hills
	near    rgb // the nearest
	ground  rgb
	ground2 rgb
	water   rgb
	sunX    float64 // of the half width, -1 to 1
	sunY    float64
	moon    bool
	bright  float64 // how light things are that have their own colour
}

// lightOf makes the light of an hour, with the colours that were asked for.
func lightOf(w *wish, rng *rand.Rand) *lighting {
	l := &lighting{sunX: between(rng, -0.65, 0.65), bright: 1}
	var top, mid, low, horizon rgb
	switch w.hour {
	case "sunset":
		top, mid, low, horizon = ink(0x29306e), ink(0x8b3f82), ink(0xe8635a), ink(0xffbe73)
		l.sun, l.far, l.near = ink(0xfff0c4), ink(0x9a5f86), ink(0x2a1b3d)
		l.ground, l.ground2, l.water, l.sunY, l.bright = ink(0x4a3040), ink(0x8a5a48), ink(0x7a4a6a), 0.50, 0.72
	case "dawn":
		top, mid, low, horizon = ink(0x6f8fca), ink(0xb9a9d6), ink(0xf6c3b8), ink(0xffe6c6)
		l.sun, l.far, l.near = ink(0xfffaf0), ink(0xacb0d0), ink(0x4a637c)
		l.ground, l.ground2, l.water, l.sunY, l.bright = ink(0x6f8f6c), ink(0xa9b884), ink(0x8fa3c4), 0.42, 0.92
	case "night":
		top, mid, low, horizon = ink(0x040818), ink(0x0c1838), ink(0x1d2f63), ink(0x3f5a96)
		l.sun, l.far, l.near = ink(0xf6f2df), ink(0x243a70), ink(0x050a1a)
		l.ground, l.ground2, l.water, l.sunY, l.bright = ink(0x0d1a2a), ink(0x1c3042), ink(0x12265a), between(rng, 0.12, 0.3), 0.42
		l.moon = true
	default:
		top, mid, low, horizon = ink(0x1c63bb), ink(0x4c97de), ink(0x95cbf0), ink(0xdff0fa)
		l.sun, l.far, l.near = ink(0xfffdf0), ink(0x9dbfd9), ink(0x2f5d54)
		l.ground, l.ground2, l.water, l.sunY = ink(0x4f8a3c), ink(0x96bf55), ink(0x2a86b5), between(rng, 0.1, 0.26)
	}
	if w.has["storm"] || w.has["rain"] {
		grey := ink(0x3a434c)
		top, mid, low, horizon = top.mix(grey, 0.75), mid.mix(ink(0x59656f), 0.75), low.mix(ink(0x7d898f), 0.7), horizon.mix(ink(0xa9b2b3), 0.6)
		l.water = l.water.mix(ink(0x33444c), 0.7)
		l.far, l.ground, l.ground2 = l.far.mix(grey, 0.4), l.ground.mix(grey, 0.35), l.ground2.mix(grey, 0.3)
		l.bright *= 0.85
	}
	season(w, l)
	turn := between(rng, -0.025, 0.025)
	for _, c := range []*rgb{&top, &mid, &low, &horizon, &l.far, &l.near} {
		*c = c.turn(turn)
	}
	asked := func(c *rgb, names ...string) {
		for i, name := range names {
			if want, ok := w.colors[name]; ok {
				*c = c.toward(want, []float64{0.85, 0.4, 0.3}[i])
				return
			}
		}
	}
	for _, c := range []*rgb{&top, &mid, &low} {
		asked(c, "sky", "all")
	}
	asked(&horizon, "sky", "all2", "all")
	for _, c := range []*rgb{&l.ground, &l.ground2, &l.near} {
		asked(c, "land", "all2", "all")
	}
	asked(&l.water, "water", "all", "all2")
	l.sky = blend(top, mid, low, horizon)
	return l
}

// season changes the ground.
func season(w *wish, l *lighting) {
	switch {
	case w.has["snow"]:
		l.ground, l.ground2 = ink(0xb9cde0).times(0.55+0.45*l.bright), ink(0xf2f7fb).times(0.6+0.4*l.bright)
		l.near = l.near.mix(ink(0x52687c), 0.4)
	case w.has["autumn"]:
		l.ground, l.ground2 = ink(0x8a4a22).times(l.bright), ink(0xd9963a).times(l.bright)
		l.near = l.near.mix(ink(0x6b3a20), 0.5)
	case w.has["spring"]:
		l.ground, l.ground2 = ink(0x6fae4d).times(l.bright), ink(0xc4df7a).times(l.bright)
	}
}

// sunAt is the place of the sun or moon.
func (s *scene) sunAt() (x, y float64) { return s.light.sunX * s.half(), s.light.sunY }

// paint draws whatever was asked for.
func (s *scene) paint() {
	switch s.kind {
	case "space":
		s.paintSpace()
	case "deep":
		s.paintDeep()
	case "pattern":
		s.paintPattern()
	case "abstract":
		s.paintAbstract()
	case "plain":
		s.paintPlain()
	default:
		s.paintLand()
	}
	s.paintMain()
	s.paintWeather()
}

// paintSky draws sky, sun or moon, stars and clouds, down to the horizon.
func (s *scene) paintSky(horizon float64) {
	sx, sy := s.sunAt()
	l := s.light
	clouds := 0.0
	if s.has["clouds"] || s.has["storm"] || s.has["rain"] {
		clouds = 0.55
	} else if l.moon {
		clouds = between(s.rng, 0, 0.15)
	} else {
		clouds = between(s.rng, 0.05, 0.4)
	}
	offset := between(s.rng, 0, 50)
	lit := l.sun.mix(l.sky.at(0.9), 0.35)
	shade := l.sky.at(0.35).mix(l.sky.at(0.95), 0.35)
	s.rows(0, horizon+0.02, func(x, y float64) rgb {
		v := l.sky.at(y / horizon)
		d := math.Hypot(x-sx, y-sy)
		v = v.screen(l.sun, 0.5*math.Exp(-d*5)*boolTo(!l.moon, 1, 0.35))
		if clouds > 0.02 {
			// Clouds flatten towards the horizon, as they lie farther off.
			far := 0.35 + 1.2*(horizon-y)/horizon
			cx, cy := x*1.6/far+offset, y*4.5/far+offset
			n := s.noise.fbm(cx, cy, 5)
			cover := smoothstep(0.62-0.35*clouds, 0.82-0.25*clouds, n)
			if cover > 0 {
				under := s.noise.at(cx*2+3, cy*2-0.35)
				tone := shade.mix(lit, smoothstep(0.25, 0.75, under+0.25*(1-d)))
				v = v.mix(tone, cover*boolTo(l.moon, 0.45, 0.88))
			}
		}
		return v
	})
	if l.moon || s.has["stars"] {
		s.paintStars(horizon, 1)
	}
	if s.has["aurora"] {
		s.paintAurora(horizon)
	}
	if s.has["storm"] && !l.moon {
		return
	}
	if l.moon {
		s.paintMoon(sx, sy, between(s.rng, 0.035, 0.06))
		return
	}
	radius := boolTo(s.hour == "day", 0.028, 0.05)
	s.glow(sx, sy, radius*7, l.sun, 0.55)
	s.glow(sx, sy, radius*2.6, l.sun, 0.7)
	s.fill(oval(sx, sy, radius, radius), func(_, _ float64, _ rgb) (rgb, float64) { return l.sun, 0.95 })
}

func boolTo(b bool, yes, no float64) float64 {
	if b {
		return yes
	}
	return no
}

// paintStars strews stars, fewer and fainter towards the horizon.
func (s *scene) paintStars(horizon, density float64) {
	n := int(260 * density * s.ratio)
	for range n {
		x, y := between(s.rng, -s.half(), s.half()), horizon*math.Pow(s.rng.Float64(), 1.3)
		size := between(s.rng, 0.0006, 0.0016)
		if s.rng.IntN(14) == 0 {
			size *= 1.9
			s.glow(x, y, size*5, ink(0xdfe8ff), 0.4)
		}
		v := ink(0xffffff).mix(ink([]uint32{0xbcd0ff, 0xfff0d8, 0xffffff}[s.rng.IntN(3)]), 0.7)
		fade := between(s.rng, 0.35, 1) * (1 - y/horizon*0.7)
		s.fill(oval(x, y, max(size, 0.6*s.dot()), max(size, 0.6*s.dot())), func(_, _ float64, _ rgb) (rgb, float64) { return v, fade })
	}
}

func (s *scene) paintMoon(x, y, r float64) {
	s.glow(x, y, r*6, ink(0xcfdcff), 0.35)
	s.glow(x, y, r*2.2, ink(0xfff8e0), 0.5)
	off := between(s.rng, 0, 30)
	s.fill(oval(x, y, r, r), func(px, py float64, _ rgb) (rgb, float64) {
		u, v := (px-x)/r, (py-y)/r
		n := s.noise.fbm(u*1.7+off, v*1.7+off, 4)
		round := 1 - 0.25*(u*u+v*v)
		return ink(0xfaf6e6).mix(ink(0xb9b7b4), smoothstep(0.45, 0.7, n)*0.7).times(round), 1
	})
}

// paintAurora draws curtains of light.
func (s *scene) paintAurora(horizon float64) {
	off := between(s.rng, 0, 40)
	low, high := ink(0x4dffa6), ink(0xa06bff)
	if c, ok := s.colors["all"]; ok {
		low = c
	}
	s.change(func(x, y float64, old rgb) rgb {
		if y > horizon {
			return old
		}
		sum := old
		for k := range 3 {
			f := float64(k)
			edge := horizon*(0.38+0.14*f) + 0.16*(s.noise.fbm(x*1.1+off+9*f, f*3, 3)-0.5)
			d := edge - y
			if d < -0.03 {
				continue
			}
			ray := 0.45 + 0.55*s.noise.at(x*26+off+f*7, y*0.6)
			v := math.Exp(-max(0, d)*7) * smoothstep(-0.03, 0.015, d) * ray * s.noise.at(x*2+off*f, 1.5)
			sum = sum.screen(low.mix(high, smoothstep(0, 0.28, d)), 1.1*v)
		}
		return sum
	})
}

// paintWeather draws what is between the eye and the scene.
func (s *scene) paintWeather() {
	switch {
	case s.kind == "space" || s.kind == "deep" || s.kind == "pattern" || s.kind == "abstract":
	case s.has["snow"] && s.main == "":
		for range int(130 * s.ratio) {
			r := between(s.rng, 0.0012, 0.0045)
			x, y := between(s.rng, -s.half(), s.half()), s.rng.Float64()
			s.fill(oval(x, y, r, r), func(px, py float64, _ rgb) (rgb, float64) {
				return ink(0xffffff), 0.8 * (1 - math.Hypot(px-x, py-y)/r*0.7)
			})
		}
	case s.has["rain"]:
		for range int(220 * s.ratio) {
			x, y, n := between(s.rng, -s.half(), s.half()+0.1), s.rng.Float64(), between(s.rng, 0.02, 0.06)
			w := max(0.0007, 0.5*s.dot())
			s.fill(polygon(point{x, y}, point{x + w, y}, point{x - n*0.22 + w, y + n}, point{x - n*0.22, y + n}),
				func(_, _ float64, _ rgb) (rgb, float64) { return ink(0xdfe9f2), 0.32 })
		}
	case s.has["fog"]:
		off := between(s.rng, 0, 30)
		mist := s.light.sky.at(0.95).mix(ink(0xffffff), 0.25*s.light.bright)
		s.change(func(x, y float64, old rgb) rgb {
			n := s.noise.fbm(x*1.5+off, y*3+off, 4)
			return old.mix(mist, 0.75*smoothstep(0.3, 0.75, n)*smoothstep(0.15, 0.6, y))
		})
	}
}
