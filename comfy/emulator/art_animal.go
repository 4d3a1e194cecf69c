package emulator

import "math"

// beast is how an animal's head looks.
type beast struct {
	fur, light, dark, eye rgb
	ears                  string // "pointed", "round", "long", "floppy", "tufts"
	round                 float64
	stripes, patches      bool
	mane, beak            bool
}

// beastOf knows the animals by their words; others are as their kind.
func beastOf(kind, noun string) beast {
	amber := ink(0xe0a02f)
	table := map[string]beast{
		"fox":     {fur: ink(0xdc6f28), light: ink(0xf8efe2), dark: ink(0x2e211f), eye: amber, ears: "pointed"},
		"cat":     {fur: ink(0x9a8b7c), light: ink(0xefe6da), dark: ink(0x2b2522), eye: ink(0x7fbf4f), ears: "pointed", round: 0.45, stripes: true},
		"tiger":   {fur: ink(0xe58a2c), light: ink(0xfaf3e6), dark: ink(0x1c1614), eye: amber, ears: "round", round: 0.6, stripes: true},
		"lion":    {fur: ink(0xd9a44f), light: ink(0xf3dfb4), dark: ink(0x4a2d17), eye: amber, ears: "round", round: 0.55, mane: true},
		"panther": {fur: ink(0x24242c), light: ink(0x3d3d49), dark: ink(0x09090c), eye: ink(0xd8d84a), ears: "round", round: 0.5},
		"leopard": {fur: ink(0xd8a552), light: ink(0xf5e9cf), dark: ink(0x2b1d12), eye: ink(0x8fc06a), ears: "round", round: 0.5, patches: true},
		"dog":     {fur: ink(0xb07a45), light: ink(0xf1e3cc), dark: ink(0x33241a), eye: ink(0x5a3a1f), ears: "floppy", round: 0.4},
		"wolf":    {fur: ink(0x76808a), light: ink(0xe6e9eb), dark: ink(0x26292d), eye: ink(0xf0c23a), ears: "pointed", round: 0.1},
		"husky":   {fur: ink(0x4f5a66), light: ink(0xf6f8f9), dark: ink(0x22262b), eye: ink(0x62b8ea), ears: "pointed", round: 0.15},
		"bear":    {fur: ink(0x7a4f30), light: ink(0xc79f74), dark: ink(0x21150e), eye: ink(0x2a1a10), ears: "round", round: 1},
		"panda":   {fur: ink(0xf4f1ea), light: ink(0xffffff), dark: ink(0x1c1c20), eye: ink(0x1a1208), ears: "round", round: 1, patches: true},
		"koala":   {fur: ink(0x8d949b), light: ink(0xd5dadd), dark: ink(0x25282b), eye: ink(0x2a1f16), ears: "round", round: 1},
		"rabbit":  {fur: ink(0xb59a80), light: ink(0xf6ece1), dark: ink(0x4a352a), eye: ink(0x3a2416), ears: "long", round: 0.8},
		"owl":     {fur: ink(0x8a6a47), light: ink(0xe9d6b4), dark: ink(0x33241a), eye: ink(0xf4b528), ears: "tufts", round: 0.9, beak: true},
		"penguin": {fur: ink(0x23272f), light: ink(0xf7f7f4), dark: ink(0x101216), eye: ink(0x3a2a1a), ears: "none", round: 0.9, beak: true},
		"eagle":   {fur: ink(0xf2eee4), light: ink(0xffffff), dark: ink(0x2c1e15), eye: ink(0xf0c030), ears: "none", round: 0.5, beak: true},
	}
	for _, name := range []string{noun, noun + "s", kind} {
		if b, ok := table[name]; ok {
			return b
		}
	}
	return table["fox"]
}

// paintBeast draws an animal's head and breast before a soft ground.
func (s *scene) paintBeast() {
	s.soften(0.007)
	b := beastOf(s.main, s.noun)
	if c, ok := s.colors["main"]; ok {
		b.fur = b.fur.dyed(c, 0.6)
	} else if c, ok := s.colors["all"]; ok && s.main != "owl" {
		b.fur = b.fur.dyed(c, 0.6)
	}
	dim := 0.45 + 0.55*s.light.bright
	for _, c := range []*rgb{&b.fur, &b.light, &b.dark} {
		*c = c.times(dim).mix(s.light.sky.at(0.8), 0.06)
	}
	size := between(s.rng, 0.26, 0.32) * min(1, s.ratio*1.05)
	t := at(between(s.rng, -0.13, 0.13)*s.ratio, between(s.rng, 0.53, 0.6), size)
	s.paintBreast(b, t)
	t.turn = between(s.rng, -0.022, 0.022) // the head a little to one side
	if b.mane {
		s.paintMane(b, t)
	}
	for _, side := range []float64{-1, 1} {
		m := t
		m.sx *= side
		s.paintEar(b, m)
	}
	s.paintFace(b, t)
}

// soften blurs what was painted so far, as a lens does with what lies behind.
func (s *scene) soften(radius float64) {
	px := max(1, int(radius*float64(s.h)))
	m, err := blur(s.m, px, float64(px)*0.6, s.alive)
	if err != nil {
		s.err = err
		return
	}
	s.m = m
}

// furry shades with strands that run down and outward from the middle of the face.
func (s *scene) furry(t pose, base rgb, strength float64) func(x, y float64, old rgb) (rgb, float64) {
	side := s.light.sunX
	return func(x, y float64, _ rgb) (rgb, float64) {
		u, v := (x-t.x)/math.Abs(t.sx), (y-t.y)/t.sy
		a := math.Atan2(u, v+1.6)
		n := s.noise.fbm(a*34, math.Hypot(u, v+1.6)*5, 3) - 0.5
		fine := s.noise.at(a*150, math.Hypot(u, v+1.6)*13) - 0.5
		light := 1.04 + 0.16*u*side - 0.22*max(0, v) + 0.1*(1-math.Abs(u))
		return base.times(light + strength*(n*0.9+fine*0.35)), 1
	}
}

func (s *scene) paintBreast(b beast, t pose) {
	// As far down as the tallest picture goes.
	p := begin(-0.62, 0.35).cubic(-0.95, 0.9, -1.25, 1.2, -1.35, 2.2).line(-1.4, 9).line(1.4, 9).line(1.35, 2.2).cubic(1.25, 1.2, 0.95, 0.9, 0.62, 0.35)
	s.fill(p.moved(t), s.furry(t, b.fur.times(0.82), 0.4))
	q := begin(-0.4, 0.6).cubic(-0.62, 1.0, -0.5, 1.5, -0.35, 2.2).line(-0.3, 9).line(0.3, 9).line(0.35, 2.2).cubic(0.5, 1.5, 0.62, 1.0, 0.4, 0.6)
	s.fill(q.moved(t), s.furry(t, b.light.times(0.9), 0.35))
}

func (s *scene) paintMane(b beast, t pose) {
	const tufts = 260
	for i := range tufts { // the outermost first, so that no root is seen
		a, d := s.rng.Float64()*2*math.Pi, 0.95-0.5*float64(i)/tufts
		x, y := math.Sin(a)*d*1.05, math.Cos(a)*d-0.02
		c := b.fur.mix(b.dark, between(s.rng, 0.05, 0.55)+0.2*float64(i)/tufts)
		w, long := between(s.rng, 0.10, 0.17), between(s.rng, 0.38, 0.62)
		tuft := begin(-w, -0.1).quad(-w*0.8, long*0.5, between(s.rng, -0.06, 0.06), long).quad(w*0.8, long*0.5, w, -0.1)
		m := pose{x: x, y: y, sx: 1, sy: 1, turn: -a / (2 * math.Pi)}
		s.fill(tuft.moved(m).moved(t), s.furry(t, c, 0.3))
	}
}

func (s *scene) paintEar(b beast, t pose) {
	switch b.ears {
	case "pointed":
		s.fill(begin(0.22, -0.5).quad(0.42, -0.95, 0.76, -1.18).quad(0.92, -0.75, 0.86, -0.25).moved(t), s.furry(t, b.fur.times(0.88), 0.45))
		s.fill(begin(0.66, -1.0).line(0.76, -1.18).quad(0.86, -0.95, 0.87, -0.7).moved(t), s.furry(t, b.dark, 0.2))
		s.fill(begin(0.40, -0.5).quad(0.54, -0.78, 0.70, -0.95).quad(0.78, -0.66, 0.74, -0.36).moved(t), s.furry(t, b.light.mix(ink(0xd98a7a), 0.35).times(0.8), 0.35))
	case "round":
		ear := b.fur.times(0.88)
		if b.patches && b.dark.light() < 0.2 && b.fur.light() > 0.4 && b.round == 1 {
			ear = b.dark
		}
		s.fill(oval(0.68, -0.68, 0.34, 0.34).moved(t), s.furry(t, ear, 0.4))
		s.fill(oval(0.68, -0.66, 0.2, 0.2).moved(t), s.furry(t, ear.mix(ink(0xc98a7c), 0.5), 0.3))
	case "long":
		s.fill(begin(0.1, -0.55).cubic(0.02, -1.2, 0.2, -1.75, 0.42, -1.72).cubic(0.66, -1.68, 0.62, -1.0, 0.5, -0.45).moved(t), s.furry(t, b.fur.times(0.92), 0.4))
		s.fill(begin(0.22, -0.6).cubic(0.18, -1.15, 0.28, -1.55, 0.41, -1.55).cubic(0.52, -1.5, 0.5, -1.0, 0.42, -0.5).moved(t), s.furry(t, ink(0xe0a99a).times(0.9), 0.3))
	case "floppy":
		s.fill(begin(0.4, -0.62).cubic(0.85, -0.85, 1.12, -0.4, 1.05, 0.3).cubic(1.0, 0.55, 0.72, 0.4, 0.62, -0.1).moved(t), s.furry(t, b.fur.times(0.68), 0.45))
	case "tufts":
		s.fill(begin(0.25, -0.55).quad(0.6, -0.85, 0.82, -1.15).quad(0.86, -0.7, 0.74, -0.4).moved(t), s.furry(t, b.dark.mix(b.fur, 0.4), 0.4))
	}
}

func (s *scene) paintFace(b beast, t pose) {
	wide := 0.92 + 0.08*b.round
	chin := 0.98 - 0.22*b.round
	jaw := 0.30 + 0.38*b.round
	face := begin(0, -0.80).cubic(0.40, -0.80, 0.78*wide, -0.58, wide, -0.05).
		cubic(wide+0.10*(1-b.round), 0.22, 0.72, 0.42, jaw+0.2, 0.62).cubic(jaw, 0.82, 0.16, chin, 0, chin).
		cubic(-0.16, chin, -jaw, 0.82, -jaw-0.2, 0.62).cubic(-0.72, 0.42, -wide-0.10*(1-b.round), 0.22, -wide, -0.05).
		cubic(-0.78*wide, -0.58, -0.40, -0.80, 0, -0.80)
	s.fill(face.moved(t), s.furry(t, b.fur, 0.5))
	cheek := begin(0, 0.05).cubic(0.2, 0.22, 0.6, 0.05, wide*0.96, 0.02).cubic(wide+0.02, 0.25, 0.7, 0.42, jaw+0.16, 0.62).
		cubic(jaw-0.03, 0.8, 0.15, chin-0.02, 0, chin-0.02).cubic(-0.15, chin-0.02, -jaw+0.03, 0.8, -jaw-0.16, 0.62).
		cubic(-0.7, 0.42, -wide-0.02, 0.25, -wide*0.96, 0.02).cubic(-0.6, 0.05, -0.2, 0.22, 0, 0.05)
	if b.beak {
		cheek = oval(0, 0.1, 0.74, 0.66)
	} else if b.round > 0.7 {
		cheek = oval(0, 0.48, 0.42, 0.34)
	}
	s.fill(cheek.moved(t), s.furry(t, b.light, 0.35))
	if b.stripes {
		s.paintStripes(b, t)
	}
	if b.patches && b.round < 1 {
		for range 60 {
			x, y, r := between(s.rng, -0.85, 0.85), between(s.rng, -0.62, 0.3), between(s.rng, 0.03, 0.07)
			if math.Hypot(x/0.9, y) < 0.8 {
				s.fill(oval(x, y, r, r*0.8).moved(t), s.furry(t, b.dark, 0.3))
			}
		}
	}
	for _, side := range []float64{-1, 1} {
		m := t
		m.sx *= side
		s.paintEye(b, m)
	}
	s.paintMuzzle(b, t, chin)
}

func (s *scene) paintStripes(b beast, t pose) {
	for _, side := range []float64{-1, 1} {
		m := t
		m.sx *= side
		dark := s.furry(t, b.dark.mix(b.fur, 0.25), 0.3)
		for k := range 3 {
			f := float64(k)
			s.fill(begin(0.04+0.13*f, -0.64).quad(0.08+0.12*f, -0.45, 0.10+0.1*f, -0.30).quad(0.14+0.12*f, -0.45, 0.11+0.14*f, -0.64).moved(m), dark)
			y := -0.12 + 0.2*f
			s.fill(begin(0.96-0.08*f, y-0.05).quad(0.75, y, 0.58, y+0.05).quad(0.76, y+0.06, 0.95-0.08*f, y+0.05).moved(m), dark)
		}
	}
}

func (s *scene) paintEye(b beast, t pose) {
	x, y, r := 0.36, -0.03, 0.115
	if b.beak {
		x, y, r = 0.34, -0.1, 0.21
		s.fill(oval(x, y, r*1.45, r*1.45).moved(t), s.furry(t, b.light.mix(b.fur, 0.3), 0.4))
	}
	if b.patches && b.round == 1 {
		s.fill(oval(x+0.04, y+0.03, 0.22, 0.26).moved(t), s.furry(t, b.dark, 0.3))
	}
	lid := begin(x-r*1.35, y+r*0.35).quad(x-r*0.2, y-r*1.5, x+r*1.4, y-r*0.55).quad(x+r*0.6, y+r*1.25, x-r*1.35, y+r*0.35)
	if b.round > 0.7 || b.beak {
		lid = oval(x, y, r*1.12, r*1.12)
	}
	s.flatFill(lid.moved(t), b.dark.times(0.6))
	iris := oval(x, y-r*0.05, r*0.82, r*0.82).moved(t)
	s.fade(iris, b.eye.times(0.75), b.eye.mix(ink(0xffffff), 0.25))
	pupil := oval(x, y-r*0.05, r*0.36, r*0.52)
	if b.ears == "pointed" && b.round > 0.3 {
		pupil = oval(x, y-r*0.05, r*0.18, r*0.68)
	}
	s.flatFill(pupil.moved(t), ink(0x0a0808))
	s.flatFill(oval(x+r*0.28, y-r*0.38, r*0.2, r*0.2).moved(pose{x: t.x, y: t.y, sx: math.Abs(t.sx) * sign(t.sx), sy: t.sy}), ink(0xffffff))
}

func sign(v float64) float64 { return math.Copysign(1, v) }

func (s *scene) paintMuzzle(b beast, t pose, chin float64) {
	if b.beak {
		beak := ink(0xe8a13a).times(0.5 + 0.5*s.light.bright)
		s.fade(begin(0, -0.08).cubic(0.2, 0.05, 0.2, 0.28, 0, 0.52).cubic(-0.2, 0.28, -0.2, 0.05, 0, -0.08).moved(t), beak.mix(ink(0xffffff), 0.25), beak.times(0.6))
		return
	}
	y := chin - 0.30
	w := 0.13 + 0.05*b.round
	nose := begin(-w, y-0.05).quad(0, y-0.13, w, y-0.05).quad(w*0.8, y+0.08, 0, y+0.12).quad(-w*0.8, y+0.08, -w, y-0.05)
	s.fade(nose.moved(t), b.dark.mix(ink(0xffffff), 0.22), b.dark.times(0.6))
	line := func(x0, y0, cx, cy, x1, y1 float64) {
		const d = 0.012
		s.fill(begin(x0, y0).quad(cx, cy, x1, y1).line(x1, y1+d).quad(cx, cy+2*d, x0, y0+2*d).moved(t),
			func(_, _ float64, _ rgb) (rgb, float64) { return b.dark, 0.8 })
	}
	line(-0.008, y+0.1, 0, y+0.14, 0.008, y+0.18)
	line(0, y+0.18, 0.09, y+0.25, 0.19, y+0.17)
	line(0, y+0.18, -0.09, y+0.25, -0.19, y+0.17)
	if b.round < 0.7 {
		for k := range 3 {
			f := float64(k)
			for _, side := range []float64{-1, 1} {
				m := t
				m.sx *= side
				s.fill(begin(0.22, y+0.06+0.035*f).quad(0.6, y-0.05+0.06*f, 1.0, y-0.04+0.11*f).quad(0.6, y-0.035+0.06*f, 0.22, y+0.07+0.035*f).moved(m),
					func(_, _ float64, old rgb) (rgb, float64) { return old.mix(ink(0xffffff), 0.6), 0.7 })
			}
		}
	}
}
