package emulator

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"

	// LoadImage opens these kinds too.
	_ "image/gif"
	// LoadImage opens these kinds too.
	_ "image/jpeg"

	// LoadImage opens these kinds too.
	_ "golang.org/x/image/bmp"
	// LoadImage opens these kinds too.
	_ "golang.org/x/image/tiff"
	// LoadImage opens these kinds too.
	_ "golang.org/x/image/webp"
)

// textChunk is one tEXt chunk: metadata as ComfyUI puts it into its pictures.
type textChunk struct{ key, text string }

// signatureLen and headerLen are the sizes of a PNG's signature and IHDR chunk.
const (
	pngSignatureLen = 8
	pngHeaderLen    = 4 + 4 + 13 + 4
)

// encodePNG packs a picture, quickly rather than small, with its metadata after
// the header.
func encodePNG(m image.Image, chunks []textChunk) ([]byte, error) {
	var b bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&b, m); err != nil {
		return nil, err
	}
	if len(chunks) == 0 {
		return b.Bytes(), nil
	}
	plain := b.Bytes()
	cut := pngSignatureLen + pngHeaderLen
	out := append(make([]byte, 0, len(plain)+1024), plain[:cut]...)
	for _, c := range chunks {
		out = pngChunk(out, "tEXt", []byte(c.key+"\x00"+c.text))
	}
	return append(out, plain[cut:]...), nil
}

// pngChunk appends a chunk.
func pngChunk(b []byte, name string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	at := len(b)
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
}

// maxPicture bounds a picture that is opened, in pixels.
const maxPicture = 64 << 20

// decodePicture opens a file of any known kind. Its error's text is nobody's.
func decodePicture(data []byte) (image.Image, error) {
	config, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if config.Width <= 0 || config.Height <= 0 || int64(config.Width)*int64(config.Height) > maxPicture {
		return nil, image.ErrFormat
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	return m, err
}
