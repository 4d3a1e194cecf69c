package workflow

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	minSide = 64   // pixels (SC-27)
	maxSide = 2048 // where the caller of this package sets no lower bound

	presetArea = 1024 * 1024 // of recipes for which a preset's width and height hold

	maxAspect = 4    // to one, either way
	nearList  = 0.05 // how far, as a part of it, an aspect ratio may be from a listed size that takes its place
)

// A frame is a width and height in pixels.
type frame struct{ w, h int }

func (f frame) area() float64   { return float64(f.w) * float64(f.h) }
func (f frame) aspect() float64 { return float64(f.w) / float64(f.h) }

// A sizing settles the size of a picture.
type sizing struct {
	*size
	base   frame // the recipe's own size for the chosen file
	most   frame // largest sides
	faults *faults
}

func newSizing(r *recipe, bytes int64, maxW, maxH int, f *faults) *sizing {
	s := &sizing{size: &r.Size, base: frame{r.Size.Width, r.Size.Height}, most: frame{maxSide, maxSide}, faults: f}
	if bytes > 0 && bytes < r.Size.Small.Below {
		s.base = frame{r.Size.Small.Width, r.Size.Small.Height}
	}
	if maxW > 0 {
		s.most.w = maxW
	}
	if maxH > 0 {
		s.most.h = maxH
	}
	return s
}

// settle returns the size for what was asked. An explicit side wins over a preset; one side alone keeps the aspect ratio of what else was said.
func (s *sizing) settle(width, height *int, aspect string, p *Preset) frame {
	ratio, area, exact := s.wish(aspect, p)
	switch {
	case width != nil && height != nil:
		if aspect != "" {
			s.faults.add("aspect_ratio", "width and height already say it", "width or height with aspect_ratio, not both")
		}
		s.checkSide("width", *width, s.most.w)
		s.checkSide("height", *height, s.most.h)
		return frame{*width, *height}
	case width != nil:
		s.checkSide("width", *width, s.most.w)
		return frame{*width, s.other("width", "height", float64(*width)/ratio, s.most.h, ratio)}
	case height != nil:
		s.checkSide("height", *height, s.most.h)
		return frame{s.other("height", "width", float64(*height)*ratio, s.most.w, 1/ratio), *height}
	case exact.w > 0:
		return s.within(exact)
	}
	return s.within(s.near(ratio, area))
}

// wish returns aspect ratio and area to aim at, and the size itself where one is prescribed.
func (s *sizing) wish(aspect string, p *Preset) (ratio, area float64, exact frame) {
	ratio, area, exact = s.base.aspect(), s.base.area(), s.base
	if p != nil {
		f := frame{p.Width, p.Height}
		ratio, exact = f.aspect(), frame{}
		if s.base.area() == presetArea {
			area, exact = f.area(), f
		}
	}
	if aspect != "" {
		asked, ok := parseAspect(aspect)
		if !ok {
			s.faults.add("aspect_ratio", strconv.Quote(clip(aspect))+" is no ratio between 1:"+strconv.Itoa(maxAspect)+" and "+strconv.Itoa(maxAspect)+":1", "a ratio such as 16:9")
			return ratio, area, exact
		}
		return asked, area, frame{}
	}
	return ratio, area, exact
}

// parseAspect reads "16:9".
func parseAspect(s string) (float64, bool) {
	left, right, ok := strings.Cut(s, ":")
	w, errW := strconv.ParseFloat(strings.TrimSpace(left), 64)
	h, errH := strconv.ParseFloat(strings.TrimSpace(right), 64)
	if !ok || errW != nil || errH != nil || !(w > 0) || !(h > 0) {
		return 0, false
	}
	r := w / h
	return r, r >= 1.0/maxAspect && r <= maxAspect
}

// near returns a listed size of about this ratio, where the area is the recipe's own, else one on the grid.
func (s *sizing) near(ratio, area float64) frame {
	if area == s.base.area() {
		best, least := frame{}, nearList
		for _, side := range s.List {
			f := frame{side[0], side[1]}
			if off := math.Abs(math.Log(f.aspect() / ratio)); off < least {
				best, least = f, off
			}
		}
		if best.w > 0 {
			return best
		}
	}
	return frame{s.snap(math.Sqrt(area * ratio)), s.snap(math.Sqrt(area / ratio))}
}

// within shrinks f, its aspect kept, until it is within the largest sides.
func (s *sizing) within(f frame) frame {
	by := min(1, float64(s.most.w)/float64(f.w), float64(s.most.h)/float64(f.h))
	if by == 1 {
		return f
	}
	return frame{min(s.snap(float64(f.w)*by), s.floor(float64(s.most.w))), min(s.snap(float64(f.h)*by), s.floor(float64(s.most.h)))}
}

// snap returns the multiple of the grid nearest to side.
func (s *sizing) snap(side float64) int {
	return max(minSide, int(math.Round(side/float64(s.Grid)))*s.Grid)
}

func (s *sizing) floor(side float64) int { return max(minSide, int(side)/s.Grid*s.Grid) }

func (s *sizing) checkSide(field string, side, most int) {
	if side < minSide || side > most || side%s.Grid != 0 {
		s.faults.add(field, fmt.Sprintf("%d is not a multiple of %d from %d to %d", side, s.Grid, minSide, s.floor(float64(most))),
			strconv.Itoa(min(s.snap(float64(side)), s.floor(float64(most)))))
	}
}

// other returns the side that follows from the one of field, and faults field when it is out of bounds; by is field's share of the other.
func (s *sizing) other(field, other string, side float64, most int, by float64) int {
	least := float64(minSide)
	switch {
	case side > float64(most):
		s.faults.add(field, fmt.Sprintf("the %s would be %.0f; at most %d is possible", other, side, most), "at most "+strconv.Itoa(s.floor(float64(most)*by)))
	case side < least:
		s.faults.add(field, fmt.Sprintf("the %s would be %.0f; at least %d is possible", other, side, minSide), "at least "+strconv.Itoa(int(math.Ceil(least*by/float64(s.Grid)))*s.Grid))
	}
	return s.snap(side)
}
