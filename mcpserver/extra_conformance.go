//go:build conformance

package mcpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/comfygate/comfygate/policy"
)

// The fixtures of the official conformance suite, on our own stack: what they are called and do is the suite's choice.

const (
	pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	sound = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
)

func extraOptions() []server.ServerOption {
	return []server.ServerOption{
		server.WithToolCapabilities(true), server.WithResourceCapabilities(true, true), server.WithPromptCapabilities(true),
		server.WithCompletions(), server.WithLogging(), server.WithElicitation(),
	}
}

func (s *Server) extend() {
	s.mcp.EnableSampling()
	s.plainFixtures()
	s.askingFixtures()
	s.roundFixtures()
	s.stateFixtures()
	s.capabilityFixtures()
	s.changingFixtures()
	s.schemaFixtures()
	s.resourceFixtures()
	s.promptFixtures()
}

func asksClients(tool string) bool {
	return tool == "test_sampling" || strings.HasPrefix(tool, "test_elicitation")
}

type fixture func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error)

func (s *Server) fixture(name string, f fixture, params ...mcp.ToolOption) {
	s.scopes[name] = policy.JobRead
	s.mcp.AddTool(mcp.NewTool(name, append([]mcp.ToolOption{mcp.WithDescription("A fixture of the conformance suite: " + name + ".")}, params...)...), server.ToolHandlerFunc(f))
}

func answers(content ...mcp.Content) fixture {
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: content}, nil
	}
}

func embedded(uri, kind, text string) mcp.Content {
	return mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: uri, MIMEType: kind, Text: text})
}

func (s *Server) plainFixtures() {
	s.fixture("test_simple_text", answers(mcp.NewTextContent("This is a simple text response for testing.")))
	s.fixture("test_image_content", answers(mcp.NewImageContent(pixel, "image/png")))
	s.fixture("test_audio_content", answers(mcp.NewAudioContent(sound, "audio/wav")))
	s.fixture("test_embedded_resource", answers(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")))
	s.fixture("test_multiple_content_types", answers(mcp.NewTextContent("Multiple content types test:"), mcp.NewImageContent(pixel, "image/png"),
		embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`)))
	s.fixture("test_error_handling", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultError("This tool intentionally returns an error for testing"), nil
	})
	s.fixture("test_tool_with_logging", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		err := spaced(3, func(i int) error {
			text := []string{"Tool execution started", "Tool processing data", "Tool execution completed"}[i]
			return requestFrom(ctx).send(ctx, "notifications/message", map[string]any{"level": "info", "logger": "fixtures", "data": text}, true)
		})
		return mcp.NewToolResultText("logged"), err
	})
	s.fixture("test_tool_with_progress", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if r.Params.Meta == nil || r.Params.Meta.ProgressToken == nil {
			return mcp.NewToolResultText("no token"), nil
		}
		err := spaced(3, func(i int) error {
			params := map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": 50 * i, "total": 100}
			return requestFrom(ctx).send(ctx, "notifications/progress", params, true)
		})
		return mcp.NewToolResultText("reported"), err
	})
	s.fixture("test_logging_tool", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		_ = s.mcp.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "fixtures", "hello"))
		return mcp.NewToolResultText("ok"), nil
	})
}

func spaced(n int, step func(int) error) error {
	for i := range n {
		if i > 0 {
			time.Sleep(50 * time.Millisecond)
		}
		if err := step(i); err != nil {
			return err
		}
	}
	return nil
}

// askingFixtures ask clients of the older revisions.
func (s *Server) askingFixtures() {
	s.fixture("test_sampling", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		res, err := s.mcp.RequestSampling(ctx, mcp.CreateMessageRequest{ //nolint:staticcheck // deprecated, and what the suite of older revisions asks for
			Request: mcp.Request{Method: string(mcp.MethodSamplingCreateMessage)}, CreateMessageParams: sample(r.GetString("prompt", ""), 100),
		})
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		text, _ := res.Content.(mcp.TextContent)
		return mcp.NewToolResultText("LLM response: " + text.Text), nil
	}, mcp.WithString("prompt", mcp.Required(), mcp.Description("what to ask")))
	s.asks("test_elicitation", "User response", object(map[string]any{"username": typed("string"), "email": typed("string")}, "username", "email"),
		mcp.WithString("message", mcp.Required(), mcp.Description("what to ask")))
	s.asks("test_elicitation_sep1034_defaults", "Elicitation completed", object(map[string]any{
		"name": value("string", "John Doe"), "age": value("integer", 30), "score": value("number", 95.5),
		"status":   map[string]any{"type": "string", "enum": []string{"active", "inactive", "pending"}, "default": "active"},
		"verified": value("boolean", true),
	}))
	titled := []any{map[string]any{"const": "value1", "title": "Value One"}, map[string]any{"const": "value2", "title": "Value Two"}}
	s.asks("test_elicitation_sep1330_enums", "Elicitation completed", object(map[string]any{
		"untitledSingle": map[string]any{"type": "string", "enum": []string{"option1", "option2"}},
		"titledSingle":   map[string]any{"type": "string", "oneOf": titled},
		"legacyEnum":     map[string]any{"type": "string", "enum": []string{"opt1", "opt2"}, "enumNames": []string{"Option One", "Option Two"}},
		"untitledMulti":  map[string]any{"type": "array", "items": map[string]any{"type": "string", "enum": []string{"option1", "option2"}}},
		"titledMulti":    map[string]any{"type": "array", "items": map[string]any{"anyOf": titled}},
	}))
}

func (s *Server) asks(name, says string, schema map[string]any, params ...mcp.ToolOption) {
	s.fixture(name, func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		res, err := s.mcp.RequestElicitation(ctx, mcp.ElicitationRequest{
			Request: mcp.Request{Method: string(mcp.MethodElicitationCreate)},
			Params:  mcp.ElicitationParams{Message: r.GetString("message", "Provide your information"), RequestedSchema: schema},
		})
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultText(fmt.Sprintf("%s: action=%s, content=%v", says, res.Action, res.Content)), nil
	}, params...)
}

func typed(name string) map[string]any { return map[string]any{"type": name} }

func value(name string, def any) map[string]any { return map[string]any{"type": name, "default": def} }

func object(props map[string]any, required ...string) map[string]any {
	o := map[string]any{"type": "object", "properties": props}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func sample(question string, tokens int) mcp.CreateMessageParams {
	return mcp.CreateMessageParams{
		Messages:  []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(question)}},
		MaxTokens: tokens,
	}
}

func form(message, field, of string) mcp.ElicitationParams {
	return mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: message, RequestedSchema: object(map[string]any{field: typed(of)}, field)}
}

// roundFixtures answer with a question first, and finish when the client calls again with the answer.
func (s *Server) roundFixtures() {
	asked := func(r mcp.CallToolRequest, id string) bool { _, ok := r.Params.InputResponses[id]; return ok }
	round := func(id string, ask func(*server.InputRequestBuilder)) fixture {
		return func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if asked(r, id) {
				return mcp.NewToolResultText("Hello, and thank you."), nil
			}
			b := server.NewInputRequestBuilder("")
			ask(b)
			return b.ToolResult(), nil
		}
	}
	s.fixture("test_input_required_result_elicitation", round("user_name", func(b *server.InputRequestBuilder) {
		b.Elicit("user_name", form("What is your name?", "name", "string"))
	}))
	s.fixture("test_streaming_elicitation", round("x", func(b *server.InputRequestBuilder) { b.Elicit("x", form("x?", "x", "string")) }))
	s.fixture("test_input_required_result_sampling", round("capital_question", func(b *server.InputRequestBuilder) {
		b.Sample("capital_question", sample("What is the capital of France?", 100))
	}))
	s.fixture("test_input_required_result_list_roots", round("client_roots", func(b *server.InputRequestBuilder) { b.Roots("client_roots") }))
}

// stateFixtures have the client carry a signed state from round to round.
func (s *Server) stateFixtures() {
	asked := func(r mcp.CallToolRequest, id string) bool { _, ok := r.Params.InputResponses[id]; return ok }
	state := func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if r.Params.RequestState == "" && len(r.Params.InputResponses) == 0 {
			return server.NewInputRequestBuilder(s.seal("s1")).Elicit("confirm", form("Please confirm", "ok", "boolean")).ToolResult(), nil
		}
		if !s.sealed(r.Params.RequestState) {
			return nil, fmt.Errorf("requestState failed verification")
		}
		return mcp.NewToolResultText("state-ok"), nil
	}
	s.fixture("test_input_required_result_request_state", state)
	s.fixture("test_input_required_result_tampered_state", state)
	s.fixture("test_input_required_result_multiple_inputs", func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if len(r.Params.InputResponses) >= 3 && s.sealed(r.Params.RequestState) {
			return mcp.NewToolResultText("all"), nil
		}
		return server.NewInputRequestBuilder(s.seal("m")).Elicit("user_name", form("What is your name?", "name", "string")).
			Sample("greeting", sample("Generate a greeting", 50)).Roots("client_roots").ToolResult(), nil
	})
	s.fixture("test_input_required_result_multi_round", func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		switch {
		case asked(r, "step2"):
			return mcp.NewToolResultText("done"), nil
		case asked(r, "step1"):
			return server.NewInputRequestBuilder(s.seal("r2")).Elicit("step2", form("Step 2: What is your favorite color?", "color", "string")).ToolResult(), nil
		}
		return server.NewInputRequestBuilder(s.seal("r1")).Elicit("step1", form("Step 1: What is your name?", "name", "string")).ToolResult(), nil
	})
}

// capabilityFixtures ask only for what the client declared.
func (s *Server) capabilityFixtures() {
	s.fixture("test_input_required_result_capabilities", func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		b := server.NewInputRequestBuilder(s.seal("c"))
		if caps := r.Params.Meta.ClientCapabilities(); caps != nil {
			if caps.Sampling != nil {
				b.Sample("q", sample("hi", 10))
			}
			if caps.Elicitation != nil {
				b.Elicit("e", form("hi", "x", "string"))
			}
		}
		return b.ToolResult(), nil
	})
	s.fixture("test_missing_capability", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if caps := r.Params.Meta.ClientCapabilities(); caps != nil && caps.Sampling != nil {
			return mcp.NewToolResultText("ok"), nil
		}
		requestFrom(ctx).override = &protocolError{
			code: mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, status: http.StatusBadRequest, text: "Missing required client capability",
			data: map[string]any{"requiredCapabilities": map[string]any{"sampling": map[string]any{}}},
		}
		return mcp.NewToolResultError("replaced"), nil
	})
}

// seal signs a state, as whatever uses them must (MCP-25).
func (s *Server) seal(state string) string {
	return state + "." + fmt.Sprintf("%x", s.sessions.mac("state", []byte(state)))
}

func (s *Server) sealed(state string) bool {
	i := strings.LastIndexByte(state, '.')
	return i > 0 && s.seal(state[:i]) == state
}

// changingFixtures change lists, for those who listen.
func (s *Server) changingFixtures() {
	var n atomic.Int64
	s.fixture("test_trigger_tool_change", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		name := fmt.Sprintf("passing_%d", n.Add(1))
		s.mcp.AddTool(mcp.NewTool(name), server.ToolHandlerFunc(answers(mcp.NewTextContent("x"))))
		s.mcp.DeleteTools(name)
		return mcp.NewToolResultText("ok"), nil
	})
	s.fixture("test_trigger_prompt_change", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		name := fmt.Sprintf("passing_%d", n.Add(1))
		s.mcp.AddPrompt(mcp.NewPrompt(name), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{}, nil
		})
		s.mcp.DeletePrompts(name)
		return mcp.NewToolResultText("ok"), nil
	})
}

func (s *Server) schemaFixtures() {
	raw := func(name, schema string) {
		s.scopes[name] = policy.JobRead
		s.mcp.AddTool(mcp.NewToolWithRawSchema(name, "A fixture of the conformance suite.", json.RawMessage(schema)),
			server.ToolHandlerFunc(answers(mcp.NewTextContent("ok"))))
	}
	raw("json_schema_2020_12_tool", `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
		"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
		"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},"contactMethod":{"type":"string","enum":["phone","email"]},
		"phone":{"type":"string"},"email":{"type":"string"}},"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
		"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},"then":{"required":["phone"]},"else":{"required":["email"]},
		"additionalProperties":false}`)
	raw("test_header_tool", `{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},
		"priority":{"type":"integer","x-mcp-header":"Priority"},"verbose":{"type":"boolean","x-mcp-header":"Verbose"},"query":{"type":"string"}}}`)
}

func (s *Server) resourceFixtures() {
	text := func(uri, name, of, content string) {
		s.mcp.AddResource(mcp.NewResource(uri, name, mcp.WithResourceDescription("A fixture."), mcp.WithMIMEType(of)),
			func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
				return []mcp.ResourceContents{mcp.TextResourceContents{URI: uri, MIMEType: of, Text: content}}, nil
			})
	}
	text("test://static-text", "static-text", "text/plain", "This is the content of the static text resource.")
	text("test://watched-resource", "watched-resource", "text/plain", "watched")
	s.mcp.AddResource(mcp.NewResource("test://static-binary", "static-binary", mcp.WithResourceDescription("A fixture."), mcp.WithMIMEType("image/png")),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: pixel}}, nil
		})
	s.mcp.AddResourceTemplate(mcp.NewResourceTemplate("test://template/{id}/data", "template", mcp.WithTemplateDescription("A fixture."), mcp.WithTemplateMIMEType("application/json")),
		func(_ context.Context, r mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			id := strings.TrimSuffix(strings.TrimPrefix(r.Params.URI, "test://template/"), "/data")
			return []mcp.ResourceContents{mcp.TextResourceContents{
				URI: r.Params.URI, MIMEType: "application/json", Text: fmt.Sprintf(`{"id":%q,"templateTest":true,"data":%q}`, id, "Data for ID: "+id),
			}}, nil
		})
}

func (s *Server) promptFixtures() {
	add := func(name string, f func(r mcp.GetPromptRequest) []mcp.Content, args ...mcp.PromptOption) {
		s.mcp.AddPrompt(mcp.NewPrompt(name, append([]mcp.PromptOption{mcp.WithPromptDescription("A fixture.")}, args...)...),
			func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				res := &mcp.GetPromptResult{}
				for _, c := range f(r) {
					res.Messages = append(res.Messages, mcp.PromptMessage{Role: mcp.RoleUser, Content: c})
				}
				return res, nil
			})
	}
	add("test_simple_prompt", func(mcp.GetPromptRequest) []mcp.Content {
		return []mcp.Content{mcp.NewTextContent("This is a simple prompt for testing.")}
	})
	add("test_prompt_with_arguments", func(r mcp.GetPromptRequest) []mcp.Content {
		return []mcp.Content{mcp.NewTextContent(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", r.Params.Arguments["arg1"], r.Params.Arguments["arg2"]))}
	}, mcp.WithArgument("arg1", mcp.RequiredArgument()), mcp.WithArgument("arg2", mcp.RequiredArgument()))
	add("test_prompt_with_embedded_resource", func(r mcp.GetPromptRequest) []mcp.Content {
		return []mcp.Content{embedded(r.Params.Arguments["resourceUri"], "text/plain", "Embedded content."), mcp.NewTextContent("Please process it.")}
	}, mcp.WithArgument("resourceUri", mcp.RequiredArgument()))
	add("test_prompt_with_image", func(mcp.GetPromptRequest) []mcp.Content {
		return []mcp.Content{mcp.NewImageContent(pixel, "image/png"), mcp.NewTextContent("Please look at it.")}
	})
	s.mcp.AddPrompt(mcp.NewPrompt("test_input_required_result_prompt", mcp.WithPromptDescription("A fixture.")),
		func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			if _, ok := r.Params.InputResponses["user_context"]; ok {
				return &mcp.GetPromptResult{Messages: []mcp.PromptMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent("with context")}}}, nil
			}
			return server.NewInputRequestBuilder("").Elicit("user_context", form("What context?", "context", "string")).PromptResult(), nil
		})
}
