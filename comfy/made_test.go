package comfy_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/comfygate/comfygate/comfy"
)

// CLIENT-FAIL-3: what the socket names as made is told as a hint, bounded, and without names that cannot be asked for; it ends nothing.
func TestRun_Made(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "/comfy/ui")
		r := submit(t, f.client())
		j := f.job(0)
		f.begin(j)
		executed := func(node string, output any) {
			f.tell(j.client, "executed", map[string]any{"prompt_id": j.id, "node": node, "output": output})
			synctest.Wait()
		}
		executed("5", "of no shape that is known")
		executed("9", map[string]any{"images": []any{
			map[string]any{"filename": "a.png", "subfolder": "x", "type": "output"},
			map[string]any{"filename": "../b.png", "type": "output"},
		}})
		want := []comfy.Output{{Node: "9", Kind: "images", Filename: "a.png", Subfolder: "x", Type: "output"}}
		if got := r.Made(); !slices.Equal(got, want) {
			t.Errorf("made %+v, want %+v", got, want)
		}
		select {
		case <-r.Done():
			t.Error("the run ended by a hint")
		default:
		}
		f.end(j, "execution_success", picture("a.png"))
		if res := result(t, r); res.State != comfy.Succeeded {
			t.Errorf("%s", res.State)
		}
	})
}
