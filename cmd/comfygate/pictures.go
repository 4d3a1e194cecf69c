package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/tools"
)

func (h *house) openStore(ctx context.Context) (err error) {
	h.store, err = images.OpenStore(images.StoreConfig{
		Dir:          filepath.Join(h.cfg.Storage.Dir, "pictures"),
		OutputDir:    h.cfg.Output.Dir,
		MaxAge:       h.cfg.Storage.MaxAge,
		MaxBytes:     h.cfg.Storage.MaxBytes,
		KeepMetadata: h.cfg.Output.KeepMetadata,
		Generator:    "comfygate " + version,
		DecodeBytes:  h.cfg.Limits.ImageBytes,
	})
	if err != nil {
		return fmt.Errorf("picture store: %w", err)
	}
	h.later("picture store", func(context.Context) error { return h.store.Close() })
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.store.Run(ctx, h.cfg.Storage.CleanupInterval, h.cleaned)
	}()
	h.later("clean-up", func(context.Context) error {
		cancel()
		<-done
		return nil
	})
	return nil
}

// cleaned records a clean-up that did something (SC-34).
func (h *house) cleaned(r images.CleanReport, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		h.log.Warn("clean-up of pictures", zap.Error(err))
	}
	if r.Removed == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), owed) //nolint:forbidigo // the clean-up belongs to no call
	defer cancel()
	rec := audit.Record{Kind: audit.Event, Name: audit.StorageClean, Count: r.Removed}
	if err := h.record.Append(ctx, rec); err != nil {
		h.log.Warn("clean-up not recorded", zap.Error(err))
	}
}

func (h *house) openLinks(url func(path string) string) (err error) {
	if h.links, err = images.NewLinks(images.LinksConfig{Store: h.store}); err != nil { // under a key of this process: they last minutes
		return err
	}
	h.inbox, err = tools.NewInbox(tools.InboxConfig{
		Links: h.links, Pictures: h.store, URL: func(token string) string { return url("/uploads/" + token) },
		Bounds: images.Bounds{Bytes: h.cfg.Upload.MaxBytes, Pixels: h.cfg.Upload.MaxPixels},
	})
	return err
}

// openInputs opens the folder of which upload_image may read files. Over HTTP nobody may.
func (h *house) openInputs(context.Context) (err error) {
	dir := h.cfg.Upload.InputRoot
	if dir == "" || h.cfg.Server.Transport != config.TransportStdio {
		return nil
	}
	if h.inputs, err = images.OpenInputs(dir); err != nil {
		return usageError{fmt.Errorf("COMFYGATE_UPLOAD__INPUT_ROOT: %w", err)}
	}
	h.later("input folder", func(context.Context) error { return h.inputs.Close() })
	return nil
}

// pictureLinks makes URLs of signed links.
type pictureLinks struct {
	links *images.Links
	store *images.Store
	url   func(token string) string
}

func (l pictureLinks) Picture(owner, id string) (url string, lasts time.Duration) {
	token, expires := l.links.Sign(owner, id)
	return l.url(token), time.Until(expires)
}

// Open returns the picture or file that a link names, for the HTTP face.
func (l pictureLinks) Open(token string) (io.ReadSeekCloser, images.Served, error) {
	owner, id, err := l.links.Check(token)
	if err != nil {
		return nil, images.Served{}, err
	}
	return l.store.OpenAny(owner, id)
}
