package emulator

// eachMask makes a class that passes every mask of the input "mask" through f.
func eachMask(class string, f func(*call, *mask) (*mask, error)) nodeRow {
	return row(class, func(c *call) ([]any, error) {
		var out []*mask
		for _, m := range take[[]*mask](c, "mask") {
			q, err := f(c, m)
			if err == nil {
				err = c.err
			}
			if err != nil {
				return nil, err
			}
			out = append(out, q)
		}
		return []any{out}, c.err
	})
}

func mapMask(m *mask, f func(byte) byte) *mask {
	out := newMask(m.Rect.Dx(), m.Rect.Dy())
	for i, v := range m.Pix {
		out.Pix[i] = f(v)
	}
	return out
}

func maskNodes() []nodeRow {
	return []nodeRow{
		row("SolidMask", func(c *call) ([]any, error) {
			w, h := c.number("width"), c.number("height")
			if err := c.reserve(w, h, 1); err != nil {
				return nil, err
			}
			v := clamp8(255 * float32(c.float("value")))
			return []any{[]*mask{mapMask(newMask(w, h), func(byte) byte { return v })}}, nil
		}),
		eachMask("InvertMask", func(_ *call, m *mask) (*mask, error) {
			return mapMask(m, func(v byte) byte { return 255 - v }), nil
		}),
		eachMask("ThresholdMask", func(c *call, m *mask) (*mask, error) {
			limit := 255 * c.float("value")
			return mapMask(m, func(v byte) byte {
				if float64(v) > limit {
					return 255
				}
				return 0
			}), nil
		}),
		eachMask("CropMask", func(c *call, m *mask) (*mask, error) {
			x, y := min(c.number("x"), m.Rect.Dx()-1), min(c.number("y"), m.Rect.Dy()-1)
			w, h := min(c.number("width"), m.Rect.Dx()-x), min(c.number("height"), m.Rect.Dy()-y)
			out := newMask(w, h)
			for row := range h {
				copy(out.Pix[row*out.Stride:][:w], m.Pix[m.PixOffset(x, y+row):])
			}
			return out, nil
		}),
		eachMask("FeatherMask", featherMask),
		eachMask("GrowMask", func(c *call, m *mask) (*mask, error) {
			by := c.number("expand")
			if by < 0 {
				inverse := mapMask(m, func(v byte) byte { return 255 - v })
				grown, err := c.growMask(inverse, -by, c.truth("tapered_corners"))
				if err != nil {
					return nil, err
				}
				return mapMask(grown, func(v byte) byte { return 255 - v }), nil
			}
			return c.growMask(m, by, c.truth("tapered_corners"))
		}),
		row("MaskComposite", maskComposite),
		row("MaskToImage", func(c *call) ([]any, error) {
			var out []*raster
			for _, m := range take[[]*mask](c, "mask") {
				if err := c.reserve(m.Rect.Dx(), m.Rect.Dy(), 1); err != nil {
					return nil, err
				}
				out = append(out, grey(m))
			}
			return []any{out}, c.err
		}),
		row("ImageToMask", func(c *call) ([]any, error) {
			channel := channelOf(c.text("channel"))
			return c.masksOf(func(px []byte) byte { return px[channel] })
		}),
		row("ImageColorToMask", func(c *call) ([]any, error) {
			want := c.number("color")
			return c.masksOf(func(px []byte) byte {
				if int(px[0])<<16|int(px[1])<<8|int(px[2]) == want {
					return 255
				}
				return 0
			})
		}),
	}
}

func channelOf(name string) int {
	return map[string]int{"red": 0, "green": 1, "blue": 2, "alpha": 3}[name]
}

// masksOf makes a mask of every picture of the input "image".
func (c *call) masksOf(f func(px []byte) byte) ([]any, error) {
	var out []*mask
	for _, p := range take[[]*raster](c, "image") {
		m := newMask(p.Rect.Dx(), p.Rect.Dy())
		for i := range m.Pix {
			m.Pix[i] = f(p.Pix[i*4 : i*4+4])
		}
		out = append(out, m)
	}
	return []any{out}, c.err
}

// growMask widens the white by that many pixels, as a square or, tapered, as a
// diamond.
func (c *call) growMask(m *mask, by int, tapered bool) (*mask, error) {
	by = min(by, m.Rect.Dx()+m.Rect.Dy())
	if !tapered {
		return spreadBox(m, by), nil
	}
	for range by {
		if err := c.alive(); err != nil {
			return nil, err
		}
		m = spread(m)
	}
	return m, nil
}

// spread takes for every pixel the lightest of itself and its four neighbours.
func spread(m *mask) *mask {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := newMask(w, h)
	for y := range h {
		for x := range w {
			v := m.Pix[y*m.Stride+x]
			if x > 0 {
				v = max(v, m.Pix[y*m.Stride+x-1])
			}
			if x < w-1 {
				v = max(v, m.Pix[y*m.Stride+x+1])
			}
			if y > 0 {
				v = max(v, m.Pix[(y-1)*m.Stride+x])
			}
			if y < h-1 {
				v = max(v, m.Pix[(y+1)*m.Stride+x])
			}
			out.Pix[y*out.Stride+x] = v
		}
	}
	return out
}

// spreadBox takes the lightest of a square, first along rows, then along columns.
func spreadBox(m *mask, by int) *mask {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	rows, out := newMask(w, h), newMask(w, h)
	for y := range h {
		for x := range w {
			v := byte(0)
			for i := max(0, x-by); i <= min(w-1, x+by); i++ {
				v = max(v, m.Pix[y*m.Stride+i])
			}
			rows.Pix[y*rows.Stride+x] = v
		}
	}
	for y := range h {
		for x := range w {
			v := byte(0)
			for i := max(0, y-by); i <= min(h-1, y+by); i++ {
				v = max(v, rows.Pix[i*rows.Stride+x])
			}
			out.Pix[y*out.Stride+x] = v
		}
	}
	return out
}

// featherMask fades the mask towards the sides that are asked for.
func featherMask(c *call, m *mask) (*mask, error) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	left, right := min(w, c.number("left")), min(w, c.number("right"))
	top, bottom := min(h, c.number("top")), min(h, c.number("bottom"))
	fade := func(at, over int) float32 {
		if at >= over {
			return 1
		}
		return float32(at+1) / float32(over)
	}
	out := newMask(w, h)
	for y := range h {
		for x := range w {
			share := fade(x, left) * fade(w-1-x, right) * fade(y, top) * fade(h-1-y, bottom)
			out.Pix[y*out.Stride+x] = clamp8(share * float32(m.Pix[y*m.Stride+x]))
		}
	}
	return out, nil
}

// maskOperation is how two masks are joined.
func maskOperation(name string) func(a, b byte) byte {
	high := func(on bool) byte {
		if on {
			return 255
		}
		return 0
	}
	switch name {
	case "multiply":
		return func(a, b byte) byte { return clamp8(float32(a) * float32(b) / 255) }
	case "add":
		return func(a, b byte) byte { return clamp8(float32(a) + float32(b)) }
	case "subtract":
		return func(a, b byte) byte { return clamp8(float32(a) - float32(b)) }
	case "and":
		return func(a, b byte) byte { return high(a > 127 && b > 127) }
	case "or":
		return func(a, b byte) byte { return high(a > 127 || b > 127) }
	default:
		return func(a, b byte) byte { return high((a > 127) != (b > 127)) }
	}
}

func maskComposite(c *call) ([]any, error) {
	under, over := take[[]*mask](c, "destination"), take[[]*mask](c, "source")
	x, y, join := c.number("x"), c.number("y"), maskOperation(c.text("operation"))
	if c.err != nil || len(over) == 0 {
		return []any{under}, c.err
	}
	var out []*mask
	for i, d := range under {
		s := over[min(i, len(over)-1)]
		m := mapMask(d, func(v byte) byte { return v })
		for sy := range min(s.Rect.Dy(), m.Rect.Dy()-y) {
			for sx := range min(s.Rect.Dx(), m.Rect.Dx()-x) {
				o := (y+sy)*m.Stride + x + sx
				m.Pix[o] = join(m.Pix[o], s.Pix[sy*s.Stride+sx])
			}
		}
		out = append(out, m)
	}
	return []any{out}, nil
}
