package mcpserver_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/fleet"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

func unreachable(cause error) error {
	return fmt.Errorf("%w: Get \"http://user:secret@10.1.2.3:8188/object_info\": %w", comfy.ErrUnreachable, cause)
}

// samples has at least one error for every row of the table that is made of an error.
func samples() map[string]struct {
	err  error
	code string
	says []string
	not  []string
} {
	type sample = struct {
		err  error
		code string
		says []string
		not  []string
	}
	leaks := []string{"10.1.2.3", "secret", "/home", "Traceback", "\x1b", "\n"}
	return map[string]sample{
		"audit.ErrUnwritable":    {fmt.Errorf("%w: write /home/x: no space", audit.ErrUnwritable), "AUDIT_UNAVAILABLE", nil, leaks},
		"mcpserver.PanicError":   {&mcpserver.PanicError{}, "INTERNAL", nil, nil},
		"unknown":                {errTest, "INTERNAL", nil, []string{"secret", "token", "test failure"}},
		"jobs.ErrClosed":         {jobs.ErrClosed, "SHUTTING_DOWN", nil, nil},
		"jobs.ErrNotFound":       {jobs.ErrNotFound, "JOB_NOT_FOUND", []string{"end with the process"}, nil},
		"jobs.ErrTimeout":        {jobs.ErrTimeout, "GENERATION_TIMEOUT", []string{"stopped"}, nil},
		"jobs.ErrQueueTimeout":   {jobs.ErrQueueTimeout, "QUEUE_TIMEOUT", nil, nil},
		"jobs.ErrLost":           {jobs.ErrLost, "JOB_LOST", nil, nil},
		"jobs.ErrUnverified":     {fmt.Errorf("cancelling: %w", jobs.ErrUnverified), "CANCEL_UNVERIFIED", nil, nil},
		"jobs.NoOutputError":     {&jobs.NoOutputError{Want: 4, Got: 1}, "NO_OUTPUT", []string{"1 of 4"}, nil},
		"policy.DeniedError":     {&policy.DeniedError{Decision: policy.Decision{Rule: "no-large", Reason: "too large\nby half"}}, "POLICY_DENIED", []string{"no-large", "too large by half"}, nil},
		"limits.RateError":       {&limits.RateError{Limit: "generate_per_minute", RetryAfter: 6 * time.Second}, "RATE_LIMITED", []string{"generate_per_minute", "6s"}, nil},
		"limits.QueueFullError":  {&limits.QueueFullError{Limit: "pending", Waiting: 16, Max: 16}, "QUEUE_FULL", []string{"16 of 16"}, nil},
		"deadline":               {fmt.Errorf("resolving: %w", context.DeadlineExceeded), "TIMEOUT", nil, nil},
		"cancelled":              {context.Canceled, "CANCELLED", nil, nil},
		"cancelled by name":      {tools.ErrCancelRequested, "CANCELLED", nil, nil},
		"gone":                   {tools.ErrCallerGone, "CANCELLED", nil, nil},
		"fleet.OpenError":        {&fleet.OpenError{RetryAfter: 3 * time.Second, Cause: unreachable(syscall.ECONNREFUSED)}, "CIRCUIT_OPEN", []string{"nothing listens"}, leaks},
		"nothing listens":        {unreachable(syscall.ECONNREFUSED), "COMFYUI_OFFLINE", []string{"at the configured address", "connection refused"}, leaks},
		"nothing listens, there": {unreachable(syscall.Errno(10061)), "COMFYUI_OFFLINE", []string{"connection refused"}, leaks},
		"no such host":           {unreachable(&net.DNSError{Name: "secret.example"}), "COMFYUI_CONNECTION_ERROR", []string{"host name is not known"}, leaks},
		"certificate":            {unreachable(x509.UnknownAuthorityError{}), "COMFYUI_CONNECTION_ERROR", []string{"unknown authority"}, leaks},
		"other host":             {unreachable(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "secret"}), "COMFYUI_CONNECTION_ERROR", []string{"another host"}, leaks},
		"slow":                   {unreachable(context.DeadlineExceeded), "COMFYUI_CONNECTION_ERROR", []string{"in time"}, leaks},
		"timed out":              {unreachable(os.ErrDeadlineExceeded), "COMFYUI_CONNECTION_ERROR", []string{"in time"}, leaks},
		"reset":                  {unreachable(syscall.ECONNRESET), "COMFYUI_CONNECTION_ERROR", []string{"reset"}, leaks},
		"no route":               {unreachable(syscall.EHOSTUNREACH), "COMFYUI_CONNECTION_ERROR", []string{"not reachable"}, leaks},
		"other":                  {unreachable(errTest), "COMFYUI_CONNECTION_ERROR", []string{"failed"}, leaks},
		"comfy.ErrInsecure":      {comfy.ErrInsecure, "INSECURE_TRANSPORT", nil, nil},
		"comfy.ErrAuth":          {comfy.ErrAuth, "UPSTREAM_AUTH_FAILED", nil, nil},
		"comfy.ErrRedirect":      {comfy.ErrRedirect, "UPSTREAM_REDIRECT", nil, nil},
		"comfy.ErrProtocol":      {fmt.Errorf("%w: <html>", comfy.ErrProtocol), "UPSTREAM_PROTOCOL_ERROR", nil, []string{"html"}},
		"comfy.ErrOutOfMemory":   {fmt.Errorf("%w", comfy.ErrOutOfMemory), "INSUFFICIENT_VRAM", nil, nil},
		"comfy.TooLargeError":    {&comfy.TooLargeError{What: "object_info", Limit: 16 << 20}, "UPSTREAM_RESPONSE_TOO_LARGE", []string{"16777216", "object_info"}, nil},
		"comfy.ExecutionError": {
			&comfy.ExecutionError{
				Class: "KSampler", Exception: "RuntimeError",
				Message: "bad file '/home/secret/models/x.safetensors' for sdxl/base.safetensors\x1b[31m\nTraceback (most recent call last)\n secret",
			},
			"GENERATION_FAILED",
			[]string{"KSampler", "RuntimeError", "'[path]'", "sdxl/base.safetensors"},
			leaks,
		},
		"comfy.RejectedError": {
			&comfy.RejectedError{Type: "prompt_outputs_failed_validation", Message: "Prompt outputs failed validation", Nodes: []comfy.NodeFault{{
				Node: "4", Class: "CheckpointLoaderSimple", Input: "ckpt_name", Type: "value_not_in_list", Message: "Value not in list",
				Details: "ckpt_name: 'x.safetensors' not in ['denied.ckpt', 'secret.safetensors']",
			}}},
			"UPSTREAM_REJECTED",
			[]string{"node 4", "CheckpointLoaderSimple", "ckpt_name: 'x.safetensors'"},
			append(leaks, "denied.ckpt"), // SC-52
		},
		"rejected without nodes": {&comfy.RejectedError{Type: "no_prompt", Message: "No prompt at /home/secret"}, "UPSTREAM_REJECTED", []string{"No prompt"}, leaks},
		"workflow.FieldErrors": {
			workflow.FieldErrors{{Field: "cfg", Problem: "this family fixes it.", Fits: "1"}, {Field: "steps", Problem: "too many", Fits: "4 to 12"}},
			"INVALID_PARAMETER",
			[]string{"cfg: this family fixes it; use 1", "steps: too many; use 4 to 12"},
			nil,
		},
		"workflow.FieldError": {fmt.Errorf("x: %w", &workflow.FieldError{Field: "width", Problem: "off the grid", Fits: "1024"}), "DIMENSION_ERROR", []string{"width: off the grid; use 1024"}, nil},
		"workflow.ModelError": {&workflow.ModelError{Kind: policy.LoRA, Name: "x\u202ey", Close: []string{"xy.safetensors"}}, "MODEL_NOT_ALLOWED", []string{`"xy"`, "xy.safetensors"}, []string{"\u202e"}},
		"workflow.MissingError": {
			&workflow.MissingError{Title: "Flux.2", Files: []workflow.MissingFile{{Name: "ae.safetensors", Folder: "vae", Repository: "org/repo"}}},
			"MODEL_FILES_MISSING",
			[]string{"Flux.2", "ae.safetensors into models/vae", "org/repo"},
			nil,
		},
		"workflow.NoModelError": {&workflow.NoModelError{Suggestions: []workflow.MissingFile{{Name: "z.safetensors", Folder: "checkpoints", Repository: "org/z"}}}, "NO_MODEL", []string{"z.safetensors"}, nil},
		"workflow.GraphError":   {&workflow.GraphError{Problem: "node 4 has no class_type."}, "WORKFLOW_VALIDATION_ERROR", []string{"node 4 has no class_type."}, nil},
		"workflow.ErrUIFormat":  {workflow.ErrUIFormat, "WORKFLOW_VALIDATION_ERROR", []string{"editor"}, nil},
		"workflow.UnknownClassError": {
			&workflow.UnknownClassError{Classes: []workflow.UnknownClass{{Class: "Foo\x1b[31m", Node: "4", Package: "comfyui-foo"}}}, "NODES_MISSING",
			[]string{"Foo", "comfyui-foo"},
			leaks,
		},
		"tools.WorkflowUnknownError": {&tools.WorkflowUnknownError{Name: "x\u202ey", Close: []string{"xy"}}, "WORKFLOW_NOT_FOUND", []string{`"xy"`, "Similar"}, []string{"\u202e"}},
		"library.ErrNotFound":        {library.ErrNotFound, "WORKFLOW_NOT_FOUND", nil, nil},
		"library.ErrExists":          {library.ErrExists, "WORKFLOW_EXISTS", []string{"overwrite"}, nil},
		"library.ErrFull":            {library.ErrFull, "WORKFLOWS_FULL", nil, nil},
		"library.BrokenError":        {&library.BrokenError{Name: "a", Problem: "line 2: no /home/secret/x"}, "WORKFLOW_BROKEN", []string{"line 2"}, leaks},
		"tools.ErrNoLibrary":         {tools.ErrNoLibrary, "WORKFLOWS_OFF", []string{"COMFYGATE_WORKFLOWS__DIR"}, nil},
		"tools.GraphFaultsError": {
			&tools.GraphFaultsError{Faults: []workflow.Fault{{Node: "4", Class: "KSampler", Input: "steps", Problem: "it is smaller than 1", Fits: "1 to 100"}}},
			"WORKFLOW_VALIDATION_ERROR",
			[]string{"node 4 (KSampler), steps: it is smaller than 1; use 1 to 100"},
			nil,
		},
		"tools.GraphFaultsError of safety": {
			&tools.GraphFaultsError{Faults: []workflow.Fault{{Node: "4", Class: "LoadImage", Input: "image", Problem: "no", Rule: "paths"}}},
			"SECURITY_ERROR",
			[]string{"rule paths"},
			nil,
		},
		"tools.ModelsMissingError": {
			&tools.ModelsMissingError{
				Workflow: "flux", Instead: []string{"ckpt_name, such as a.safetensors"},
				Files: []workflow.MissingFile{{Name: "b.safetensors", Folder: "checkpoints", Repository: "https://models.example/b"}},
			},
			"MODEL_FILES_MISSING",
			[]string{"flux needs", "b.safetensors into models/checkpoints", "https://models.example/b", "ckpt_name"},
			nil,
		},
		"comfy.StatusError":      {&comfy.StatusError{Status: 500, Text: "at /home/secret"}, "UPSTREAM_ERROR", []string{"500"}, leaks},
		"comfy.ErrTooMany":       {comfy.ErrTooMany, "RESOURCE_EXHAUSTED", nil, nil},
		"comfy.ErrNotFound":      {comfy.ErrNotFound, "NO_OUTPUT", nil, nil},
		"comfy.ErrClosed":        {comfy.ErrClosed, "SHUTTING_DOWN", nil, nil},
		"jobs.ErrInterrupted":    {jobs.ErrInterrupted, "JOB_INTERRUPTED", nil, nil},
		"images.ErrPending":      {images.ErrPending, "UPLOAD_PENDING", nil, nil},
		"images.ErrNotEncodable": {images.ErrNotEncodable, "IMAGE_NOT_ENCODABLE", nil, nil},
		"images.CorruptError":    {&images.CorruptError{Format: images.PNG, Why: "cut off"}, "IMAGE_DAMAGED", []string{"cut off"}, nil},
		"images.ErrNotFound":     {images.ErrNotFound, "IMAGE_NOT_FOUND", nil, nil},
		"images.TypeError":       {&images.TypeError{Got: "text/html"}, "UNEXPECTED_OUTPUT_TYPE", []string{"text/html"}, nil},
		"images.MismatchError": {
			&images.MismatchError{Declared: "image/webp", Got: images.PNG}, "UNEXPECTED_OUTPUT_TYPE", []string{"is a png", "image/webp"}, nil,
		},
		"images.BoundsError": {&images.BoundsError{What: "pixels", Got: 5, Max: 4}, "IMAGE_OUT_OF_BOUNDS", []string{"pixels is 5; 4"}, nil},
		"tools.Fault":        {(&tools.Fault{Code: "SECURITY_ERROR", Message: "no\x1b[0m way", Suggestions: []string{"a\nb"}}), "SECURITY_ERROR", []string{"no way", "a b"}, leaks},
		"wrapped fault":      {fmt.Errorf("x: %w", &tools.Fault{Code: "UPLOAD_PENDING", Message: "not yet"}), "UPLOAD_PENDING", []string{"not yet"}, nil},
		"mcpserver.ArgumentsError": {
			&mcpserver.ArgumentsError{Code: "INVALID_PROMPT", Faults: []string{"prompt: is required"}},
			"INVALID_PROMPT",
			[]string{"prompt: is required"},
			nil,
		},
	}
}

// TestSec_SC61_errors: each error becomes its code, says what it should and nothing that it should not (SC-61, T40).
func TestSec_SC61_errors(t *testing.T) {
	t.Parallel()
	for name, tc := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := mcpserver.Explain(fmt.Errorf("doing: %w", tc.err))
			text := strings.Join(append([]string{f.Message}, f.Suggestions...), " | ")
			if f.Code != tc.code {
				t.Errorf("code %s, want %s", f.Code, tc.code)
			}
			for _, part := range tc.says {
				if !strings.Contains(text, part) {
					t.Errorf("%q is not in %q", part, text)
				}
			}
			for _, part := range tc.not {
				if strings.Contains(text, part) {
					t.Errorf("%q is in %q", part, text)
				}
			}
			if f.Message == "" || len(f.Suggestions) == 0 && name != "wrapped fault" || len(text) > 3000 {
				t.Errorf("fault %+v", f)
			}
			if _, list := errors.AsType[workflow.FieldErrors](tc.err); !list && !errors.Is(f, tc.err) { // a list can't be compared
				t.Error("the cause is lost")
			}
		})
	}
	if mcpserver.Explain(nil) != nil {
		t.Error("nil explained")
	}
}

// TestErrors_upstream: who is trusted reads where ComfyUI is, and everybody the two ways on.
func TestErrors_upstream(t *testing.T) {
	t.Parallel()
	for _, err := range []error{unreachable(syscall.ECONNREFUSED), unreachable(syscall.ECONNRESET), &fleet.OpenError{Cause: unreachable(syscall.ECONNREFUSED)}} {
		f := mcpserver.ExplainTo(err, "http://10.1.2.3:8188")
		if !strings.Contains(f.Message, " at http://10.1.2.3:8188: ") || !f.Retryable {
			t.Errorf("trusted: %q", f.Message)
		}
		if !strings.Contains(strings.Join(f.Suggestions, " "), "--backend=embedded") {
			t.Errorf("suggestions %q", f.Suggestions)
		}
		if f := mcpserver.Explain(err); strings.Contains(f.Message, "10.1.2.3") || !strings.Contains(f.Message, "at the configured address") {
			t.Errorf("untrusted: %q", f.Message)
		}
	}
}

// TestErrors_nothing: a workflow of which nothing came reads what it lacks, not how many of no pictures.
func TestErrors_nothing(t *testing.T) {
	t.Parallel()
	f := mcpserver.Explain(&jobs.NoOutputError{})
	if f.Code != "NO_OUTPUT" || strings.Contains(f.Message, "0") || !strings.Contains(strings.Join(f.Suggestions, " "), "SaveImage") {
		t.Errorf("%+v", f)
	}
}

// TestErrors_retry: how long to wait is told where it is known (LIM-10).
func TestErrors_retry(t *testing.T) {
	t.Parallel()
	if f := mcpserver.Explain(&limits.RateError{RetryAfter: 1500 * time.Millisecond}); f.RetryAfter != 1500*time.Millisecond || !f.Retryable {
		t.Errorf("%+v", f)
	}
	if f := mcpserver.Explain(&fleet.OpenError{RetryAfter: 42 * time.Second}); f.RetryAfter != 42*time.Second {
		t.Errorf("%+v", f)
	}
}

// TestErrors_table: sorted, whole, and every row that is made of an error has a sample here.
func TestErrors_table(t *testing.T) {
	t.Parallel()
	docs := mcpserver.ErrorTable()
	if !slices.IsSortedFunc(docs, func(x, y mcpserver.ErrorDoc) int { return strings.Compare(x.Code, y.Code) }) {
		t.Error("not sorted")
	}
	for _, d := range docs {
		if d.Code == "" || d.Meaning == "" || d.Advice == "" {
			t.Errorf("row %+v", d)
		}
	}
	for name, tc := range samples() {
		if !slices.ContainsFunc(docs, func(d mcpserver.ErrorDoc) bool { return d.Code == tc.code }) {
			t.Errorf("%s: %s is not in the table", name, tc.code)
		}
	}
}

// TestErrors_complete finds every exported error of the packages below and asks that the table knows it: a new one is not forgotten.
func TestErrors_complete(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{ // what never reaches a caller as it is, and why
		"images.ErrLink":         "answered by web",
		"images.ErrTooManyLinks": "worded by upload_image",
		"images.ErrOutside":      "worded by upload_image",
		"images.ErrNoFile":       "worded by upload_image",
		"audit.ErrDamaged":       "ends the start",
		"audit.ErrNoSlot":        "ends the start",
		"audit.ErrNoRecord":      "of the audit commands",
		"audit.ErrUnsigned":      "of audit prove",
		"audit.ErrBadReceipt":    "of audit verify-receipt",
		"audit.ErrBadKey":        "of audit verify",
		"audit.TamperedError":    "a finding of audit verify",
		"audit.UnreadableError":  "a finding of audit verify",
		"comfy.ErrURL":           "ends the start",
		"comfy.ErrFileName":      "joined with comfy.ErrProtocol",
		"comfy.ErrFolder":        "no caller names a folder",
	}
	known := strings.Join(mcpserver.Rows(), ", ")
	for _, dir := range []string{"audit", "comfy", "comfy/fleet", "comfy/workflow", "comfy/workflow/library", "images", "jobs", "limits", "policy", "tools"} {
		for _, name := range exportedErrors(t, "../"+dir) {
			full := dir[strings.LastIndexByte(dir, '/')+1:] + "." + name
			if _, ok := elsewhere[full]; !ok && !strings.Contains(known, full) {
				t.Errorf("the table lacks %s: give it a row in errors.go", full)
			}
		}
	}
}

func exportedErrors(t *testing.T, dir string) (names []string) {
	t.Helper()
	noTests := func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range files {
		info, err := entry.Info()
		if err != nil || !strings.HasSuffix(entry.Name(), ".go") || !noTests(info) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), dir+"/"+entry.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				names = append(names, errorNames(spec)...)
			}
		}
	}
	return names
}

func errorNames(spec ast.Spec) (names []string) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, id := range s.Names {
			if id.IsExported() && strings.HasPrefix(id.Name, "Err") {
				names = append(names, id.Name)
			}
		}
	case *ast.TypeSpec:
		if s.Name.IsExported() && (strings.HasSuffix(s.Name.Name, "Error") || strings.HasSuffix(s.Name.Name, "Errors")) {
			names = append(names, s.Name.Name)
		}
	}
	return names
}

func TestSanitize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain, with Ümläut and 日本":                                        "plain, with Ümläut and 日本",
		"\x1b[31mred\x1b[0m \x1b]0;title\x07x":                             "red x",
		"a\x00b\x07c\u009b31md\u0085e":                                     "abcd e",
		"a\u202eb\u2066c\u200bd\ufeffe\u00adf\U000e0041g":                  "abcdefg",
		"  many \n\r\n\t lines \u2028 here  ":                              "many lines here",
		"/home/me/x.py":                                                    "[path]",
		"in /home/me/my models/x and ~/y":                                  "in [path] models/x and [path]",
		`"C:\Users\me\x y.png" or D:/a/b`:                                  `"[path]" or [path]`,
		`\\server\share\x`:                                                 "[path]",
		"see https://user:pw@example.org:8188/x?token=1 and 10.0.0.1:8188": "see [address] and [address]",
		"Authorization: Bearer abc.def":                                    "Authorization=[hidden]",
		"Authorization: Basic YWRhOmxvdmVsYWNl, as sent":                   "Authorization=[hidden], as sent",
		"api_key=abc&x=1":                                                  "api_key=[hidden]&x=1",
		"models: sdxl/base.safetensors, flux/dev.gguf":                     "models: sdxl/base.safetensors, flux/dev.gguf",
		"oops\nTraceback (most recent call last):\n File":                  "oops",
	} {
		if got := mcpserver.Foreign(in, 200); got != want && (!strings.Contains(in, "Bearer") || strings.Contains(got, "abc")) {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := mcpserver.Clean(strings.Repeat("ä", 500), 10); got != strings.Repeat("ä", 10)+"…" {
		t.Errorf("cut to %q", got)
	}
}
