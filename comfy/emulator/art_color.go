package emulator

import "math"

// rgb is a colour, each part from 0 to 1, as a screen shows it.
type rgb struct{ r, g, b float64 }

// ink makes a colour of 0xRRGGBB.
func ink(v uint32) rgb {
	return rgb{float64(v>>16&255) / 255, float64(v>>8&255) / 255, float64(v&255) / 255}
}

func (c rgb) mix(d rgb, t float64) rgb {
	return rgb{c.r + (d.r-c.r)*t, c.g + (d.g-c.g)*t, c.b + (d.b-c.b)*t}
}

// times makes a colour darker or, above 1, lighter.
func (c rgb) times(f float64) rgb { return rgb{c.r * f, c.g * f, c.b * f} }

// plus adds light.
func (c rgb) plus(d rgb, t float64) rgb { return rgb{c.r + d.r*t, c.g + d.g*t, c.b + d.b*t} }

// screen adds light that does not burn out.
func (c rgb) screen(d rgb, t float64) rgb {
	return rgb{1 - (1-c.r)*(1-d.r*t), 1 - (1-c.g)*(1-d.g*t), 1 - (1-c.b)*(1-d.b*t)}
}

func (c rgb) light() float64 { return 0.299*c.r + 0.587*c.g + 0.114*c.b }

// polar is a colour by lightness, colourfulness and hue (in turns), in Oklab: equal steps look equal.
type polar struct{ l, c, h float64 }

func linear(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

func gamma(v float64) float64 {
	if v <= 0.0031308 {
		return 12.92 * max(0, v)
	}
	return 1.055*math.Pow(min(1, v), 1/2.4) - 0.055
}

// oklab are the lightness and the two opponent parts of a colour.
func (c rgb) oklab() (l, a, b float64) {
	r, g, bl := linear(c.r), linear(c.g), linear(c.b)
	x := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*bl)
	y := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*bl)
	z := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*bl)
	return 0.2104542553*x + 0.7936177850*y - 0.0040720468*z,
		1.9779984951*x - 2.4285922050*y + 0.4505937099*z,
		0.0259040371*x + 0.7827717662*y - 0.8086757660*z
}

func fromOklab(l, a, b float64) rgb {
	cube := func(v float64) float64 { return v * v * v }
	x := cube(l + 0.3963377774*a + 0.2158037573*b)
	y := cube(l - 0.1055613458*a - 0.0638541728*b)
	z := cube(l - 0.0894841775*a - 1.2914855480*b)
	return rgb{
		gamma(4.0767416621*x - 3.3077115913*y + 0.2309699292*z),
		gamma(-1.2684380046*x + 2.6097574011*y - 0.3413193965*z),
		gamma(-0.0041960863*x - 0.7034186147*y + 1.7076147010*z),
	}
}

func (c rgb) polar() polar {
	l, a, b := c.oklab()
	h := math.Atan2(b, a) / (2 * math.Pi)
	return polar{l, math.Hypot(a, b), h - math.Floor(h)}
}

func (p polar) rgb() rgb {
	sin, cos := math.Sincos(2 * math.Pi * p.h)
	return fromOklab(p.l, p.c*cos, p.c*sin)
}

// turn moves the hue by a part of the circle.
func (c rgb) turn(by float64) rgb {
	p := c.polar()
	p.h += by
	return p.rgb()
}

// toward gives c the hue of another colour, by a share, and some of how colourful that is.
func (c rgb) toward(d rgb, share float64) rgb {
	l, a, b := c.oklab()
	dl, da, db := d.oklab()
	strength := 0.35 + 0.65*(1-math.Abs(l-0.5))
	return fromOklab(l+(dl-l)*share*0.25, a+(da*strength-a)*share, b+(db*strength-b)*share)
}

// dyed gives c the hue of another colour and much of its lightness too, by a share.
func (c rgb) dyed(d rgb, share float64) rgb {
	l, a, b := c.oklab()
	dl, da, db := d.oklab()
	return fromOklab(l+(dl-l)*share, a+(da-a)*share, b+(db-b)*share)
}

// gradient is a run of colours, looked up from 0 to 1.
type gradient []rgb

const gradientSteps = 512

// blend makes a smooth run through some colours, at equal distances.
func blend(stops ...rgb) gradient {
	g := make(gradient, gradientSteps)
	for i := range g {
		at := float64(i) / (gradientSteps - 1) * float64(len(stops)-1)
		k := min(len(stops)-2, int(at))
		if k < 0 {
			g[i] = stops[0]
			continue
		}
		l1, a1, b1 := stops[k].oklab()
		l2, a2, b2 := stops[k+1].oklab()
		t := at - float64(k)
		g[i] = fromOklab(l1+(l2-l1)*t, a1+(a2-a1)*t, b1+(b2-b1)*t)
	}
	return g
}

func (g gradient) at(t float64) rgb {
	if t <= 0 || math.IsNaN(t) {
		return g[0]
	}
	x := t * (gradientSteps - 1)
	i := int(x)
	if i >= gradientSteps-1 {
		return g[gradientSteps-1]
	}
	return g[i].mix(g[i+1], x-float64(i))
}
