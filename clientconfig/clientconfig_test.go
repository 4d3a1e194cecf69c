package clientconfig_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/clientconfig"
)

func find(t *testing.T, id string) clientconfig.Client {
	t.Helper()
	c, err := clientconfig.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func entry() clientconfig.Entry {
	return clientconfig.Entry{Command: "/usr/local/bin/comfygate", Args: []string{"serve"}, Env: map[string]string{"COMFYGATE_COMFYUI__URL": "http://127.0.0.1:8188"}}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	host := func(os string) clientconfig.Host {
		return clientconfig.Host{OS: os, Home: "/home/ann", AppData: "/appdata", Dir: "/project"}
	}
	for _, tc := range []struct{ client, os, want string }{
		{"claude-desktop", "linux", "/home/ann/.config/Claude/claude_desktop_config.json"},
		{"claude-desktop", "darwin", "/home/ann/Library/Application Support/Claude/claude_desktop_config.json"},
		{"claude-desktop", "windows", "/appdata/Claude/claude_desktop_config.json"},
		{"claude-code", "linux", "/project/.mcp.json"},
		{"cursor", "windows", "/home/ann/.cursor/mcp.json"},
		{"vscode", "darwin", "/project/.vscode/mcp.json"},
	} {
		t.Run(tc.client+" on "+tc.os, func(t *testing.T) {
			t.Parallel()
			if got := find(t, tc.client).Path(host(tc.os)); got != filepath.FromSlash(tc.want) {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
	if _, err := clientconfig.Find("emacs"); err == nil || !strings.Contains(err.Error(), "vscode") {
		t.Errorf("an unknown client: %v, want the known ones named", err)
	}
}

func TestPlanKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, client, before, after string }{
		{"no file", "claude-desktop", "", `{"mcpServers":{"comfygate":{"command":"/usr/local/bin/comfygate","args":["serve"],"env":{"COMFYGATE_COMFYUI__URL":"http://127.0.0.1:8188"}}}}`},
		{
			"others in their order", "cursor", `{"z":1,"mcpServers":{"b":{"command":"b"},"a":{"command":"a <&>"}},"a":[1.50]}`,
			`{"z":1,"mcpServers":{"b":{"command":"b"},"a":{"command":"a <&>"},"comfygate":{"command":"/usr/local/bin/comfygate","args":["serve"],"env":{"COMFYGATE_COMFYUI__URL":"http://127.0.0.1:8188"}}},"a":[1.50]}`,
		},
		{
			"an entry is replaced in its place", "vscode", `{"servers":{"comfygate":{"command":"old"},"x":{}},"inputs":[]}`,
			`{"servers":{"comfygate":{"type":"stdio","command":"/usr/local/bin/comfygate","args":["serve"],"env":{"COMFYGATE_COMFYUI__URL":"http://127.0.0.1:8188"}},"x":{}},"inputs":[]}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := find(t, tc.client)
			ch, err := c.Plan([]byte(tc.before), entry())
			if err != nil || !ch.Changed() {
				t.Fatalf("changed %v, %v", ch.Changed(), err)
			}
			if got := squeeze(string(ch.After)); got != squeeze(tc.after) {
				t.Errorf("got\n%s\nwant\n%s", got, squeeze(tc.after))
			}
			again, err := c.Plan(ch.After, entry())
			if err != nil || again.Changed() {
				t.Errorf("the second time: changed %v, %v", again.Changed(), err)
			}
		})
	}
}

// squeeze takes the blanks out between tokens, which is all that formatting may change.
func squeeze(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.NewReplacer(": ", ":", ", ", ",").Replace(strings.Join(lines, ""))
}

func TestPlanGuessesNothing(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{
		"comments":      "{ // mine\n}",
		"no object":     "[]",
		"cut off":       `{"mcpServers":{`,
		"two objects":   `{} {}`,
		"twice":         `{"mcpServers":{},"mcpServers":{}}`,
		"not an object": `{"mcpServers":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if ch, err := find(t, "cursor").Plan([]byte(before), entry()); err == nil {
				t.Errorf("made %s of it", ch.After)
			}
		})
	}
}

func TestWriteKeepsACopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "mcp.json")
	c := find(t, "cursor")
	write := func(e clientconfig.Entry) (string, error) {
		before, _, err := clientconfig.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := c.Plan(before, e)
		if err != nil {
			t.Fatal(err)
		}
		return clientconfig.Write(path, ch, time.Unix(0, 0))
	}
	if backup, err := write(entry()); err != nil || backup != "" {
		t.Fatalf("the first: copy %q, %v", backup, err)
	}
	first, err := os.ReadFile(path)
	if err != nil || !json.Valid(first) {
		t.Fatalf("%s, %v", first, err)
	}
	e := entry()
	e.Args = nil
	backup, err := write(e)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(backup); err != nil || string(kept) != string(first) {
		t.Errorf("the copy holds %s, %v", kept, err)
	}
	if _, err := os.Stat(path + ".comfygate-new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a half file is left: %v", err)
	}
}

func TestWriteRefusesAChangedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mcp.json")
	ch, err := find(t, "cursor").Plan(nil, entry())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"mine":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := clientconfig.Write(path, ch, time.Now()); err == nil {
		t.Error("it wrote over what another program had written")
	}
}

func TestWriteFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "dotfiles.json"), filepath.Join(dir, "mcp.json")
	if err := os.WriteFile(file, []byte("{}"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip("not run: this system makes no links: ", err)
	}
	before, _, err := clientconfig.Read(link)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := find(t, "cursor").Plan(before, entry())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientconfig.Write(link, ch, time.Now()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file's mode: %v, %v", info.Mode(), err)
	}
}
