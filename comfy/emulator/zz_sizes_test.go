package emulator_test

import (
	"image"
	"image/draw"
	"image/png"
	"os"
	"strconv"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"

	"github.com/comfygate/comfygate/comfy/emulator"
)

func TestSizes(t *testing.T) {
	spec := os.Getenv("SIZES")
	if spec == "" {
		t.Skip()
	}
	sheet := image.NewNRGBA(image.Rect(0, 0, 1600, 1000))
	x, y, rowH := 0, 0, 0
	for _, l := range strings.Split(spec, "|") {
		parts := strings.Split(l, "#")
		seed, _ := strconv.ParseUint(parts[1], 10, 64)
		w, _ := strconv.Atoi(parts[2])
		h, _ := strconv.Atoi(parts[3])
		m, err := emulator.Draw(parts[0], "", seed, w, h)
		if err != nil {
			t.Fatal(err)
		}
		dw, dh := w*320/1024, h*320/1024
		if x+dw > 1600 {
			x, y, rowH = 0, y+rowH, 0
		}
		xdraw.ApproxBiLinear.Scale(sheet, image.Rect(x, y, x+dw, y+dh), m, m.Rect, draw.Src, nil)
		x += dw
		rowH = max(rowH, dh)
	}
	f, _ := os.Create("/tmp/sheet.png")
	png.Encode(f, sheet)
	f.Close()
}
