package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/doctor"
)

// checklist are the ids of security-checklist.md: SC-01 to SC-63, and the boxes by group.
func checklist() []string {
	var ids []string
	for n := range 63 {
		ids = append(ids, fmt.Sprintf("SC-%02d", n+1))
	}
	for group, n := range []int{8, 8, 8, 4, 8} {
		for i := range n {
			ids = append(ids, fmt.Sprintf("C%d.%d", group+1, i+1))
		}
	}
	return ids
}

func security(t *testing.T, in doctor.Input) doctor.SecurityReport {
	t.Helper()
	r, err := doctor.Security(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// failures are the promises that failed, without the boxes, which follow from them.
func failures(r doctor.SecurityReport) []string {
	var ids []string
	for _, l := range r.Lines {
		if l.Status == doctor.Failed && strings.HasPrefix(l.ID, "SC-") {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

const overHTTP = "COMFYGATE_SERVER__TRANSPORT=http"

// TestSec_SC63_ids: every id of the checklist has its line, in order, with evidence; what a setting cannot change names its tests.
func TestSec_SC63_ids(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"stdio": nil, "HTTP": {overHTTP}, "embedded": {"COMFYGATE_COMFYUI__BACKEND=embedded"},
		"team": {overHTTP, "COMFYGATE_POLICY__FILE=@team", "COMFYGATE_AUTH__OIDC_ISSUER=https://id.example.org", "COMFYGATE_HTTP__PUBLIC_URL=https://gate.example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := security(t, healthy(t, env...))
			var ids []string
			for _, l := range r.Lines {
				ids = append(ids, l.ID)
				if l.Title == "" || l.Evidence == "" {
					t.Errorf("%s: title %q, evidence %q", l.ID, l.Title, l.Evidence)
				}
				if strings.HasPrefix(l.Evidence, "held by") && len(l.Tests) == 0 {
					t.Errorf("%s is held by nothing", l.ID)
				}
			}
			if diff := cmp.Diff(checklist(), ids); diff != "" {
				t.Error(diff)
			}
			if failed := failures(r); len(failed) > 0 || r.ExitCode() != 0 {
				t.Errorf("failed: %v, exit code %d", failed, r.ExitCode())
			}
			var text, js strings.Builder
			if err := errors.Join(r.WriteText(&text), r.WriteJSON(&js)); err != nil {
				t.Fatal(err)
			}
			var back doctor.SecurityReport
			if err := json.Unmarshal([]byte(js.String()), &back); err != nil || len(back.Lines) != len(r.Lines) {
				t.Errorf("JSON: %v", err)
			}
			if n := strings.Count(text.String(), "\n"); n < len(r.Lines) {
				t.Errorf("%d lines of text", n)
			}
		})
	}
}

// TestSec_SC63_broken: each thing that is wrong fails the lines that it is about, and no others.
func TestSec_SC63_broken(t *testing.T) {
	t.Parallel()
	open := []string{overHTTP, "COMFYGATE_HTTP__HOST=0.0.0.0"}
	for name, tc := range map[string]struct {
		env  []string
		edit func(*doctor.Input)
		want []string
	}{
		"open to everybody":          {append(open, "COMFYGATE_HTTP__ALLOW_UNAUTHENTICATED=true"), nil, []string{"SC-09", "SC-10", "SC-11", "SC-59"}},
		"a proxy brings others":      {[]string{overHTTP}, func(in *doctor.Input) { in.Published = true }, []string{"SC-09", "SC-10", "SC-11", "SC-59"}},
		"others, with stored tokens": {append(open, "COMFYGATE_HTTP__PUBLIC_URL=https://gate.example.org"), func(in *doctor.Input) { in.StoredTokens = true }, nil},
		"a page over plain HTTP":     {[]string{overHTTP, "COMFYGATE_HTTP__ALLOWED_ORIGINS=http://app.example.org"}, nil, []string{"SC-12"}},
		"clear text": {[]string{"COMFYGATE_COMFYUI__URL=http://192.0.2.9:8188", "COMFYGATE_WEBSOCKET__ALLOW_INSECURE=true"}, func(in *doctor.Input) {
			in.Server.(*server).insecure = true //nolint:errcheck // a panic fails the test as well
		}, []string{"SC-13", "SC-14", "SC-15", "SC-16", "SC-17", "SC-20"}},
		"a remote ComfyUI for all": {[]string{"COMFYGATE_COMFYUI__URL=https://comfy.example.org"}, nil, []string{"SC-20"}},
		"ComfyUI's port is open":   {nil, func(in *doctor.Input) { in.Machine.Dial = ports{"192.0.2.7:8188": true}.dial }, []string{"SC-22"}},
		"every proxy is trusted":   {[]string{overHTTP, "COMFYGATE_HTTP__TRUSTED_PROXIES=0.0.0.0/0"}, nil, []string{"SC-23"}},
		"DEBUG":                    {[]string{"COMFYGATE_LOGGING__LEVEL=DEBUG"}, nil, []string{"SC-35"}},
		"prompts are kept":         {[]string{"COMFYGATE_AUDIT__LOG_PROMPTS=true"}, nil, []string{"SC-37"}},
		"prompts by mode":          {[]string{"COMFYGATE_AUDIT__PRIVACY=prompts=full"}, nil, []string{"SC-37"}},
		"no rates":                 {[]string{"COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=off", "COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=off"}, nil, []string{"SC-38", "SC-58"}},
		"metadata stays":           {[]string{"COMFYGATE_OUTPUT__KEEP_METADATA=true"}, nil, []string{"SC-53"}},
		"calls off the record":     {[]string{"COMFYGATE_AUDIT__FAIL_CLOSED=false"}, nil, []string{"SC-60"}},
		"records come late":        {[]string{"COMFYGATE_AUDIT__FSYNC=interval"}, nil, []string{"SC-60"}},
		"a changed record": {nil, func(in *doctor.Input) {
			in.Audit = func(context.Context) (string, error) { return "", errors.New("changed") }
		}, []string{"SC-60"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := healthy(t, tc.env...)
			in.Machine.Addresses = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil }
			if tc.edit != nil {
				tc.edit(&in)
			}
			r := security(t, in)
			if got := failures(r); !slices.Equal(got, tc.want) {
				t.Errorf("failed: %v, want %v", got, tc.want)
			}
			if (r.ExitCode() != 0) != (len(tc.want) > 0) {
				t.Errorf("exit code %d", r.ExitCode())
			}
			for _, l := range r.Lines {
				if l.Status == doctor.Failed && l.Fix == "" {
					t.Errorf("%s has no fix", l.ID)
				}
			}
		})
	}
}

// TestSec_SC30_guard: no credential is in the report, and one that a configuration would show is found.
func TestSec_SC30_guard(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-canary-0123456789"
	r := security(t, healthy(t, overHTTP, "COMFYGATE_HTTP__TOKEN="+secret, "COMFYGATE_COMFYUI__USERNAME=a", "COMFYGATE_COMFYUI__PASSWORD="+secret+"2"))
	if raw, err := json.Marshal(r); err != nil || strings.Contains(string(raw), secret) || len(failures(r)) > 0 {
		t.Errorf("%v, %v", err, failures(r))
	}
	// A user who is named as the password is: there it is in clear.
	if got := failures(security(t, healthy(t, overHTTP, "COMFYGATE_HTTP__USERNAME="+secret, "COMFYGATE_HTTP__PASSWORD="+secret))); !slices.Equal(got, []string{"SC-30", "SC-31"}) {
		t.Errorf("failed: %v", got)
	}
}
