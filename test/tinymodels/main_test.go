package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An entry is what a safetensors header says of a tensor.
type entry struct {
	Dtype   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// parse reads a safetensors file and checks that its tensors fill it without a gap.
func parse(t *testing.T, b []byte) (head map[string]entry, data []byte) {
	t.Helper()
	n := binary.LittleEndian.Uint64(b)
	if n%8 != 0 || n > uint64(len(b))-8 {
		t.Fatalf("header of %d bytes in a file of %d", n, len(b))
	}
	d := json.NewDecoder(bytes.NewReader(b[8 : 8+n]))
	d.DisallowUnknownFields()
	if err := d.Decode(&head); err != nil {
		t.Fatal(err)
	}
	data = b[8+n:]
	starts := map[int64]int64{}
	for key, e := range head {
		size := int64(4)
		for _, s := range e.Shape {
			size *= int64(s)
		}
		if e.Dtype != "F32" || e.Shape == nil || e.Offsets[1]-e.Offsets[0] != size {
			t.Errorf("%s: %+v", key, e)
		}
		starts[e.Offsets[0]] = e.Offsets[1]
	}
	var at int64
	for range head {
		at = starts[at]
	}
	if at != int64(len(data)) || len(starts) != len(head) {
		t.Errorf("the tensors cover %d of %d bytes", at, len(data))
	}
	return head, data
}

// shapes are those that a real ComfyUI recognises; TAESD's blocks are added by the test.
const transformerShapes = `
x_embedder.proj.weight [64,16,2,2]
x_embedder.proj.bias [64]
t_embedder.mlp.0.weight [64,256]
t_embedder.mlp.0.bias [64]
t_embedder.mlp.2.weight [64,64]
t_embedder.mlp.2.bias [64]
context_embedder.weight [64,4096]
context_embedder.bias [64]
pos_embed [1,4096,64]
joint_blocks.0.context_block.attn.qkv.weight [192,64]
joint_blocks.0.context_block.attn.qkv.bias [192]
joint_blocks.0.context_block.adaLN_modulation.1.weight [128,64]
joint_blocks.0.context_block.adaLN_modulation.1.bias [128]
joint_blocks.0.x_block.attn.qkv.weight [192,64]
joint_blocks.0.x_block.attn.qkv.bias [192]
joint_blocks.0.x_block.attn.proj.weight [64,64]
joint_blocks.0.x_block.attn.proj.bias [64]
joint_blocks.0.x_block.mlp.fc1.weight [256,64]
joint_blocks.0.x_block.mlp.fc1.bias [256]
joint_blocks.0.x_block.mlp.fc2.weight [64,256]
joint_blocks.0.x_block.mlp.fc2.bias [64]
joint_blocks.0.x_block.adaLN_modulation.1.weight [384,64]
joint_blocks.0.x_block.adaLN_modulation.1.bias [384]
final_layer.linear.weight [64,64]
final_layer.linear.bias [64]
final_layer.adaLN_modulation.1.weight [128,64]
final_layer.adaLN_modulation.1.bias [128]
`

const upscalerShapes = `
body.0.weight [8,3,3,3]
body.0.bias [8]
body.1.weight [8]
body.2.weight [8,8,3,3]
body.2.bias [8]
body.3.weight [8]
body.4.weight [12,8,3,3]
body.4.bias [12]
`

func readShapes(t *testing.T, prefix, text string, into map[string][]int) {
	t.Helper()
	for line := range strings.Lines(strings.TrimSpace(text)) {
		key, shape, _ := strings.Cut(strings.TrimSpace(line), " ")
		var s []int
		if err := json.Unmarshal([]byte(shape), &s); err != nil {
			t.Fatal(err)
		}
		into[prefix+key] = s
	}
}

func shapesOf(head map[string]entry) map[string][]int {
	got := map[string][]int{}
	for key, e := range head {
		got[key] = e.Shape
	}
	return got
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	want := map[string][]int{"first_stage_model.vae_scale": {}, "first_stage_model.vae_shift": {}, "text_encoders.dummy": {1}}
	readShapes(t, "model.diffusion_model.", transformerShapes, want)
	readShapes(t, "first_stage_model.taesd_", `decoder.1.weight [64,16,3,3]
		decoder.1.bias [64]
		decoder.7.weight [64,64,3,3]
		decoder.12.weight [64,64,3,3]
		decoder.17.weight [64,64,3,3]
		decoder.19.weight [3,64,3,3]
		decoder.19.bias [3]
		encoder.0.weight [64,3,3,3]
		encoder.0.bias [64]
		encoder.2.weight [64,64,3,3]
		encoder.6.weight [64,64,3,3]
		encoder.10.weight [64,64,3,3]
		encoder.14.weight [16,64,3,3]
		encoder.14.bias [16]`, want)
	block := func(name string) {
		readShapes(t, "first_stage_model.taesd_"+name, `.conv.0.weight [64,64,3,3]
			.conv.0.bias [64]
			.conv.2.weight [64,64,3,3]
			.conv.2.bias [64]
			.conv.4.weight [64,64,3,3]
			.conv.4.bias [64]`, want)
	}
	for n := range strings.FieldsSeq("decoder.3 decoder.4 decoder.5 decoder.8 decoder.9 decoder.10 decoder.13 decoder.14 decoder.15 decoder.18 " +
		"encoder.1 encoder.3 encoder.4 encoder.5 encoder.7 encoder.8 encoder.9 encoder.11 encoder.12 encoder.13") {
		block(n)
	}
	head, data := parse(t, encode(checkpoint(), 1))
	if d := cmp.Diff(want, shapesOf(head)); d != "" {
		t.Error(d)
	}
	// Values: the transformer's weights deviate by 0.02 about 0, biases are 0.
	at := func(key string) (mean, std float64) {
		e := head[key]
		n := 0.0
		for i := e.Offsets[0]; i < e.Offsets[1]; i += 4 {
			v := float64(math.Float32frombits(binary.LittleEndian.Uint32(data[i:])))
			mean, std, n = mean+v, std+v*v, n+1
		}
		mean /= n
		return mean, math.Sqrt(std/n - mean*mean)
	}
	if mean, std := at("model.diffusion_model.pos_embed"); math.Abs(mean) > 0.0005 || math.Abs(std-0.02) > 0.0005 {
		t.Errorf("pos_embed: mean %f, deviation %f", mean, std)
	}
	if mean, std := at("model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.bias"); mean != 0 || std != 0 {
		t.Errorf("a bias: mean %f, deviation %f", mean, std)
	}
}

func TestUpscaler(t *testing.T) {
	t.Parallel()
	want := map[string][]int{}
	readShapes(t, "", upscalerShapes, want)
	head, _ := parse(t, encode(upscaler(), 2))
	if d := cmp.Diff(want, shapesOf(head)); d != "" {
		t.Error(d)
	}
}

// The bytes are those that were proved on real servers; pictures of a seed depend on them.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"checkpoint": {encode(checkpoint(), 1), "da01efbc7b2c4bef1840951fc69494d47019aee3fc5993944c05f5a5966adbf6"},
		"upscaler":   {encode(upscaler(), 2), "49831e546562d1006a522ad1ac56072c9e2f88377527af2f554e3742a798e69f"},
	} {
		sum := sha256.Sum256(c.b)
		if got := hex.EncodeToString(sum[:]); got != c.want {
			t.Errorf("%s: %d bytes with hash %s, want %s", name, len(c.b), got, c.want)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := filepath.Join(dir, "models", "vae", "ae.safetensors")
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, []byte("a real one"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	for range 2 { // again over its own files
		if code := run(t.Context(), []string{"-out", dir}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
			t.Fatalf("code %d: %s", code, &stderr)
		}
	}
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(filepath.Join(dir, "models"), name)
		sizes[filepath.ToSlash(rel)] = fi.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{
		"checkpoints/tiny-sd3.safetensors": 12482904, "upscale_models/tiny-x2.safetensors": 7384, "checkpoints/empty.safetensors": 0,
		"diffusion_models/z_image_turbo_bf16.safetensors": 0, "vae/ae.safetensors": 10,
	} {
		if got, ok := sizes[name]; !ok || got != want {
			t.Errorf("%s has %d bytes (is there: %t), want %d", name, got, ok, want)
		}
	}
	if len(sizes) != 2+placeholderCount() {
		t.Errorf("%d files", len(sizes))
	}
}

func TestRun_refuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"nothing": {nil, 2}, "unknown flag": {[]string{"-x"}, 2}, "more": {[]string{"-out", "a", "b"}, 2}, "a file": {[]string{"-out", file}, 1},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), c.args, &stdout, &stderr); code != c.code || stderr.Len() == 0 {
			t.Errorf("%s: code %d, %q", name, code, &stderr)
		}
	}
}

// Every recipe can be tried: of each list of usual names at least one is there.
func TestPlaceholders_everyRecipe(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, p := range placeholders() {
		for _, n := range p.names {
			have[n+".safetensors"] = true
		}
	}
	if len(have) != placeholderCount() {
		t.Error("a name is there twice")
	}
	recipes, err := filepath.Glob("../../comfy/workflow/recipes/*.yaml")
	if err != nil || len(recipes) == 0 {
		t.Fatal(recipes, err)
	}
	usual := regexp.MustCompile(`(?m)^\s*(?:- )?usual: \[(.*)\]`)
	for _, r := range recipes {
		b, err := os.ReadFile(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range usual.FindAllStringSubmatch(string(b), -1) {
			found := false
			for name := range strings.SplitSeq(m[1], ",") {
				found = found || have[strings.TrimSpace(name)]
			}
			if !found {
				t.Errorf("%s: none of %s is a placeholder", filepath.Base(r), m[1])
			}
		}
	}
}

// Keys are written into JSON without escapes.
func TestKeys(t *testing.T) {
	t.Parallel()
	plain := regexp.MustCompile(`^[A-Za-z0-9_.]+$`)
	keys := map[string]bool{}
	for _, x := range append(checkpoint(), upscaler()...) {
		if !plain.MatchString(x.key) || keys[x.key] {
			t.Errorf("key %q is not plain, or there twice", x.key)
		}
		keys[x.key] = true
	}
	if len(keys) != 164+8 {
		t.Errorf("%d keys", len(keys))
	}
}
