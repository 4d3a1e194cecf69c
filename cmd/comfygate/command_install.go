package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/comfygate/comfygate/clientconfig"
	"github.com/comfygate/comfygate/config"
)

type installCommand struct {
	Client string `arg:"" help:"Which client: claude-desktop, claude-code, cursor or vscode."`
	Print  bool   `help:"Only print what would be written."`
	Yes    bool   `short:"y" help:"Write without asking."`
	File   string `type:"path" placeholder:"FILE" help:"Configuration file, where it is not the client's usual one."`
}

// Help tells what is written and what is not.
func (installCommand) Help() string {
	return "Shows the change first and keeps a copy of the old file. Settings of ours that are set here are written along, secrets are not: " +
		"put a secret into a file and set NAME_FILE."
}

// Run writes comfygate into a client's configuration.
func (in *installCommand) Run(p *process) error {
	c, err := clientconfig.Find(in.Client)
	if err != nil {
		return usageError{err}
	}
	if _, _, err := load(p, nil); err != nil { // what does not start here would not start there
		return err
	}
	path := in.File
	if path == "" {
		host, err := thisHost(p.environ)
		if err != nil {
			return err
		}
		path = c.Path(host)
	}
	entry, left, err := entryFor(p.environ)
	if err != nil {
		return err
	}
	before, path, err := clientconfig.Read(path)
	if err != nil {
		return err
	}
	ch, err := c.Plan(before, entry)
	if err != nil {
		return fmt.Errorf("%s: %w\nAdd this by hand, under the servers:\n%s", path, err, in.byHand(c, entry))
	}
	show(p.stdout, path, ch)
	for _, name := range left {
		fmt.Fprintf(p.stdout, "%s is set here and not written: put it into a file and set %s_FILE.\n", name, name)
	}
	switch {
	case !ch.Changed():
		fmt.Fprintln(p.stdout, "It is there already.")
		return nil
	case in.Print:
		return nil
	case !in.Yes && !confirmed(p):
		fmt.Fprintln(p.stdout, "Nothing was written.")
		return nil
	}
	backup, err := clientconfig.Write(path, ch, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Written: %s\n", path)
	if backup != "" {
		fmt.Fprintf(p.stdout, "The old file: %s\n", backup)
	}
	fmt.Fprintln(p.stdout, c.Note)
	return nil
}

func (*installCommand) byHand(c clientconfig.Client, e clientconfig.Entry) []byte {
	ch, err := c.Plan(nil, e)
	if err != nil {
		return nil
	}
	return ch.After
}

// entryFor is how a client starts this program with the settings that are set here. left are the secrets among them.
func entryFor(environ []string) (e clientconfig.Entry, left []string, err error) {
	self, err := os.Executable()
	if err != nil {
		return e, nil, err
	}
	e = clientconfig.Entry{Command: self, Args: []string{"serve"}, Env: make(map[string]string)}
	secrets := config.SecretVariables()
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case !strings.HasPrefix(name, "COMFYGATE_"):
		case slices.Contains(secrets, name):
			left = append(left, name)
		default:
			e.Env[name] = value
		}
	}
	return e, left, nil
}

func thisHost(environ []string) (clientconfig.Host, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return clientconfig.Host{}, err
	}
	dir, err := filepath.Abs(".")
	if err != nil {
		return clientconfig.Host{}, err
	}
	h := clientconfig.Host{OS: runtime.GOOS, Home: home, Dir: dir}
	for _, kv := range environ {
		switch name, value, _ := strings.Cut(kv, "="); name {
		case "APPDATA":
			h.AppData = value
		case "XDG_CONFIG_HOME":
			h.Config = value
		}
	}
	return h, nil
}

// show prints a change as the lines that go and come.
func show(w io.Writer, path string, ch clientconfig.Change) {
	fmt.Fprintln(w, path)
	for _, part := range []struct {
		sign string
		text []byte
	}{{"-", ch.Old}, {"+", ch.New}} {
		if !ch.Changed() || len(part.text) == 0 {
			continue
		}
		for i, line := range strings.Split(string(part.text), "\n") {
			if i == 0 {
				line = `"` + clientconfig.Name + `": ` + line
			}
			fmt.Fprintln(w, part.sign, line)
		}
	}
}

func confirmed(p *process) bool {
	fmt.Fprint(p.stdout, "Write it? [y/N] ")
	line, err := bufio.NewReader(p.stdin).ReadString('\n')
	fmt.Fprintln(p.stdout)
	return err == nil && slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(line)))
}
