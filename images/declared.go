package images

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A MismatchError says that a picture is of another type than it was declared to be (IMG-04).
type MismatchError struct {
	Declared string // media type, as the caller said
	Got      Format
}

func (e *MismatchError) Error() string {
	return "declared as " + e.Declared + ", but a " + string(e.Got) + " picture"
}

// Declared returns a reader of all of src, once its first bytes agree with the media type that was declared for it. Their magic decides:
// what is no picture of ours is a [*TypeError], whatever was declared, and another picture than declared a [*MismatchError]. An empty
// media type declares nothing. Nothing is decoded (SC-49).
func Declared(src io.Reader, media string) (io.Reader, error) {
	in := bufio.NewReaderSize(src, inBuffer)
	head, err := in.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading picture: %w", err)
	}
	f, err := Sniff(head)
	if err != nil {
		return nil, err
	}
	if media = strings.ToLower(media); media == "image/jpg" { // what many programs write
		media = JPEG.MIME()
	}
	if media != "" && media != f.MIME() {
		return nil, &MismatchError{Declared: media, Got: f}
	}
	return in, nil
}
