package images

import (
	"encoding/binary"
	"encoding/json"
	"slices"
)

// maxGLBScene bounds the description of a model, in bytes; its meshes are elsewhere.
const maxGLBScene = 4 << 20

// stripGLB is a [Strip] for binary glTF 2: a description and at most one block of data. Extras of the asset and of the whole go: that is
// where prompts are. Nothing after the data is passed on.
func stripGLB(f *filter) (Info, error) {
	var head [20]byte
	if err := f.fill(head[:]); err != nil {
		return Info{}, err
	}
	field := func(i int) int64 { return int64(binary.LittleEndian.Uint32(head[i:])) }
	size := field(12)
	if string(head[:4]) != "glTF" || field(4) != 2 || string(head[16:]) != "JSON" || 20+size > field(8) {
		return Info{}, f.fault("it does not begin like one")
	}
	if size > maxGLBScene {
		return Info{}, &BoundsError{What: "metadata bytes", Got: size, Max: maxGLBScene}
	}
	scene := make([]byte, size)
	if err := f.fill(scene); err != nil {
		return Info{}, err
	}
	scene, err := cleanScene(f, scene)
	if err != nil {
		return Info{}, err
	}
	var data [8]byte
	var n int64
	if left := field(8) - 20 - size; left > 0 {
		if err := f.fill(data[:]); err != nil {
			return Info{}, err
		}
		if n = int64(binary.LittleEndian.Uint32(data[:])); n != left-8 || string(data[4:]) != "BIN\x00" {
			return Info{}, f.fault("its data does not fit it")
		}
		n += 8
	}
	binary.LittleEndian.PutUint32(head[8:], uint32(20+int64(len(scene))+n))
	binary.LittleEndian.PutUint32(head[12:], uint32(len(scene)))
	f.write(head[:])
	f.write(scene)
	if n > 0 {
		f.write(data[:])
		if err := f.pass(n - 8); err != nil {
			return Info{}, err
		}
	}
	return f.finish()
}

// cleanScene returns a model's description without its extras, padded as the format wants it.
func cleanScene(f *filter, scene []byte) ([]byte, error) {
	var whole, asset map[string]json.RawMessage
	if json.Unmarshal(scene, &whole) != nil || json.Unmarshal(whole["asset"], &asset) != nil {
		return nil, f.fault("its description cannot be read")
	}
	if f.Keep {
		return scene, nil
	}
	delete(whole, "extras")
	delete(asset, "extras")
	var err error
	if whole["asset"], err = json.Marshal(asset); err != nil {
		return nil, f.fault("its description cannot be read")
	}
	if scene, err = json.Marshal(whole); err != nil {
		return nil, f.fault("its description cannot be read")
	}
	return slices.Concat(scene, []byte("   ")[:(4-len(scene)%4)%4]), nil
}
