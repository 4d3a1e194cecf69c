package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// TestSec_SC01_oneVersion: the command, MCP, status, ComfyUI and the list of supported versions hear of one and the same version.
func TestSec_SC01_oneVersion(t *testing.T) {
	t.Parallel()
	u := newComfyUI(t, emulator.Options{})
	w := newWorld(t, u.on())
	said := regexp.MustCompile(`^comfygate (\d+\.\d+)\.(\d+) \(.*go1\.`).FindStringSubmatch(w.run(t, "version").out)
	if said == nil {
		t.Fatal("version says nothing")
	}
	want := said[1] + "." + said[2]
	if flag := w.run(t, "--version"); flag.code != exitOK || !strings.HasPrefix(flag.out, "comfygate "+want) {
		t.Errorf("--version: exit code %d: %s%s", flag.code, flag.out, flag.err)
	}
	a := w.stdio(t)
	a.picture(t, "a cat")
	if got := a.hello.ServerInfo.Version; got != want {
		t.Errorf("serverInfo says %s", got)
	}
	if got := a.report(t).Version; got != want {
		t.Errorf("status says %s", got)
	}
	for _, s := range u.requests() {
		if got := s.header.Get("User-Agent"); got != "comfygate/"+want {
			t.Errorf("%s: User-Agent %q", s.line, got)
		}
	}
	policy, err := os.ReadFile(filepath.Join("..", "..", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(policy), "| "+said[1]+".x | yes |") {
		t.Errorf("SECURITY.md does not list %s.x as supported", said[1])
	}
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// TestSec_SC32_clientID: each process shows itself to ComfyUI under a random id of its own, which it does not log.
func TestSec_SC32_clientID(t *testing.T) {
	t.Parallel()
	u := newComfyUI(t, emulator.Options{})
	ids := make(map[string]bool)
	var agents []*agent
	for range 2 {
		a := newWorld(t, u.on()).stdio(t)
		a.picture(t, "a cat")
		agents = append(agents, a)
	}
	for _, s := range u.requests() {
		if strings.Contains(s.line, "/ws?") {
			ids[s.query("clientId")] = true
		}
	}
	if len(ids) != 2 {
		t.Fatalf("%d client ids of two processes", len(ids))
	}
	for id := range ids {
		if !uuid4.MatchString(id) {
			t.Errorf("%q is no UUIDv4", id)
		}
		for _, a := range agents {
			if strings.Contains(a.err.String(), id) {
				t.Error("a client id is in the log")
			}
		}
	}
}

// TestSec_SC32_knowing: who knows an id of another's reads the same as of an id that does not exist, and so does who guesses.
func TestSec_SC32_knowing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded, "COMFYGATE_AUTH__TOKENS="+tokenOf("ada")+","+tokenOf("bob"))
	s := w.http(t)
	ada, bob := s.streamable(t, "Authorization", "Bearer token-of-ada"), s.streamable(t, "Authorization", "Bearer token-of-bob")
	made := ada.must(t, "generate", small("a cat"))
	const nobodys = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	for _, tool := range []struct{ name, field, known string }{
		{"status", "job_id", made.job(t)}, {"cancel", "job_id", made.job(t)}, {"get_image", "image", made.links[0]}, {"upscale", "image", made.links[0]},
	} {
		known, unknown := bob.call(t, tool.name, args{tool.field: tool.known}), bob.call(t, tool.name, args{tool.field: nobodys})
		if known.fault == nil || unknown.fault == nil {
			t.Fatalf("%s: %s; %s", tool.name, known.text, unknown.text)
		}
		if a, b := anonymous(known, tool.known), anonymous(unknown, nobodys); a != b {
			t.Errorf("%s tells the difference: %s; %s", tool.name, a, b)
		}
	}
	if jobs := bob.report(t).Jobs; len(jobs) != 0 {
		t.Errorf("bob's jobs: %v", jobs)
	}
	if res := s.get(t, http.MethodPost, "/mcp", hello, "Authorization", "Bearer token-of-eve"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("eve: %s", res.Status)
	}
}

// tokenOf is the entry of AUTH__TOKENS for a name and the token "token-of-" name.
func tokenOf(name string) string {
	sum := sha256.Sum256([]byte("token-of-" + name))
	return name + ":" + hex.EncodeToString(sum[:])
}

// anonymous is what an answer says, less what is of one call.
func anonymous(a answer, id string) string {
	return strings.ReplaceAll(strings.ReplaceAll(a.text, a.fault.CallID, "CALL"), id, "ID")
}
