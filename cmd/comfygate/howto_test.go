package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/comfy/emulator"
)

// commandBlocks are the blocks of commands of a page, one after the other.
func commandBlocks(t *testing.T, page string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

// A machine is one of its own below a world's home: what the page says of /etc is said of a folder there, and what only root may do,
// or what is not here, is played by programs that go before the system's.
type machine struct {
	*world

	dir   string            // the repository, as far as the page needs it
	place *strings.Replacer // of paths and ports
}

// played are programs that the machine of a test has to do without. sudo and install leave owners aside.
func played() map[string]string {
	return map[string]string{
		"sudo": `[ "$1" = -u ] && shift 2
[ "$1" = install ] || exec "$@"
shift; n=$#
while [ $n -gt 0 ]; do a=$1; shift; n=$((n-1)); case $a in -o|-g) shift; n=$((n-1));; *) set -- "$@" "$a";; esac; done
exec install "$@"`,
		"useradd":   ``,
		"systemctl": ``,
		"make":      `mkdir -p bin && cp "$(command -v comfygate)" bin/comfygate`,
		"claude":    `printf '%s\n' "claude: $*"`,
	}
}

func newMachine(t *testing.T, comfyui string) *machine {
	t.Helper()
	w := newWorld(t)
	s := &machine{dir: filepath.Join(w.home, "src")}
	s.place = strings.NewReplacer(
		"/etc/", w.home+"/etc/", "/var/lib/", w.home+"/var/lib/", "/usr/local/bin/", w.home+"/usr/local/bin/",
		"http://127.0.0.1:8188", comfyui, "127.0.0.1:7861", freeAddr(t), "127.0.0.1:9464", freeAddr(t),
	)
	programs := filepath.Join(w.home, "programs")
	for _, dir := range []string{programs, "etc/systemd/system", "var/lib", "usr/local/bin", "src/deploy"} {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(w.home, dir)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range played() {
		if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"comfygate.env", "comfygate.service"} {
		data, err := os.ReadFile(filepath.Join(root, "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "comfygate.env" {
			data = append(data, "COMFYGATE_HTTP__PORT="+s.port()+"\n"...)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "deploy", name), []byte(s.place.Replace(string(data))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, _ := strings.CutPrefix(searchPath(), "PATH=")
	s.world = &world{s.dir, []string{
		"HOME=" + w.home, quickExit, "CLIENT_TOKEN=not-yet", "PATH=" + strings.Join([]string{programs, filepath.Join(w.home, "usr/local/bin"), path}, ":"),
	}}
	return s
}

// port is where the server listens.
func (s *machine) port() string {
	_, port, _ := strings.Cut(s.place.Replace("127.0.0.1:7861"), ":")
	return port
}

// enter runs commands as a person types them, one block after the other, and stops at the first that fails.
func (s *machine) enter(t *testing.T, blocks ...string) string {
	t.Helper()
	out := s.shell(t, "", "set -eu\n"+s.place.Replace(strings.Join(blocks, "\n")))
	if out.code != exitOK {
		t.Fatalf("exit code %d\n%s%s", out.code, out.out, out.err)
	}
	return out.out
}

// service does what systemd does with a unit: its command in its environment.
func (s *machine) service(t *testing.T) *site {
	t.Helper()
	unit := readUnit(t, s.place.Replace("/etc/systemd/system/comfygate.service"))
	data, err := os.ReadFile(unit["Service"]["EnvironmentFile"][0])
	if err != nil {
		t.Fatal(err)
	}
	w := &world{s.home, []string{quickExit}}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			w = w.with(line)
		}
	}
	command := strings.Fields(unit["Service"]["ExecStart"][0])
	p := w.startProgram(t, command[0], command[1:]...)
	return &site{p, "http://" + p.err.await(t, `"msg":"listening","address":"([^"]+)"`)[1]}
}

// readUnit reads a systemd unit: section → key → values.
func readUnit(t *testing.T, path string) map[string]map[string][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	unit, section := map[string]map[string][]string{}, ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		key, value, pair := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
			unit[section] = map[string][]string{}
		case !pair || section == "":
			t.Fatalf("%s: %q", path, line)
		default:
			unit[section][key] = append(unit[section][key], value)
		}
	}
	return unit
}

// TestHowTo_teamServer: whoever follows the page, and nothing but the page, has a server for a team at the end of it: each may do what is
// theirs, and it is all on record (issue 7, POL-04, SC-59).
func TestHowTo_teamServer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the page is for Linux")
	}
	needs(t, "curl")
	began := time.Now()
	blocks := commandBlocks(t, "docs/how-to/team-server.md")
	start := slices.IndexFunc(blocks, func(b string) bool { return strings.Contains(b, "enable --now") })
	define := slices.IndexFunc(blocks, func(b string) bool { return strings.HasPrefix(b, "gate() {") })
	if start < 0 || define < 0 || define > start {
		t.Fatal("the page starts no service, or does not say what gate is")
	}
	u := newComfyUI(t, emulator.Options{})
	s := newMachine(t, u.url)
	said := s.enter(t, blocks[:start]...)
	tokens := map[string]string{}
	made := regexp.MustCompile(`(?m)^cg_\S+$`).FindAllString(said, -1)
	for i, name := range []string{"vera", "anna", "ben", "you"} {
		if len(made) != 4 {
			t.Fatalf("tokens: %s", said)
		}
		tokens[name] = made[i]
	}
	site := s.service(t)
	gate := strings.SplitAfter(blocks[define], "}\n")[0]
	said = s.enter(t, slices.Concat([]string{gate}, blocks[start:])...)
	for _, want := range []string{
		" pass, 0 fail, ", "Denied by role", "The record is whole.", "claude: mcp add --transport http comfygate https://gate.example.com/mcp --header Authorization: Bearer not-yet",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing says %q:\n%s", want, said)
		}
	}

	as := func(name string) *agent { return site.streamable(t, "Authorization", "Bearer "+tokens[name]) }
	anna, vera := as("anna"), as("vera")
	picture := anna.picture(t, "a lighthouse at dusk")
	as("ben").refused(t, "get_image", args{"image": picture}, "IMAGE_NOT_FOUND")
	vera.refused(t, "generate", small("a cat"), "POLICY_DENIED")
	if list := vera.tools(t); slices.Contains(list, "generate") || !slices.Contains(list, "list_models") {
		t.Errorf("vera is offered %v", list)
	}
	anna.refused(t, "generate", args{"prompt": "a cat", "width": 2048, "height": 2048, "steps": 60}, "POLICY_DENIED")
	as("you").manage(t, args{"action": "list"})
	site.bury(t)
	records := &world{s.home, []string{"COMFYGATE_STORAGE__DIR=" + s.place.Replace("/var/lib/comfygate"), quickExit}}
	if out := records.run(t, "audit", "verify"); out.code != audit.ExitOK {
		t.Errorf("audit verify: %s", out.out)
	}
	if took := time.Since(began); took > 10*time.Minute {
		t.Errorf("it took %v", took)
	}
}

var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// TestDocs_commands: whatever the pages tell people to type is a command with flags that there are.
func TestDocs_commands(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`^(expected "?<|missing flags|expected one of)`)
	pages := []string{
		"docs/policy.md", "docs/identity.md", "docs/incident-response.md", "docs/incident-template.md", "docs/observability.md", "docs/how-to/team-server.md", "docs/audit.md",
		"docs/workflows.md",
	}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, block := range commandBlocks(t, page) {
			lines = append(lines, strings.Split(block, "\n")...)
		}
		whole := len(lines)
		for _, span := range codeSpan.FindAllStringSubmatch(string(text), -1) {
			lines = append(lines, span[1])
		}
		checked := 0
		for i, line := range lines {
			for _, one := range regexp.MustCompile(`\s+(?:&&|\|\||\||>)\s+|\s+#\s`).Split(line, -1) {
				words := wordsOf(one)
				if len(words) < 2 || words[0] != "comfygate" && words[0] != "gate" {
					continue
				}
				checked++
				parser, err := kong.New(&commands{}, kong.Vars{"version": version})
				if err != nil {
					t.Fatal(err)
				}
				_, err = parser.Parse(words[1:])
				if err != nil && (i < whole || !named.MatchString(err.Error())) { // in a sentence the name is enough
					t.Errorf("%s: %s: %v", page, one, err)
				}
			}
		}
		if checked == 0 {
			t.Errorf("%s: there is no command", page)
		}
	}
}

// wordsOf parts a command as a shell does, as far as pages need it: optional parts in brackets are left out.
func wordsOf(line string) (words []string) {
	line = regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(line, "")
	for _, m := range regexp.MustCompile(`(?:"[^"]*"|'[^']*'|[^\s"'])+`).FindAllString(line, -1) {
		words = append(words, strings.NewReplacer(`"`, "", `'`, "").Replace(m))
	}
	return words
}
