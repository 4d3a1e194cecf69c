package main

import (
	"encoding/json"
	"image"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// root is the repository's, from this folder.
const root = "../.."

// readmeRows tells for each command line of the README how it is run here. nil is for what runs this test.
func readmeRows() map[string]func(t *testing.T, line string) {
	return map[string]func(*testing.T, string){
		"make test":             nil,
		"make demo":             makeDemo,
		"make install":          makeInstall,
		"comfygate doctor":      doctorLine,
		"comfygate config show": endsWell,

		"comfygate workflow list --installed":                         workflowLine,
		`comfygate workflow run join_words --set subject="a red fox"`: workflowLine,
		"comfygate audit verify":                                      verifyLine,
		"comfygate install claude-desktop":                            installLine,
		"export COMFYGATE_HTTP__TOKEN=$(openssl rand -hex 32)":        exportLine,
		"COMFYGATE_SERVER__TRANSPORT=http comfygate serve":            serveLine,
		"claude mcp add --transport stdio comfygate --env COMFYGATE_COMFYUI__URL=http://127.0.0.1:8188 -- comfygate serve": claudeLine,
	}
}

// TestReadme: whatever the README tells people to type does what it says there. A line without a row fails.
func TestReadme(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the README's commands are for a POSIX shell")
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows, seen := readmeRows(), make(map[string]bool)
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(regexp.MustCompile(`\s{2,}#.*`).ReplaceAllString(line, ""))
			run, ok := rows[line]
			switch {
			case line == "" || seen[line]:
			case !ok:
				t.Errorf("the README says %q, and no row of this test says how that is run", line)
			case run != nil:
				t.Run(line, func(t *testing.T) {
					t.Parallel()
					run(t, line)
				})
			}
			seen[line] = true
		}
	}
	for line := range rows {
		if !seen[line] {
			t.Errorf("the README does not say %q any more", line)
		}
	}
}

// shell runs a line as people's shells do, to its end.
func (w *world) shell(t *testing.T, stdin, line string) result {
	t.Helper()
	p := w.startProgram(t, "sh", "-c", line)
	if _, err := p.stdin.Write([]byte(stdin)); err != nil {
		t.Fatal(err)
	}
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	return result{p.wait(t), p.out.String(), p.err.String()}
}

func (r result) ok(t *testing.T) {
	t.Helper()
	if r.code != exitOK {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

func endsWell(t *testing.T, line string) {
	t.Helper()
	newWorld(t).shell(t, "", line).ok(t)
}

func workflowLine(t *testing.T, line string) {
	t.Helper()
	newWorld(t, embedded).shell(t, "", line).ok(t)
}

func doctorLine(t *testing.T, line string) {
	t.Helper()
	newWorld(t, newComfyUI(t, emulator.Options{}).on()).shell(t, "", line).ok(t)
}

func verifyLine(t *testing.T, line string) {
	t.Helper()
	w := newWorld(t, embedded)
	a := w.stdio(t)
	a.picture(t, "a cat")
	a.end(t)
	w.shell(t, "", line).ok(t)
}

func installLine(t *testing.T, line string) {
	t.Helper()
	w := newWorld(t)
	if out := w.shell(t, "n\n", line); out.code != exitOK || !strings.Contains(out.out, "Nothing was written.") {
		t.Errorf("after a no: %+v", out)
	}
	if found := files(t, w.home); len(found) > 0 {
		t.Errorf("after a no there is %v", found)
	}
	w.shell(t, "y\n", line).ok(t)
	w.configured(t)
}

// configured starts every server of the one configuration file below the home.
func (w *world) configured(t *testing.T) {
	t.Helper()
	found := files(t, w.home)
	if len(found) != 1 {
		t.Fatalf("there is %d files", len(found))
	}
	for path, data := range found {
		for name, c := range clientServers(t, path, data) {
			c.starts(t, name, "", "")
		}
	}
}

func exportLine(t *testing.T, line string) {
	t.Helper()
	needs(t, "openssl")
	out := newWorld(t).shell(t, "", line+"\nenv")
	if m := regexp.MustCompile(`(?m)^COMFYGATE_HTTP__TOKEN=[0-9a-f]{64}$`).FindString(out.out); m == "" {
		t.Errorf("no token in %s%s", out.out, out.err)
	}
}

func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("this machine has no " + program)
	}
}

// serveLine runs the line before it too, whose variable it needs. Then an agent comes over each of the two ways that it names.
func serveLine(t *testing.T, line string) {
	t.Helper()
	needs(t, "openssl")
	w := newWorld(t, embedded, "COMFYGATE_HTTP__PORT=0")
	p := w.startProgram(t, "sh", "-c", "export COMFYGATE_HTTP__TOKEN=$(openssl rand -hex 32)\necho $COMFYGATE_HTTP__TOKEN\n"+strings.Replace(line, "comfygate", "exec comfygate", 1))
	token := p.out.await(t, `^([0-9a-f]{64})\n`)[1]
	s := &site{p, "http://" + p.err.await(t, `listening\s.*"address": "([^"]+)"`)[1]}
	if res := s.get(t, http.MethodPost, "/mcp", hello); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %s", res.Status)
	}
	s.streamable(t, "Authorization", "Bearer "+token).picture(t, "a cat")
	s.sse(t, "Authorization", "Bearer "+token).picture(t, "a cat")
}

// claudeLine does what Claude Code does with such a line: it keeps what stands behind --, and the environment, and starts that.
func claudeLine(t *testing.T, line string) {
	t.Helper()
	head, command, ok := strings.Cut(line, " -- ")
	words := strings.Fields(head)
	i := slices.Index(words, "--env")
	if !ok || i < 0 || slices.Index(words, "--transport") < 0 {
		t.Fatalf("not understood: %s", line)
	}
	c := clientServer{Command: strings.Fields(command)[0], Args: strings.Fields(command)[1:], Env: pairs(strings.SplitN(words[i+1], "=", 2))}
	c.starts(t, line, "", "")
}

// A clientServer is one server in a client's configuration.
type clientServer struct {
	Type    string
	Command string
	Args    []string
	Env     map[string]string
	URL     string
	Headers map[string]string
}

// clientServers reads a client's configuration.
func clientServers(t *testing.T, path string, data []byte) map[string]clientServer {
	t.Helper()
	var file struct {
		MCPServers map[string]clientServer `json:"mcpServers"`
		Servers    map[string]clientServer `json:"servers"` // VS Code
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(file.MCPServers)+len(file.Servers) == 0 {
		t.Fatalf("%s has no servers", path)
	}
	if len(file.Servers) > 0 {
		return file.Servers
	}
	return file.MCPServers
}

// starts does with the server what a client does, and asks for the tools. host and token stand for the placeholders of remote ones.
func (c clientServer) starts(t *testing.T, name, host, token string) {
	t.Helper()
	var a *agent
	if c.Type == "" && c.URL != "" { // as Cursor writes it
		c.Type = "http"
	}
	switch c.Type {
	case "", "stdio":
		if base := filepath.Base(c.Command); base != "comfygate" {
			t.Fatalf("%s starts %s", name, c.Command)
		}
		w := newWorld(t)
		for key, value := range c.Env {
			w = w.with(key + "=" + value)
		}
		a = w.start(t, c.Args...).overPipes(t)
	case "http", "sse":
		url := strings.Replace(c.URL, "https://HOST", host, 1)
		s := &site{url: strings.TrimSuffix(strings.TrimSuffix(url, "/mcp"), "/sse"), proc: new(proc)}
		header := []string{"Authorization", strings.NewReplacer("${CLIENT_TOKEN}", token, "${env:CLIENT_TOKEN}", token).Replace(c.Headers["Authorization"])}
		if c.Type == "http" {
			a = s.streamable(t, header...)
		} else {
			a = s.sse(t, header...)
		}
	default:
		t.Fatalf("%s is of an unknown type, %s", name, c.Type)
	}
	list, err := a.c.ListTools(soon(t), mcp.ListToolsRequest{})
	if err != nil || len(list.Tools) < 6 {
		t.Errorf("%s: tools/list: %v, %v", name, list, err)
	}
}

// TestExamples: each client's configuration that we show starts a server with tools (MCP-39).
func TestExamples(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob(filepath.Join(root, "examples", "clients", "*.json"))
	if err != nil || len(found) < 4 {
		t.Fatalf("%d examples, %v", len(found), err)
	}
	for _, path := range found {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			const token = "the-right-token-0123"
			host := ""
			if strings.Contains(string(data), "HOST") {
				host = newWorld(t, embedded, "COMFYGATE_HTTP__TOKEN="+token).http(t).url
			}
			for name, c := range clientServers(t, path, data) {
				c.starts(t, name, host, token)
			}
		})
	}
}

// TestInstall: what install writes into a client's configuration starts a server there, and holds no secret (SC-57).
func TestInstall(t *testing.T) {
	t.Parallel()
	for _, client := range []string{"claude-desktop", "claude-code", "cursor", "vscode"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, embedded, "COMFYGATE_COMFYUI__API_KEY=s3cr3t-CANARY")
			out := w.run(t, "install", client, "--yes")
			out.ok(t)
			if !strings.Contains(out.out, "COMFYGATE_COMFYUI__API_KEY_FILE") {
				t.Errorf("it does not tell where the secret may stand: %s", out.out)
			}
			for path, data := range files(t, w.home) {
				if all := out.out + out.err + string(data); strings.Contains(all, "CANARY") {
					t.Errorf("a secret is in %s, or shown: %s", path, all)
				}
			}
			w.configured(t)
			if out := w.run(t, "install", client, "--yes"); out.code != exitOK || !strings.Contains(out.out, "It is there already.") {
				t.Errorf("a second time: %+v", out)
			}
		})
	}
}

// recipe is what make would run for a target, line by line.
func recipe(t *testing.T, target string) []string {
	t.Helper()
	needs(t, "make")
	cmd := exec.CommandContext(t.Context(), "make", "-n", "--no-print-directory", target)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("make -n %s: %v", target, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// byMake runs a line of a recipe that builds, in the repository, with the person's own Go.
func byMake(t *testing.T, line string, env ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...) //nolint:forbidigo // the caches of Go are found by it
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// makeDemo runs the recipe of make demo with another bin folder, as a person who has settings of their own.
func makeDemo(t *testing.T, _ string) {
	t.Helper()
	lines := recipe(t, "demo")
	if len(lines) != 2 || !strings.Contains(lines[0], "-o bin/comfygate ") || !strings.HasPrefix(lines[1], "./bin/comfygate ") {
		t.Fatalf("make demo is another recipe now: %q", lines)
	}
	w := newWorld(t)
	mine := filepath.Join(w.home, "mine")
	byMake(t, strings.Replace(lines[0], "-o bin/comfygate ", "-o '"+w.home+"/bin/comfygate' ", 1))
	began := time.Now()
	w = w.with("COMFYGATE_STORAGE__DIR="+mine, "COMFYGATE_OUTPUT__DIR="+mine, "COMFYGATE_SERVER__TRANSPORT=http", "COMFYGATE_HTTP__TOKEN=0123456789abcdef0123", "COMFYGATE_NO_SUCH_SETTING=1")
	out := w.shell(t, "", lines[1])
	out.ok(t)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the demo took %v", took)
	}
	made := filepath.Join(w.home, "demo-out")
	for _, say := range []string{"> generate ", "> upscale ", "> status", "The record is whole.", "Pictures are in " + made} {
		if !strings.Contains(out.out, say) {
			t.Errorf("it does not say %q:\n%s", say, out.out)
		}
	}
	var sides []image.Point
	for path, data := range files(t, made) {
		if filepath.Dir(path) == made {
			sides = append(sides, dimensions(t, path, data))
		}
	}
	if len(sides) != 2 || sides[0].Mul(2) != sides[1] && sides[1].Mul(2) != sides[0] {
		t.Errorf("the pictures are %v", sides)
	}
	verified := &world{w.home, []string{"HOME=" + w.home, quickExit, "COMFYGATE_STORAGE__DIR=" + filepath.Join(made, ".comfygate")}}
	verified.run(t, "audit", "verify").ok(t)
	entries, err := os.ReadDir(w.home)
	if err != nil || len(entries) != 2 {
		t.Errorf("besides bin and demo-out there is %v, %v", entries, err)
	}
}

func dimensions(t *testing.T, path string, data []byte) image.Point {
	t.Helper()
	m, _, err := image.Decode(strings.NewReader(string(data)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return m.Bounds().Size()
}

// makeInstall runs the recipe of make install with another folder for Go's programs.
func makeInstall(t *testing.T, _ string) {
	t.Helper()
	bin := t.TempDir()
	for _, line := range recipe(t, "install") {
		byMake(t, line, "GOBIN="+bin)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "comfygate"), "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "comfygate "+version+" ") {
		t.Errorf("%s, %v", out, err)
	}
}
