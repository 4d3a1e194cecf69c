package mcpserver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// pictureURI and fileURI begin the address of every stored picture, and of what else is stored.
const (
	pictureURI = "comfygate://images/"
	fileURI    = "comfygate://files/"
)

// registerPictures publishes stored pictures and files as resources. Reading one is a call like any other: it passes the pipeline, as get_image does.
func (s *Server) registerPictures() error {
	t, err := newTool(tools.Tool{
		Name: "get_image", Title: "Read a picture", Description: "Reads a stored picture as a resource.",
		Scope: policy.ImageRead, Class: limits.Status, Hints: tools.Hints{ReadOnly: true, Idempotent: true},
		Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"required":["uri"],"properties":{"uri":{
			"type":"string","maxLength":2048,"pattern":"^comfygate://(images|files)/[a-z2-7]{26}$",
			"description":"Address of the picture or file","examples":["comfygate://images/aaaaaaaaaaaaaaaaaaaaaaaaaa"]}}}`),
		Decode: s.decodePicture,
	})
	if err != nil {
		return err
	}
	for _, x := range []struct{ uri, name, description string }{
		{pictureURI, "picture", "A full picture that was made or uploaded here, by its id."},
		{fileURI, "file", "An animation, video, sound or other file that a workflow made here, by its id."},
	} {
		template := mcp.NewResourceTemplate(x.uri+"{id}", x.name, mcp.WithTemplateDescription(x.description))
		s.mcp.AddResourceTemplate(template, func(ctx context.Context, r mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return s.readPicture(ctx, t, r.Params.URI)
		})
	}
	return nil
}

func (s *Server) readPicture(ctx context.Context, t *tool, uri string) ([]mcp.ResourceContents, error) {
	raw, err := json.Marshal(map[string]string{"uri": uri})
	if err != nil {
		return nil, errors.New("internal error")
	}
	req := requestFrom(ctx)
	c := &call{tool: t, raw: raw, arrived: req.arrived, transport: req.transport, session: req.session, via: string(mcp.MethodResourcesRead)}
	res, err := s.pass(ctx, c)
	if err != nil {
		f := s.public(c, err)
		req.override = &protocolError{code: mcp.INVALID_PARAMS, status: http.StatusOK, text: f.Message, data: f}
		if f.Code == "INTERNAL" || f.Code == "AUDIT_UNAVAILABLE" {
			req.override.code = mcp.INTERNAL_ERROR
		}
		if f.Code == "IMAGE_NOT_FOUND" {
			req.override.code = notFound(ctx)
		}
		return nil, errors.New("see override") // mcp-go's own answer is replaced
	}
	return []mcp.ResourceContents{mcp.BlobResourceContents{
		URI: uri, MIMEType: res.Pictures[0].MIME, Blob: base64.StdEncoding.EncodeToString(res.Pictures[0].Data),
	}}, nil
}

// notFound is the code of each era for a resource that is not there.
func notFound(ctx context.Context) int {
	if mcp.IsModernProtocol(server.RequestProtocolVersion(ctx)) {
		return mcp.INVALID_PARAMS
	}
	return mcp.RESOURCE_NOT_FOUND
}

func (s *Server) decodePicture(raw json.RawMessage) (tools.Args, error) {
	var args struct{ URI string }
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, err
	}
	return &pictureArgs{server: s, id: args.URI[strings.LastIndexByte(args.URI, '/')+1:]}, nil
}

// eventPicture is the largest picture that goes over HTTP+SSE: the official Python client ends the whole connection at an event of more
// than 1 MiB (mcp.md 16.1), and base64 and the envelope take their part of that.
const eventPicture = (1<<20 - 4<<10) / 4 * 3

// pictureArgs are arguments and plan in one: reading a picture needs no choice.
type pictureArgs struct {
	server *Server
	id     string
}

func (a *pictureArgs) Resolve(context.Context, tools.Caller) (tools.Plan, error) { return a, nil }
func (*pictureArgs) Policy() policy.Request                                      { return policy.Request{} }

func (*pictureArgs) Cost() tools.Cost { return tools.Cost{Tokens: 1} }

func (a *pictureArgs) Record() map[string]any { return map[string]any{"image": a.id} }

func (a *pictureArgs) Run(_ context.Context, c tools.Caller, _ func()) (res tools.Result, err error) {
	f, stored, err := a.server.cfg.Images.OpenAny(c.Principal.Name, a.id)
	if err != nil {
		return tools.Result{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	limit := a.server.cfg.Bounds.ResourceBytes
	if c.Transport == "sse" {
		limit = min(limit, eventPicture)
	}
	if stored.Bytes > limit {
		return tools.Result{}, &images.BoundsError{What: "bytes", Got: stored.Bytes, Max: limit}
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return tools.Result{}, fmt.Errorf("reading picture: %w", err)
	}
	return tools.Result{Pictures: []tools.Picture{{Data: b, MIME: stored.Type}}}, nil
}
