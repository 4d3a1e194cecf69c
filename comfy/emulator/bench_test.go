package emulator_test

import (
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// BenchmarkTxt2img1024 is a whole job of 1024×1024 in 20 steps, from POST to the
// file, with somebody who takes the previews. It is to take less than a second
// on one core (-cpu 1).
func BenchmarkTxt2img1024(b *testing.B) {
	for _, prompt := range []string{"mountains by day", "a red fox", "forest in fog", "abstract waves", "city at night"} {
		b.Run(prompt, func(b *testing.B) {
			s := start(b, emulator.Options{})
			ws := s.dialWS("bench", true)
			seed := uint64(0)
			for b.Loop() {
				seed++
				s.submit(txt2img(prompt, seed, 1024, 20), testID(int(seed)), "bench")
				ws.until("execution_success")
			}
		})
	}
}
