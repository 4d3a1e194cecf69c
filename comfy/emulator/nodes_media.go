package emulator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/HugoSmits86/nativewebp"
)

// mediaNodes make and save what moves or sounds.
func mediaNodes() []nodeRow {
	return []nodeRow{
		row("SaveAnimatedWEBP", func(c *call) ([]any, error) { return c.saveAnimation("webp", encodeAnimatedWebP) }),
		row("SaveAnimatedPNG", func(c *call) ([]any, error) { return c.saveAnimation("png", encodeAnimatedPNG) }),
		row("EmptyAudio", func(c *call) ([]any, error) {
			s, err := silence(c.float("duration"), c.number("sample_rate"), c.number("channels"))
			return []any{s}, err
		}),
		row("SaveAudio", func(c *call) ([]any, error) { return c.saveSound(c.text("filename_prefix"), "output", outputDir) }),
		row("PreviewAudio", func(c *call) ([]any, error) {
			return c.saveSound("ComfyUI_temp_"+c.run.letters(c.id), "temp", tempDir)
		}),
		row("SaveText", saveText),
	}
}

// sound is an AUDIO. The emulator's only source gives silence.
type sound struct {
	rate, channels int
	samples        int64 // of each channel
}

// maxSamples bounds a sound, all channels together.
const maxSamples = 256 << 20

// silence makes a sound without any. Too long a one is what a machine without that memory says.
func silence(seconds float64, rate, channels int) (*sound, error) {
	samples := math.RoundToEven(seconds * float64(rate))
	if samples*float64(channels) > maxSamples {
		return nil, &pyError{"RuntimeError", "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: " +
			fmt.Sprintf("you tried to allocate %.0f bytes. Error code 12 (Cannot allocate memory)", samples*float64(channels)*4)}
	}
	return &sound{rate, channels, int64(samples)}, nil
}

// show makes a file of a node's and returns what the node shows of it.
func (c *call) show(sub, file, kind, dir string, data []byte) *object {
	c.server.disk.write(joinPath(joinPath(dir, sub), file), data)
	return obj(pair{"filename", file}, pair{"subfolder", sub}, pair{"type", kind})
}

// saveSound writes the input "audio" as FLAC, the graph in its tags.
func (c *call) saveSound(prefix, kind, dir string) ([]any, error) {
	s := take[*sound](c, "audio")
	if c.err != nil {
		return nil, c.err
	}
	sub, name, number, err := c.saveName(prefix, dir, 0, 0)
	if err != nil {
		return nil, err
	}
	tags, err := c.metadata()
	if err != nil {
		return nil, err
	}
	file := fmt.Sprintf("%s_%05d.flac", strings.ReplaceAll(name, "%batch_num%", "0"), number)
	c.ui = obj(pair{"audio", []any{c.show(sub, file, kind, dir, encodeFLAC(s, tags))}})
	return []any{s}, nil
}

// saveText writes the input "text" into a file, and shows both.
func saveText(c *call) ([]any, error) {
	text := c.text("text")
	sub, name, number, err := c.saveName(c.text("filename_prefix"), outputDir, 0, 0)
	if err != nil {
		return nil, err
	}
	file := fmt.Sprintf("%s_%05d.%s", strings.ReplaceAll(name, "%batch_num%", "0"), number, c.text("format"))
	c.ui = obj(pair{"text", []any{text}}, pair{"files", []any{c.show(sub, file, "output", outputDir, []byte(text))}})
	return []any{text}, nil
}

// saveAnimation writes the input "images" as the frames of one file.
func (c *call) saveAnimation(ext string, encode func(frames []*raster, fps float64, tags []textChunk) ([]byte, error)) ([]any, error) {
	pictures := take[[]*raster](c, "images")
	fps := c.float("fps")
	if c.err != nil {
		return nil, c.err
	}
	if len(pictures) == 0 {
		return nil, &pyError{"IndexError", "index 0 is out of bounds for dimension 0 with size 0"}
	}
	sub, name, number, err := c.saveName(c.text("filename_prefix"), outputDir, pictures[0].Rect.Dx(), pictures[0].Rect.Dy())
	if err != nil {
		return nil, err
	}
	tags, err := c.metadata()
	if err != nil {
		return nil, err
	}
	if err := c.alive(); err != nil {
		return nil, err
	}
	data, err := encode(pictures, fps, tags)
	if err != nil {
		return nil, err
	}
	file := fmt.Sprintf("%s_%05d_.%s", name, number, ext)
	c.ui = obj(pair{"images", []any{c.show(sub, file, "output", outputDir, data)}}, pair{"animated", []any{len(pictures) != 1}})
	return []any{pictures}, nil
}

// encodeAnimatedWebP packs frames into one file, the graph in its EXIF as ComfyUI has it there.
func encodeAnimatedWebP(frames []*raster, fps float64, tags []textChunk) ([]byte, error) {
	w, h := frames[0].Rect.Dx(), frames[0].Rect.Dy()
	const animation, exif, alpha = 1 << 1, 1 << 3, 1 << 4
	var body bytes.Buffer
	head := []byte{animation | exif, 0, 0, 0}
	head = append(append(head, int24(w-1)...), int24(h-1)...)
	riffChunk(&body, "VP8X", head)
	riffChunk(&body, "ANIM", make([]byte, 6)) // a black ground, for ever
	for _, f := range frames {
		var still bytes.Buffer
		if err := nativewebp.Encode(&still, f, nil); err != nil {
			return nil, err
		}
		frame := append(make([]byte, 6), int24(w-1)...)
		frame = append(append(append(frame, int24(h-1)...), int24(int(1000/fps))...), 0)
		riffChunk(&body, "ANMF", append(frame, still.Bytes()[12:]...)) // without its own container
		if !f.Opaque() {
			body.Bytes()[8] |= alpha
		}
	}
	riffChunk(&body, "EXIF", exifTags(tags))
	out := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+body.Len()))
	return append(append(out, "WEBP"...), body.Bytes()...), nil
}

func int24(v int) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16)} }

func riffChunk(b *bytes.Buffer, name string, data []byte) {
	b.WriteString(name)
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(data))))
	b.Write(data)
	b.Write(make([]byte, len(data)&1))
}

// exifTags is EXIF with a text per tag, downwards from the camera's model: "prompt:{…}", "workflow:{…}".
func exifTags(tags []textChunk) []byte {
	const model, ascii, head = 0x0110, 2, 8
	b := append([]byte("II*\x00"), head, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(tags)))
	at := uint32(head + 2 + 12*len(tags) + 4)
	var texts []byte
	for i := range tags {
		n := len(tags) - 1 - i // tags stand in order
		text := tags[n].key + ":" + tags[n].text + "\x00"
		b = binary.LittleEndian.AppendUint16(b, uint16(model-n))
		b = binary.LittleEndian.AppendUint16(b, ascii)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = binary.LittleEndian.AppendUint32(b, at+uint32(len(texts)))
		texts = append(texts, text...)
	}
	return append(append(b, 0, 0, 0, 0), texts...)
}

// encodeAnimatedPNG packs frames into one file, the graph in private chunks after the first one's pixels.
func encodeAnimatedPNG(frames []*raster, fps float64, tags []textChunk) ([]byte, error) {
	var out []byte
	sequence := uint32(0)
	control := func() []byte {
		b := binary.BigEndian.AppendUint32(nil, sequence)
		sequence++
		b = binary.BigEndian.AppendUint32(b, uint32(frames[0].Rect.Dx()))
		b = binary.BigEndian.AppendUint32(b, uint32(frames[0].Rect.Dy()))
		b = binary.BigEndian.AppendUint32(b, 0)
		b = binary.BigEndian.AppendUint32(b, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(min(1000/fps, math.MaxUint16)))
		return append(binary.BigEndian.AppendUint16(b, 1000), 0, 0)
	}
	for i, f := range frames {
		plain, err := encodePNG(f, nil)
		if err != nil {
			return nil, err
		}
		cut := pngSignatureLen + pngHeaderLen
		if i == 0 {
			out = append(out, plain[:cut]...)
			out = pngChunk(out, "acTL", binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(len(frames))), 0))
		}
		out = pngChunk(out, "fcTL", control())
		for b := plain[cut:]; string(b[4:8]) != "IEND"; {
			size := 12 + binary.BigEndian.Uint32(b)
			if i == 0 {
				out = append(out, b[:size]...)
			} else {
				out = pngChunk(out, "fdAT", append(binary.BigEndian.AppendUint32(nil, sequence), b[8:size-4]...))
				sequence++
			}
			b = b[size:]
		}
		for _, t := range tags {
			if i == 0 {
				out = pngChunk(out, "comf", []byte(t.key+"\x00"+t.text))
			}
		}
	}
	return pngChunk(out, "IEND", nil), nil
}
