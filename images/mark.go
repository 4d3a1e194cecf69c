package images

import (
	"encoding/xml"
	"strings"
)

// A Mark says, in a picture's own bytes, that a model made it (IMG-09). It holds no prompt.
type Mark struct {
	Generator string // name and version of this program
	CallID    string // the call that made it, to be found in the audit log
}

// maxMarked bounds each of a mark's strings, in bytes.
const maxMarked = 200

// packet returns the mark as an XMP packet: IPTC's digital source type, the tool and the call.
func (m Mark) packet() []byte {
	return []byte("<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>" +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"` +
		` xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"` +
		` Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"` +
		` xmp:CreatorTool="` + attribute(m.Generator) + `" dc:identifier="` + attribute(m.CallID) + `"/>` +
		`</rdf:RDF></x:xmpmeta><?xpacket end="r"?>`)
}

// attribute returns s, shortened, as the value of an XML attribute.
func attribute(s string) string {
	var b strings.Builder
	s = strings.ToValidUTF8(s[:min(len(s), maxMarked)], "")
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

// Where each format has its XMP packet.
const (
	pngXMP  = "XML:com.adobe.xmp\x00\x00\x00\x00\x00" // keyword of an iTXt chunk; not compressed, no language
	jpegXMP = "http://ns.adobe.com/xap/1.0/\x00"      // begin of an APP1 segment
)
