package images

import (
	"encoding/binary"
	"image"
	"image/draw"
)

// orientation returns the orientation tag (1…8) of an EXIF block that begins with its TIFF header, or 0.
// A photograph that a caller uploads would lie on its side without it.
func orientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(tiff[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		const size, tag, short = 12, 0x0112, 3
		if len(entries) < size {
			return 0
		}
		if order.Uint16(entries) == tag {
			v := int(order.Uint16(entries[8:]))
			if order.Uint16(entries[2:]) != short || v > 8 {
				return 0
			}
			return v
		}
		entries = entries[size:]
	}
	return 0
}

// upright returns m turned and mirrored as EXIF's orientation o says, 8 bits a channel. An o of 0 or 1 changes nothing.
func upright(m image.Image, o int) image.Image {
	if o < 2 || o > 8 {
		return m
	}
	src := eightBit(m)
	b := src.Bounds()
	w, h := b.Dx(), b.Dy()
	dst := image.NewNRGBA(image.Rect(0, 0, w, h))
	if o >= 5 {
		dst = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			p := turned(o, x, y, w, h)
			copy(dst.Pix[dst.PixOffset(p.X, p.Y):][:4], src.Pix[src.PixOffset(b.Min.X+x, b.Min.Y+y):][:4])
		}
	}
	return dst
}

// turned returns where the pixel x, y of a w×h picture goes for an orientation of 2…8.
func turned(o, x, y, w, h int) image.Point {
	switch o {
	case 2:
		return image.Pt(w-1-x, y)
	case 3:
		return image.Pt(w-1-x, h-1-y)
	case 4:
		return image.Pt(x, h-1-y)
	case 5:
		return image.Pt(y, x)
	case 6:
		return image.Pt(h-1-y, x)
	case 7:
		return image.Pt(h-1-y, w-1-x)
	}
	return image.Pt(y, w-1-x) // 8
}

// eightBit returns m with straight alpha and 8 bits a channel; m itself if it is so already.
func eightBit(m image.Image) *image.NRGBA {
	if n, ok := m.(*image.NRGBA); ok {
		return n
	}
	b := m.Bounds()
	if opaque(m) { // premultiplied and straight are then the same, and image/draw is quick with the former
		p := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
		draw.Draw(p, p.Rect, m, b.Min, draw.Src)
		return &image.NRGBA{Pix: p.Pix, Stride: p.Stride, Rect: p.Rect}
	}
	n := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			n.Set(x, y, m.At(b.Min.X+x, b.Min.Y+y)) // image/draw would premultiply and lose bits
		}
	}
	return n
}
