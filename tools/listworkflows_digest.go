package tools

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// Bounds of looking into workflows: an index may name hundreds, of up to 4 MiB each.
const (
	maxOpened  = 600             // of one call; the 222 open ones of 0.33.0 take a second of one core
	openFor    = 4 * time.Second // of the ten that resolving has
	maxDigests = 1000
)

// A digest is what list_workflows tells of a workflow at one server, in small.
type digest struct {
	fault   string // why it is no graph for this server; nothing else is set then
	offers  []workflow.Offer
	missing []workflow.MissingFile
	models  []policy.Model
	nodes   []policy.Node
	makes   string
}

// digests keeps what was found, for as long as the server's classes and lists of models are the same. It is safe for concurrent use.
type digests struct {
	mu   sync.Mutex
	of   *comfy.ObjectInfo
	kept map[string]*digest
}

func (d *digests) get(info *comfy.ObjectInfo, key string) *digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of != info || len(d.kept) > maxDigests {
		d.of, d.kept = info, make(map[string]*digest)
	}
	return d.kept[key]
}

func (d *digests) put(info *comfy.ObjectInfo, key string, one *digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == info {
		d.kept[key] = one
	}
}

// key tells versions of a workflow apart.
func (one *candidate) key() string {
	if one.saved != nil {
		return fromSaved + "\x00" + one.saved.Name + "\x00" + one.saved.Modified.String()
	}
	return fromTemplate + "\x00" + one.ships.Name
}

// fill gives candidates their digests: those that are kept, and of the others as many as one call may open, in their order.
func (d *digests) fill(ctx context.Context, e *Env, info *comfy.ObjectInfo, list []*candidate) error {
	ctx, cancel := context.WithTimeout(ctx, openFor)
	defer cancel()
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	opened := 0
	for _, one := range list {
		if one.view.Fault != "" {
			continue
		}
		if one.digest = d.get(info, one.key()); one.digest != nil || opened == maxOpened {
			continue
		}
		opened++
		group.Go(func() error {
			found, err := e.look(within, info, one)
			if err != nil {
				return err
			}
			one.digest = found
			d.put(info, one.key(), found)
			return nil
		})
	}
	err := group.Wait()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return nil // what was not reached is told as not looked into
	}
	return err
}

// look opens one workflow. What is wrong with it is told, and is no error.
func (e *Env) look(ctx context.Context, info *comfy.ObjectInfo, one *candidate) (*digest, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	src := source{from: fromTemplate}
	if one.saved != nil {
		entry, err := e.Library.Get(one.saved.Name)
		if err != nil {
			return &digest{fault: clean(err.Error(), 300)}, nil
		}
		src = source{name: entry.Name, from: fromSaved, data: entry.Graph, sheet: entry.Sheet}
	} else {
		err := e.Server.Read(ctx, func(ctx context.Context, lists Lists) (err error) {
			src.data, err = lists.Template(ctx, one.ships.Name)
			return err
		})
		if errors.Is(err, comfy.ErrNoTemplate) || errors.As(err, new(*comfy.TooLargeError)) {
			return &digest{fault: "ComfyUI does not give its file"}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	doc, err := workflow.Read(src.data)
	if err != nil {
		return unfitting(err), nil
	}
	conv, err := doc.Convert(info)
	if err != nil {
		return unfitting(err), nil
	}
	graph := workflow.Fill(conv.Graph, info)
	found := &digest{models: workflow.Models(graph, info), nodes: workflow.Nodes(graph, info), missing: absent(graph, info, conv.Files)}
	var words []string
	for _, n := range found.nodes {
		if class := info.Classes[n.Class]; class != nil && class.OutputNode {
			words = append(words, n.Class)
		}
	}
	found.makes = makes(words)
	found.offers, _, _ = offersOf(src, conv, graph, info)
	return found, nil
}

// unfitting is the digest of what is no graph for this server.
func unfitting(err error) *digest {
	list, ok := unreadable(err)
	if !ok || len(list) == 0 {
		return &digest{fault: "it cannot be read"}
	}
	text := list[0].Problem
	if list[0].Class != "" {
		text += ": " + list[0].Class
	}
	return &digest{fault: clean(text, 200)}
}
