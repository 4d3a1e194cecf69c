package tools

import (
	"fmt"
	"math"

	"github.com/comfygate/comfygate/comfy/workflow"
)

// gigabyte is what video memory is told in.
const gigabyte = 1e9

// video estimates the gigabytes of video memory that a job needs (SC-55): for its model, for the pixels of a picture, and for how many are
// made at once. A model that is known to be smaller than the usual 4 GB counts as what it is; a larger one does not, for ComfyUI moves
// what does not fit out of the way.
func video(width, height, count int, model int64) float64 {
	weights := 4.0
	if model > 0 {
		weights = min(weights, float64(model)/gigabyte)
	}
	megapixels := float64(width) * float64(height) / 1e6
	return (weights + 1.5*megapixels) * (1 + 0.6*float64(max(count, 1)-1))
}

// fitsVideo holds an estimate against the first device of the server. What it could not hold, even at the part of the estimate that the
// operator's factor leaves, is refused before it is queued; what may be tight is told in a note. Nothing is known of a server that was not
// asked yet, and of one that computes on the processor.
func (e *Env) fitsVideo(width, height, count int, model int64) (note string, err error) {
	devices := e.Server.Health().Info.Devices
	if len(devices) == 0 || devices[0].Type == "cpu" || devices[0].VRAMTotal <= 0 {
		return "", nil
	}
	need, have := video(width, height, count, model), float64(devices[0].VRAMTotal)/gigabyte
	switch s := e.Settings; {
	case need*s.VRAMFactor > have:
		return "", &Fault{
			Code:        "INSUFFICIENT_VRAM",
			Message:     fmt.Sprintf("This is estimated to need %.0f GB of video memory; ComfyUI has %.0f GB.", math.Ceil(need*s.VRAMFactor), have),
			Suggestions: []string{"Ask for fewer pictures at once, or a smaller size, and upscale the one you like."},
		}
	case need > have-s.VRAMReserveGB:
		return fmt.Sprintf("Video memory may be tight (%.0f GB estimated, %.0f GB there): fewer pictures at once or a smaller size are safer.", math.Ceil(need), have), nil
	}
	return "", nil
}

// sizeOf is how large a model's file is; 0 where the server does not tell.
func sizeOf(inv workflow.Inventory, name string) int64 {
	for _, files := range inv.Files {
		for _, f := range files {
			if f.Name == name {
				return f.Size
			}
		}
	}
	return 0
}
