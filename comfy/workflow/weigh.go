package workflow

import "github.com/comfygate/comfygate/comfy"

// A Size is how large the pictures are that a node gives; Count and Frames are 1 where they are 0.
type Size struct{ Width, Height, Count int }

// A Weight is what a graph takes to run, never too little: what cannot be told counts as the most it may be. Its numbers never run
// over; what is too large to be counted is the largest number (T32).
type Weight struct {
	Width, Height int   // of the largest picture, pixels; 0 where there is none
	Count         int   // pictures of the largest pass: batch × frames
	Frames        int   // of them that make one video; 0 where the graph makes none
	Steps         int   // sampling steps, all samplers together
	Pixels        int64 // width × height × count of the largest pass
	Work          int64 // pixels × steps, all samplers together; at least Pixels
	Known         bool  // nothing had to be guessed
}

// Weigh weighs g at a server that has info. sizes are those of the pictures that nodes such as LoadImage will load, by node id.
func Weigh(g comfy.Graph, info *comfy.ObjectInfo, sizes map[string]Size) Weight {
	return Weight{Known: len(g) == 0 && info == nil && sizes == nil}
}
