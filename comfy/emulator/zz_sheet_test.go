package emulator_test

import (
	"image"
	"image/draw"
	"image/png"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

func TestSheet(t *testing.T) {
	spec := os.Getenv("SHEET")
	if spec == "" {
		t.Skip()
	}
	lines := strings.Split(spec, "|")
	side := 400
	if v, err := strconv.Atoi(os.Getenv("SIDE")); err == nil {
		side = v
	}
	cols := 4
	if v, err := strconv.Atoi(os.Getenv("COLS")); err == nil {
		cols = v
	}
	rows := (len(lines) + cols - 1) / cols
	sheet := image.NewNRGBA(image.Rect(0, 0, cols*side, rows*side))
	for i, l := range lines {
		p, seedText, _ := strings.Cut(l, "#")
		seed, _ := strconv.ParseUint(seedText, 10, 64)
		begin := time.Now()
		m, err := emulator.Draw(p, "", seed, side, side)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(p, time.Since(begin))
		draw.Draw(sheet, image.Rect(i%cols*side, i/cols*side, i%cols*side+side, i/cols*side+side), m, image.Point{}, draw.Src)
	}
	f, _ := os.Create("/tmp/sheet.png")
	png.Encode(f, sheet)
	f.Close()
}
