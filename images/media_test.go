package images_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"slices"
	"strings"
	"testing"

	"github.com/HugoSmits86/nativewebp"

	"github.com/comfygate/comfygate/images"
)

// secret is what samples hold where ComfyUI and the programs that it uses put the prompt; sound stands for what must stay.
const (
	secret = "SECRETPROMPT"
	sound  = "SOUNDANDVISION"
)

// A sample is a small file of each type with a secret in all its metadata. without is what is left of it, where that can be said in full.
type sample struct {
	name    string // as a server would call it
	ext     string // as it is stored
	mime    string
	kind    images.Kind
	data    []byte
	without []byte
}

func samples() []sample {
	return []sample{
		{"a.gif", "gif", "image/gif", images.Animation, gifSample(true), gifSample(false)},
		{"a.png", "apng", "image/apng", images.Animation, apngSample(true), nil},
		{"a.webp", "webp", "image/webp", images.Animation, webpSample(), nil},
		{"a.mp4", "mp4", "video/mp4", images.Video, mp4Sample("isom"), nil},
		{"a.mov", "mov", "video/quicktime", images.Video, mp4Sample("qt  "), nil},
		{"a.m4a", "m4a", "audio/mp4", images.Audio, mp4Sample("M4A "), nil},
		{"a.webm", "webm", "video/webm", images.Video, webmSample("webm"), nil},
		{"a.mkv", "mkv", "video/x-matroska", images.Video, webmSample("matroska"), nil},
		{"a.flac", "flac", "audio/flac", images.Audio, flacSample(true), flacSample(false)},
		{"a.mp3", "mp3", "audio/mpeg", images.Audio, mp3Sample(true), mp3Sample(false)},
		{"a.opus", "opus", "audio/ogg", images.Audio, opusSample(strings.Repeat(secret, 6000), "Lavf"), opusSample("", "")},
		{"a.wav", "wav", "audio/wav", images.Audio, wavSample(), nil},
		{"a.glb", "glb", "model/gltf-binary", images.Document, glbSample(`{"asset":{"extras":{"prompt":"` + secret + `"},"version":"2.0"},"extras":"` + secret + `","scene":0}`), glbSample(`{"asset":{"version":"2.0"},"scene":0}`)},
	}
}

func gifSample(full bool) []byte {
	frames := &gif.GIF{LoopCount: 3, Config: image.Config{Width: 8, Height: 6}}
	for i := range 3 {
		m := image.NewPaletted(image.Rect(i, i, 8, 6), color.Palette{color.Black, color.RGBA{R: 200, A: 255}})
		m.SetColorIndex(i+1, i+1, 1)
		frames.Image, frames.Delay = append(frames.Image, m), append(frames.Delay, 7)
	}
	var b bytes.Buffer
	_ = gif.EncodeAll(&b, frames)
	plain := b.Bytes()
	if !full {
		return plain
	}
	at := bytes.Index(plain, []byte("\x21\xff\x0bNETSCAPE")) // after header and palette
	extra := "\x21\xfe\x0c" + secret + "\x00" + "\x21\xff\x0bXMP DataXMP\x0c" + secret + "\x00" + "\x21\x01\x0c" + secret + "\x00"
	return slices.Concat(plain[:at], []byte(extra), plain[at:], []byte(secret))
}

func apngSample(full bool) []byte {
	still := pngBytes(8, 6)
	var idat []byte
	for _, p := range parts(still) {
		if p.name == "IDAT" {
			idat = append(idat, p.data...)
		}
	}
	control := func(n uint32) []byte {
		b := binary.BigEndian.AppendUint32(nil, n)
		b = append(b, 0, 0, 0, 8, 0, 0, 0, 6)
		return append(b, make([]byte, 14)...)
	}
	list := []piece{
		{"IHDR", header(8, 6)},
		{"acTL", []byte{0, 0, 0, 2, 0, 0, 0, 0}},
		{"fcTL", control(0)},
		{"IDAT", idat},
		{"comf", []byte("prompt\x00" + secret)},
		{"fcTL", control(1)},
		{"fdAT", append([]byte{0, 0, 0, 2}, idat...)},
		{"tEXt", []byte("workflow\x00" + secret)},
		{"IEND", nil},
	}
	b := join(list...)
	if full {
		b = append(b, secret...)
	}
	return b
}

func pngBytes(w, h int) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	m.SetNRGBA(1, 1, color.NRGBA{R: 250, G: 3, B: 7, A: 255})
	return encodedPNG(m)
}

func riffed(name string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(data)))
	return append(append(b, data...), make([]byte, len(data)&1)...)
}

// webpSample has a first frame that does not fill the canvas, and things in frames that do not belong there.
func webpSample() []byte {
	var still bytes.Buffer
	_ = nativewebp.Encode(&still, image.NewNRGBA(image.Rect(0, 0, 4, 2)), nil)
	lossless := still.Bytes()[12:] // without its container
	frame := func(x byte) []byte {
		b := []byte{x, 0, 0, 1, 0, 0, 3, 0, 0, 1, 0, 0, 100, 0, 0, 0}
		return riffed("ANMF", slices.Concat(b, riffed("junk", []byte(secret)), lossless))
	}
	flags := []byte{0x02 | 0x08 | 0x04, 0, 0, 0, 7, 0, 0, 5, 0, 0}
	body := slices.Concat([]byte("WEBP"), riffed("VP8X", flags), riffed("ANIM", make([]byte, 6)), frame(1), frame(0),
		riffed("EXIF", []byte("II*\x00prompt:"+secret)), riffed("XMP ", []byte(secret)), riffed("what", []byte(secret)))
	return append(riffed("RIFF", body), secret...)
}

func box(kind string, data ...[]byte) []byte {
	all := slices.Concat(data...)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(all))), kind...), all...)
}

func mp4Sample(brand string) []byte {
	tag := box("udta", box("meta", []byte("prompt"+secret)))
	long := append(append([]byte{0, 0, 0, 1}, "mdat"...), 0, 0, 0, 0, 0, 0, 0, 16+byte(len(sound)))
	return slices.Concat(
		box("ftyp", []byte(brand+"\x00\x00\x02\x00"+brand+"iso2mp41")), box("uuid", []byte(secret+"padding.")),
		box("moov", box("mvhd", make([]byte, 100)), box("trak", box("tkhd", make([]byte, 84)), box("mdia", box("minf", box("stbl", box("stco", make([]byte, 8)))), box("wxyz", []byte(secret))), tag), tag),
		append(long, sound...), box("meta", []byte(secret)), box("mdat", []byte(sound)), box("free", []byte(secret)),
	)
}

// element returns an EBML element with a size of eight bytes, as writers do for what they fill in later, or of one.
func element(id string, data ...[]byte) []byte {
	all := slices.Concat(data...)
	if len(all) < 100 {
		return append(append([]byte(id), 0x80|byte(len(all))), all...)
	}
	size := binary.BigEndian.AppendUint64(nil, uint64(len(all)))
	size[0] = 1
	return append(append([]byte(id), size...), all...)
}

func webmSample(doctype string) []byte {
	return slices.Concat(
		element("\x1A\x45\xDF\xA3", element("\x42\x86", []byte{1}), element("\x42\x82", []byte(doctype))),
		element("\x18\x53\x80\x67",
			element("\x11\x4D\x9B\x74", []byte("seek")), element("\xEC", []byte(secret)),
			element("\x15\x49\xA9\x66", element("\xBF", []byte("1234")), element("\x2A\xD7\xB1", []byte{15, 66, 64}), element("\x7B\xA9", []byte(secret)), element("\x44\x89", make([]byte, 8))),
			element("\x16\x54\xAE\x6B", element("\xAE", element("\xD7", []byte{1}), element("\x53\x6E", []byte(secret)), element("\x86", []byte("V_VP9")))),
			element("\x12\x54\xC3\x67", []byte(strings.Repeat(secret, 40))), element("\x12\x54\xC3\x67", []byte(strings.Repeat(secret, 10)+"123456")),
			element("\x1F\x43\xB6\x75", []byte(strings.Repeat(sound, 20))), element("\x1C\x53\xBB\x6B", []byte("cues")), element("\x19\x41\xA4\x69", []byte(secret)),
		), []byte(secret))
}

func flacSample(full bool) []byte {
	block := func(kind byte, data []byte) []byte {
		return append([]byte{kind, byte(len(data) >> 16), byte(len(data) >> 8), byte(len(data))}, data...)
	}
	info, seek := block(0, make([]byte, 34)), block(3, make([]byte, 36))
	frames := "\xFF\xF8" + sound
	if !full {
		seek[0] |= 0x80
		return slices.Concat([]byte("fLaC"), info, seek, []byte(frames))
	}
	return slices.Concat([]byte("fLaC"), info, block(4, []byte("prompt="+secret)), seek, block(6, []byte(secret)), block(2, []byte(secret)), block(1|0x80, make([]byte, 64)), []byte(frames))
}

func mp3Sample(full bool) []byte {
	frame := append([]byte{0xFF, 0xFB, 0x90, 0x64}, make([]byte, 413)...) // 128 kbit/s at 44100 Hz
	copy(frame[100:], sound)
	small := append([]byte{0xFF, 0xF3, 0x10, 0xC4}, make([]byte, 22)...) // MPEG 2, 8 kbit/s at 22050 Hz
	audio := slices.Concat(frame, frame, small)
	if !full {
		return audio
	}
	tag := append([]byte("ID3\x04\x00\x00\x00\x00\x01"), 0x02) // 130 bytes
	tag = append(tag, strings.Repeat(secret, 11)[:130]...)
	return slices.Concat(tag, audio, []byte("TAG"+strings.Repeat(secret, 11)[:125]))
}

func oggCRC(b []byte) (sum uint32) {
	for _, c := range b {
		sum ^= uint32(c) << 24
		for range 8 {
			if sum>>31 == 1 {
				sum = sum<<1 ^ 0x04C11DB7
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// oggPages splits a packet into pages as writers do.
func oggPages(flags byte, number *uint32, packet []byte) (out []byte) {
	for first := true; first || packet != nil; first = false {
		n := min(len(packet), 255*255)
		lace := bytes.Repeat([]byte{255}, n/255)
		rest := packet[n:]
		if n < 255*255 {
			lace, rest = append(lace, byte(n%255)), nil
		}
		b := append([]byte("OggS\x00"), flags)
		if !first {
			b[5] |= 1
		}
		b = append(append(b, make([]byte, 8)...), 9, 9, 9, 9)
		b = binary.LittleEndian.AppendUint32(b, *number)
		*number++
		b = append(append(b, 0, 0, 0, 0, byte(len(lace))), lace...)
		b = append(b, packet[:n]...)
		binary.LittleEndian.PutUint32(b[22:], oggCRC(b))
		out, packet = append(out, b...), rest
	}
	return out
}

func opusSample(text, vendor string) []byte {
	var n uint32
	tags := binary.LittleEndian.AppendUint32([]byte("OpusTags"), uint32(len(vendor)))
	tags = append(tags, vendor...)
	if text == "" {
		tags = append(tags, 0, 0, 0, 0)
	} else {
		tags = binary.LittleEndian.AppendUint32(append(tags, 1, 0, 0, 0), uint32(len(text)))
		tags = append(tags, text...)
	}
	b := slices.Concat(oggPages(2, &n, []byte("OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00")), oggPages(0, &n, tags), oggPages(0, &n, []byte(sound)), oggPages(4, &n, []byte(sound)))
	if text != "" {
		b = append(b, secret...)
	}
	return b
}

func wavSample() []byte {
	return append(riffed("RIFF", slices.Concat([]byte("WAVE"), riffed("fmt ", make([]byte, 16)), riffed("LIST", []byte("INFO"+secret)), riffed("data", []byte(sound)), riffed("id3 ", []byte(secret)))), secret...)
}

func glbSample(scene string) []byte {
	scene += "   "[:(4-len(scene)%4)%4]
	body := slices.Concat(binary.LittleEndian.AppendUint32(nil, uint32(len(scene))), []byte("JSON"+scene), binary.LittleEndian.AppendUint32(nil, 16), []byte("BIN\x00"+sound+"\x00\x00"))
	b := binary.LittleEndian.AppendUint32([]byte("glTF\x02\x00\x00\x00"), uint32(12+len(body)))
	return append(b, body...)
}

// keep stores b as a server's file of that name.
func keep(tb testing.TB, s *images.Store, name string, b []byte) (images.Result, error) {
	tb.Helper()
	out, saveErr, err := s.PutResult(tb.Context(), images.Image{Owner: "o", CallID: "call", JobID: "job", Origin: images.Made, Backend: "comfyui"}, name, images.Bounds{}, images.Showing{}, bytes.NewReader(b))
	if saveErr != nil {
		tb.Error(saveErr)
	}
	return out, err
}

// checksum tells two pieces of bytes apart in messages.
func checksum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

func gifPalette() color.Palette { return color.Palette{color.Black, color.White} }
